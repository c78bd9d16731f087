//! All proxies of a process, by name, and what the API can do to them. One request at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use serde_json::Value;

use super::Common;
use super::api::Refusal;
use super::metrics;
use super::named::{NamedProxy, resolve};
use super::wire::{ProxyInput, ProxyOutput, changed_toxic, new_toxic, shown};

/// Proxies of one process.
const PROXIES_MAX: usize = 1_000;
/// Toxics of one proxy.
const TOXICS_MAX: usize = 100;
/// Where a proxy listens that does not say where.
const ANYWHERE: &str = "127.0.0.1:0";

/// See the module's header. Dropping it closes every port and every connection.
pub struct Collection {
    common: Common,
    proxies: BTreeMap<String, NamedProxy>,
    /// Rules that a time made active.
    active: BTreeSet<u32>,
}

impl Collection {
    /// Without proxies.
    pub fn new(common: Common) -> Self {
        let active = common.rules.at_once().collect();
        Self { common, proxies: BTreeMap::new(), active }
    }

    /// A rule begins or ends, everywhere.
    pub fn set_fault(&mut self, fault: u32, active: bool) {
        if active {
            self.active.insert(fault);
        } else {
            self.active.remove(&fault);
        }
        self.proxies.values().for_each(|proxy| proxy.set_fault(fault, active));
    }

