//! What is done to the server of a live run: started, reached, killed, stopped, made to stand still.
//!
//! The proxy leads to it only between "ready" and the order (or the death) that takes it down. Loss of power is in
//! [`super::power`].

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::launch::Server;
use super::{LiveWorld, NOT_OURS, NOWHERE};
use crate::world::process::{Launch, Process, Stopped};
use crate::world::{NodeOrder, OrderError};

/// A server that runs already must accept a connection within this.
const REACHED_WITHIN: Duration = Duration::from_secs(5);

impl LiveWorld {
    pub(super) async fn start(&self) -> Result<String, OrderError> {
        let launch = match &self.server {
            Server::Running(address) => return self.reach(*address).await,
            Server::Elsewhere => return Ok("n1 is where its clients know it to be".to_owned()),
            Server::Program { launch, .. } => launch,
        };
        let mut node = self.node.lock().await;
        if node.as_ref().and_then(Process::id).is_some() {
            // The power that it was to lose never went: a copy of its disk could not be had. That is no death of the target, and no
            // evidence of anything.
            return Ok(String::new());
        }
        let within = self.power_on().await?;
        self.tell("started");
        if let Some(process) = node.as_mut() {
            process.see_within(within);
            process.start_again().await.map_err(|error| {
                // Nothing that follows says anything about what its messages do.
                let words = format!("n1 could not be started again: {error}");
                self.casualty.borrow_mut().get_or_insert(words.clone());
                OrderError::Failed(words)
            })?;
        } else {
            let launch = Launch { within, ..(**launch).clone() };
            *node = Some(Process::start(launch).await.map_err(failed)?);
            self.settle().await?;
        }
        let process = node.as_ref().and_then(|process| Some((process.address()?, process.id()?)));
        let Some((address, id)) = process else {
            return Err(OrderError::Failed("the server did not say where it listens".to_owned()));
        };
        self.proxy.set_upstream(address);
        self.tell("ready");
        Ok(format!("n1 is process {id}"))
    }

    /// Somebody else runs it: all that can be seen is whether it answers.
    async fn reach(&self, address: SocketAddr) -> Result<String, OrderError> {
        let refused = |why: String| OrderError::Failed(format!("nobody answers at {address}: {why}"));
        match tokio::time::timeout(REACHED_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(_accepted)) => {
                self.proxy.set_upstream(address);
                Ok(format!("n1 runs at {address}"))
            }
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(_elapsed) => Err(refused(format!("no connection within {REACHED_WITHIN:?}"))),
        }
    }

    pub(super) async fn signal(&self, order: NodeOrder) -> Result<String, OrderError> {
        let Server::Program { stop_within, .. } = &self.server else {
            return Err(OrderError::NotHere(NOT_OURS.to_owned()));
        };
        let mut node = self.node.lock().await;
        let Some(process) = node.as_mut() else {
            return Err(OrderError::Failed("the server was never started".to_owned()));
        };
        let id = process.id().map_or_else(|| "none".to_owned(), |id| id.to_string());
        if matches!(order, NodeOrder::Kill | NodeOrder::Stop) {
            self.proxy.set_upstream(NOWHERE.into());
        }
        let (state, did) = match order {
            NodeOrder::Kill => {
                process.kill().await.map_err(failed)?;
                ("killed", "was killed")
            }
            NodeOrder::Stop => match process.stop(*stop_within).await.map_err(failed)? {
                Stopped::ByItself => ("stopped", "stopped when asked to"),
                Stopped::Killed => {
                    return Err(OrderError::Failed(
                        "the server did not stop when asked to and was killed".to_owned(),
                    ));
                }
            },
            NodeOrder::Pause => {
                process.pause().await.map_err(failed)?;
                ("paused", "stands still")
            }
            _ => {
                process.resume().await.map_err(failed)?;
                ("resumed", "goes on")
            }
        };
        self.tell(state);
        Ok(format!("process {id} {did}"))
    }
}

pub(super) fn failed(error: impl std::fmt::Display) -> OrderError {
    OrderError::Failed(error.to_string())
}
