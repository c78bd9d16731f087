//! `avouch proxy`: the chaos proxy by itself, in front of anything that speaks TCP.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use tokio::time::{Instant, interval, sleep_until};

use super::Exit;
use super::output::Output;
use crate::adapter::protocol::{Dialect, PROTOCOLS, find};
use crate::perform::read_bounded;
use crate::proxy::api::{Request, respond};
use crate::proxy::rules::{Moment, Rules};
use crate::proxy::{Collection, Common, Journal, Workers, http};
use crate::world::descriptors;
use crate::world::proxy::Framing;

/// How often what the journal has gathered is written out.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "HOST:PORT", requires = "upstream")]
    listen: Option<String>,
    /// Where the server is
    #[arg(long, value_name = "HOST:PORT")]
    upstream: Option<String>,
    /// What the proxy is called in the API and in the journal
    #[arg(long, value_name = "NAME", default_value = "proxy", requires = "upstream")]
    name: String,
    /// What travels there, such as mqtt, so that faults can be about its frames [default: bytes]
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// What goes wrong on every connection, as scenario files have it (docs/faults.md): 'cut = { before = "PUBACK", nth = 3 }',
    /// 'stall = {}, at = "5s", for = "2s"'; may be given more than once
    #[arg(long = "fault", value_name = "WORDS")]
    faults: Vec<String>,
    /// Answer Toxiproxy's HTTP API here [without a value: 127.0.0.1:8474]
    #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:8474")]
    api: Option<String>,
    /// Proxies to begin with, in a file as Toxiproxy's -config takes it: [{"name": …, "listen": …, "upstream": …}]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What every decision is made from
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Threads that carry connections [default: one per processor, at most 16]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=16), value_name = "COUNT")]
    threads: Option<u16>,
    /// Write every decision down, one JSON line each; `-` is standard output
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

pub(super) fn proxy(args: &Args, output: Output) -> Exit {
    descriptors::raise();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.error(format!("cannot start a runtime: {error}"));
            return Exit::TargetDied;
        }
    };
    match runtime.block_on(serve(args, output)) {
        Ok(()) => Exit::Pass,
        Err(words) => {
            output.error(words.strip_prefix("error: ").unwrap_or(&words));
            Exit::Usage
        }
    }
}

async fn serve(args: &Args, output: Output) -> Result<(), String> {
    if args.upstream.is_none() && args.api.is_none() && args.config.is_none() {
        return Err("there is nothing to do\nhint: --upstream HOST:PORT names a server to stand in front of; --api answers Toxiproxy's clients".to_owned());
    }
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let [Ok(interrupt), Ok(terminate)] = signals else {
        return Err("cannot listen for signals".to_owned());
    };
    let dialect = args.protocol.as_deref().map(dialect).transpose()?;
    let rules = Arc::new(Rules::parse(&args.faults, args.seed, dialect.as_deref())?);
    let journal = Arc::new(open_journal(args)?);
    let workers = Workers::start(threads(args)).map_err(|error| format!("cannot start threads: {error}"))?;
    let began = Instant::now();
    let common = Common {
        seed: args.seed,
        framing: dialect.map_or(Framing::Raw, |dialect| dialect.framing()),
        rules: Arc::clone(&rules),
        clock: Arc::new(move || began.elapsed().as_nanos() as u64),
        journal: Arc::clone(&journal),
        workers: Arc::new(workers),
    };
    let mut collection = Collection::new(common);
    let api = open(args, &mut collection, output).await?;
    let collection = Arc::new(Mutex::new(collection));
    let answering = api.map(|listener| tokio::spawn(http::serve(listener, Arc::clone(&collection))));
    let time = keep_time(began, rules.later().collect(), &collection);
    until_told(interrupt, terminate, time, flush(&journal, output)).await;
    output.say("closing every connection");
    if let Some(answering) = answering {
        answering.abort();
    }
    collection.lock().await.stop().await;
    journal.flush().map_err(|error| format!("the journal cannot be written: {error}"))
}

/// Opens every port, and says where they are.
async fn open(
    args: &Args,
    collection: &mut Collection,
    output: Output,
) -> Result<Option<TcpListener>, String> {
    if let Some(upstream) = &args.upstream {
        let listen = args.listen.as_deref().unwrap_or("127.0.0.1:0");
        let opened = collection.open(&args.name, listen, upstream).await;
        opened.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    }
    if let Some(path) = &args.config {
        let body = read_bounded(path, http::BODY_BYTES_MAX)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let request = Request { method: "POST", path: "/populate", user_agent: "", body: body.as_bytes() };
        let answer = respond(collection, request).await;
        if answer.status >= 400 {
            let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let why = answer["error"].as_str().unwrap_or("it cannot be used").replace("request body", "file");
            return Err(format!("{}: {why}", path.display()));
        }
    }
    let mut lines: Vec<String> = collection
        .addresses()
        .map(|(name, listen, upstream)| format!("{name}: {listen} -> {upstream}\n"))
        .collect();
    let mut api = None;
    if let Some(address) = &args.api {
        let cannot = |error| format!("cannot listen on {address}: {error}");
        let listener = TcpListener::bind(address.as_str()).await.map_err(cannot)?;
        let address: SocketAddr = listener.local_addr().map_err(cannot)?;
        lines.push(format!("api: http://{address}\n"));
        api = Some(listener);
    }
    output.data(lines.concat().as_bytes()).map_err(|error| format!("cannot print: {error}"))?;
    Ok(api)
}

fn dialect(name: &str) -> Result<Arc<dyn Dialect>, String> {
    let unknown = || {
        let known: Vec<&str> =
            PROTOCOLS.iter().map(|protocol| protocol.name).filter(|name| *name != "exec").collect();
        format!(
            "there is no protocol `{name}` that a proxy could read\nhint: there is {}; without --protocol, bytes pass as they come",
            known.join(", ")
        )
    };
    let protocol = find(name).filter(|protocol| protocol.name != "exec").ok_or_else(unknown)?;
    (protocol.configure)(&std::collections::BTreeMap::new())
}

fn open_journal(args: &Args) -> Result<Journal, String> {
    let Some(path) = &args.journal else { return Ok(Journal::nowhere()) };
    let out: Box<dyn Write + Send> = if path.as_os_str() == "-" {
        Box::new(io::stdout())
    } else {
        Box::new(File::create(path).map_err(|error| format!("{}: {error}", path.display()))?)
    };
    Ok(Journal::new(BufWriter::new(out)))
}

fn threads(args: &Args) -> usize {
    args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

/// Begins and ends the rules that have a time.
async fn keep_time(began: Instant, moments: Vec<Moment>, collection: &Mutex<Collection>) {
    for moment in moments {
        sleep_until(began + Duration::from_nanos(moment.at_ns)).await;
        collection.lock().await.set_fault(moment.fault, moment.active);
    }
    std::future::pending::<()>().await;
}

/// Writes the journal out now and then; that it cannot be written is said once.
async fn flush(journal: &Journal, output: Output) {
    let mut ticks = interval(FLUSH_EVERY);
    let mut was_told = false;
    loop {
        ticks.tick().await;
        if let Err(error) = journal.flush()
            && !std::mem::replace(&mut was_told, true)
        {
            output.error(format!("the journal cannot be written: {error}"));
        }
    }
}

async fn until_told(
    mut interrupt: Signal,
    mut terminate: Signal,
    time: impl Future<Output = ()>,
    flush: impl Future<Output = ()>,
) {
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = time => {}
        () = flush => {}
    }
}