    /// Where each proxy listens and leads: name, address, upstream.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.proxies
            .values()
            .map(|proxy| (proxy.name.as_str(), proxy.listen.as_str(), proxy.upstream.as_str()))
    }

    /// Closes every port and every connection.
    pub async fn stop(&mut self) {
        for proxy in self.proxies.values_mut() {
            proxy.stop().await;
        }
    }

    /// Makes a proxy that listens, for the command line.
    pub async fn open(&mut self, name: &str, listen: &str, upstream: &str) -> io::Result<()> {
        let mut proxy = NamedProxy::new(name, (listen, upstream), self.common.clone(), self.active.clone());
        proxy.start().await?;
        self.proxies.insert(name.to_owned(), proxy);
        Ok(())
    }

    pub(super) fn list(&self) -> BTreeMap<&str, ProxyOutput> {
        self.proxies.iter().map(|(name, proxy)| (name.as_str(), output(proxy))).collect()
    }

    /// What passed, for Prometheus.
    pub(super) fn metrics(&self) -> String {
        metrics::text(&self.proxies)
    }

    pub(super) fn show(&self, name: &str) -> Result<ProxyOutput, Refusal> {
        self.proxies.get(name).map(output).ok_or(Refusal::NO_PROXY)
    }

    pub(super) async fn create(&mut self, input: &ProxyInput) -> Result<ProxyOutput, Refusal> {
        let (name, _) = input.required("")?;
        if self.proxies.contains_key(name) {
            return Err(Refusal::PROXY_EXISTS);
        }
        self.put(input).await
    }

    /// Creates or replaces what is asked for, and leaves what is as it should be. All of it is checked first.
    pub(super) async fn populate(&mut self, inputs: &[ProxyInput]) -> Result<Vec<ProxyOutput>, Refusal> {
        let mut names = BTreeSet::new();
        for (number, input) in (1..).zip(inputs) {
            let (name, _) = input.required(&format!(" at proxy {number}"))?;
            if !names.insert(name) {
                return Err(Refusal::body(format!("duplicate proxy name {name:?}")));
            }
        }
        let mut outputs = Vec::new();
        for input in inputs {
            let (name, upstream) = input.required("")?;
            if let Some(existing) = self.proxies.get_mut(name) {
                let is_there = is_same(&existing.listen, input.listen.as_deref()).await;
                if is_there && existing.upstream == upstream {
                    outputs.push(output(existing));
                    continue;
                }
                existing.stop().await;
            }
            outputs.push(self.put(input).await?);
        }
        Ok(outputs)
    }

    pub(super) async fn update(&mut self, name: &str, input: &ProxyInput) -> Result<ProxyOutput, Refusal> {
        let proxy = self.proxies.get_mut(name).ok_or(Refusal::NO_PROXY)?;
        let should_run = input.enabled.unwrap_or(proxy.is_enabled());
        let stays = is_same(&proxy.listen, input.listen.as_deref()).await
            && input.upstream.as_ref().is_none_or(|upstream| *upstream == proxy.upstream);
        if !stays || !should_run {
            proxy.stop().await;
        }
        if !stays {
            if let Some(listen) = input.listen.as_ref().filter(|listen| !listen.is_empty()) {
                proxy.listen.clone_from(listen);
            }
            if let Some(upstream) = input.upstream.as_ref().filter(|upstream| !upstream.is_empty()) {
                proxy.upstream.clone_from(upstream);
            }
        }
        if should_run {
            start(proxy).await?;
        }
        Ok(output(proxy))
    }

    pub(super) async fn delete(&mut self, name: &str) -> Result<(), Refusal> {
        let mut proxy = self.proxies.remove(name).ok_or(Refusal::NO_PROXY)?;
        proxy.stop().await;
        Ok(())
    }

    /// Enables every proxy and takes all toxics away.
    pub(super) async fn reset(&mut self) -> Result<(), Refusal> {
        for proxy in self.proxies.values_mut() {
            start(proxy).await?;
            for toxic in proxy.toxics() {
                proxy.remove(&toxic.name);
            }
        }
        Ok(())
    }

    pub(super) fn toxics(&self, proxy: &str) -> Result<Vec<Value>, Refusal> {
        Ok(self.show(proxy)?.toxics)
    }

    pub(super) fn toxic(&self, proxy: &str, name: &str) -> Result<Value, Refusal> {
        let proxy = self.proxies.get(proxy).ok_or(Refusal::NO_PROXY)?;
        let toxics = proxy.toxics();
        toxics.iter().find(|toxic| toxic.name == name).map(shown).ok_or(Refusal::NO_TOXIC)
    }

    pub(super) fn add_toxic(&mut self, proxy: &str, body: &[u8]) -> Result<Value, Refusal> {
        let proxy = self.proxies.get(proxy).ok_or(Refusal::NO_PROXY)?;
        let toxic = new_toxic(body)?;
        let toxics = proxy.toxics();
        if toxics.iter().any(|other| other.name == toxic.name) {
            return Err(Refusal::TOXIC_EXISTS);
        }
        if toxics.len() >= TOXICS_MAX {
            return Err(Refusal::body(format!("a proxy has at most {TOXICS_MAX} toxics")));
        }
        proxy.add(&toxic);
        Ok(shown(&toxic))
    }

    pub(super) fn change_toxic(&mut self, proxy: &str, name: &str, body: &[u8]) -> Result<Value, Refusal> {
        let proxy = self.proxies.get(proxy).ok_or(Refusal::NO_PROXY)?;
        let toxics = proxy.toxics();
        let toxic = toxics.iter().find(|toxic| toxic.name == name).ok_or(Refusal::NO_TOXIC)?;
        let changed = changed_toxic(toxic, body)?;
        proxy.change(&changed);
        Ok(shown(&changed))
    }

    pub(super) fn remove_toxic(&mut self, proxy: &str, name: &str) -> Result<(), Refusal> {
        let proxy = self.proxies.get(proxy).ok_or(Refusal::NO_PROXY)?;
        if proxy.remove(name) { Ok(()) } else { Err(Refusal::NO_TOXIC) }
    }

    /// Makes a proxy, also in the place of another. It is there only if it could be started.
    async fn put(&mut self, input: &ProxyInput) -> Result<ProxyOutput, Refusal> {
        let (name, upstream) = input.required("")?;
        if self.proxies.len() >= PROXIES_MAX && !self.proxies.contains_key(name) {
            return Err(Refusal::body(format!("there are at most {PROXIES_MAX} proxies")));
        }
        let listen = input.listen.as_deref().filter(|listen| !listen.is_empty()).unwrap_or(ANYWHERE);
        let mut proxy = NamedProxy::new(name, (listen, upstream), self.common.clone(), self.active.clone());
        if input.enabled.unwrap_or(true) {
            start(&mut proxy).await?;
        }
        let output = output(&proxy);
        self.proxies.insert(name.to_owned(), proxy);
        Ok(output)
    }
}

async fn start(proxy: &mut NamedProxy) -> Result<(), Refusal> {
    let started = proxy.start().await;
    started.map_err(|error| Refusal::failed(format!("cannot listen on {}: {error}", proxy.listen)))
}

/// Whether an address that is asked for is the one that is there; none asks for nothing else.
async fn is_same(listen: &str, asked: Option<&str>) -> bool {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return true };
    let Ok(there) = listen.parse::<SocketAddr>() else { return asked == listen };
    asked == listen || resolve(asked).await.is_ok_and(|addresses| addresses.contains(&there))
}

fn output(proxy: &NamedProxy) -> ProxyOutput {
    ProxyOutput {
        name: proxy.name.clone(),
        listen: proxy.listen.clone(),
        upstream: proxy.upstream.clone(),
        enabled: proxy.is_enabled(),
        toxics: proxy.toxics().iter().map(shown).collect(),
    }
}
