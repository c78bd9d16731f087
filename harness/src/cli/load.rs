//! `avouch load`: messages by a schedule, and how long they took.

mod crowd;
mod knee;
mod metrics;
mod order;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use avouch_reports::render::write_load_text;
use clap::ValueEnum;

use super::output::Output;
use super::{Exit, Format, exit_of, pages, render_all};
use crate::interrupt::Interrupt;
use crate::load::{Live, Loaded, Order};
use crate::session::{Earlier, SessionError};
use crate::world::live::floor;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is loaded: a name, a target file, PROTOCOL://HOST:PORT of a server that runs, or 'exec:PROGRAM ARGUMENTS'
    #[arg(value_name = "TARGET")]
    target: String,
    /// Where the server of a client program runs [default: only the program knows]
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// The mode of the target [default: its first]
    #[arg(long, value_name = "NAME")]
    mode: Option<String>,
    /// Messages per second, over all senders; several rates are steps of equal length
    #[arg(long, default_value = "500/s", value_delimiter = ',', value_name = "RATE")]
    rate: Vec<String>,
    /// Let the rate change steadily from --rate to this one
    #[arg(long, value_name = "RATE", conflicts_with = "closed")]
    ramp_to: Option<String>,
    /// How sends are spread over time
    #[arg(long, value_enum, default_value_t)]
    arrivals: Arrivals,
    /// So many messages at once, beside --rate, every --burst-every
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000), conflicts_with = "closed")]
    burst: Option<u64>,
    /// How often a burst comes
    #[arg(long, default_value = "1s", value_name = "TIME")]
    burst_every: String,
    /// A closed loop: each sender has at most so many messages under way. Its latencies leave out what users wait for
    #[arg(long, value_name = "WINDOW", value_parser = clap::value_parser!(u32).range(1..=100_000), conflicts_with = "rate")]
    closed: Option<u32>,
    /// How long messages are sent
    #[arg(long, default_value = "10s", value_name = "TIME")]
    duration: String,
    /// Who sends to whom
    #[arg(long, value_enum, default_value_t)]
    shape: ShapeName,
    /// Pairs, groups, or senders of a fan-in; of several --sizes all together
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "COUNT")]
    conversations: Option<u32>,
    /// Conversations of several sizes in place of --shape, each with its share of the messages: "2 80%, 16 15%, 100 5%", or with how
    /// many there are of each: "1000x2 80%, 20x16 20%"
    #[arg(long, value_name = "SIZES", conflicts_with_all = ["shape", "members", "closed"])]
    sizes: Option<String>,
    /// Members of each group
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=10_000), value_name = "COUNT")]
    members: u32,
    /// Further sessions that only stay connected
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=20_000), value_name = "COUNT")]
    idle: u32,
    /// Further sessions that connect while messages flow: all at once in the middle, or at --storm-rate
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=20_000), value_name = "COUNT")]
    storm: u32,
    /// Sessions per second of a storm
    #[arg(long, value_name = "RATE")]
    storm_rate: Option<String>,
    /// Payload sizes: "128 B", "64..512 B", "128 B 90%, 4 KiB 10%"
    #[arg(long, default_value = "128 B", value_name = "SIZES")]
    payload: String,
    /// A fault meanwhile: "pause at 4s for 1s", "kill at 5s for 500ms", or as in a scenario: 'cut = { link = "30%" }, at = "4s"'
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<String>,
    /// An objective over the whole run: "accepted p99 < 50ms"; of one of several --sizes: "delivered p99 < 1s @size 100"; may be
    /// given more than once
    #[arg(long = "slo", value_name = "OBJECTIVE")]
    objectives: Vec<String>,
    /// Raise the rate until an objective, or delivery without loss, breaks; --duration is that of each step
    #[arg(long, conflicts_with_all = ["closed", "burst", "ramp_to", "shard"])]
    find_knee: bool,
    /// Which part of a test that several processes share this is, as in 2/3
    #[arg(long, value_name = "PART/OF")]
    shard: Option<String>,
    /// When the parts begin to send. Milliseconds since the Unix epoch, as `date +%s000` prints them
    #[arg(long, value_name = "TIME")]
    start_at: Option<u64>,
    /// Show live figures to Prometheus at this address, as in 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,
    /// What every random choice is made from
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// The run folder
    #[arg(long, default_value = "avouch-load", value_name = "FOLDER")]
    out: PathBuf,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Arrivals {
    /// Independent of each other, as many people's messages are.
    #[default]
    Poisson,
    /// With equal gaps.
    Constant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ShapeName {
    /// One sends, another receives.
    #[default]
    Pairs,
    /// Everybody sends to everybody in a group.
    Groups,
    /// Many send to one.
    FanIn,
}

pub(super) fn load(args: &Args, output: Output) -> Exit {
    let order = match order::order(args) {
        Ok(order) => order,
        Err(words) => {
            output.error(words.strip_prefix("error: ").unwrap_or(&words));
            return Exit::Usage;
        }
    };
    let live = Live::default();
    if let Some(address) = &args.metrics {
        match metrics::serve(address, live.clone()) {
            Ok(address) => output.say(format!("figures for Prometheus: http://{address}/metrics")),
            Err(error) => {
                output.error(format!("--metrics {address}: {error}\nhint: write 127.0.0.1:9464"));
                return Exit::Usage;
            }
        }
    }
    let done = if args.find_knee { search(&order, &live, output) } else { carry_out(order, &live, output) };
    match done {
        None => Exit::Abandoned,
        Some(Err(error)) => {
            output.error(error);
            Exit::Usage
        }
        Some(Ok(loaded)) => tell(&loaded, args, output),
    }
}

/// Many tests; the record of the best gets what the search found.
fn search(order: &Order, live: &Live, output: Output) -> Option<Result<Loaded, SessionError>> {
    let found = match knee::find(order, output, |order| carry_out(order, live, output))? {
        Ok(found) => found,
        Err(error) => return Some(Err(error)),
    };
    let mut loaded = found.best;
    loaded.record.knee_steps = found.steps;
    loaded.record.knee = Some(found.words);
    if let Err(words) = crate::load::write_record(&loaded.folder, &loaded.record) {
        loaded.complaint.get_or_insert(words);
    }
    Some(Ok(loaded))
}

/// Measures the floor, then carries the test out while somebody may watch; `None` = interrupted twice.
fn carry_out(mut order: Order, live: &Live, output: Output) -> Option<Result<Loaded, SessionError>> {
    let (live, interrupt) = (live.clone(), Interrupt::default());
    let watch = watch::Watch {
        live: live.clone(),
        interrupt: interrupt.clone(),
        duration: Duration::from_nanos(order.plan.phases.chaos_ns),
        output,
    };
    watch.until_done(move || {
        let beside = order.folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        order.noise_floor = Some(floor::measure(beside.unwrap_or(Path::new("."))));
        crate::load::perform(order, interrupt, &live)
    })
}

fn tell(loaded: &Loaded, args: &Args, output: Output) -> Exit {
    let (run, record) = (&loaded.run, &loaded.record);
    match &loaded.earlier {
        Earlier::Kept(path) => output.say(format!("the run that was there is kept as {}", path.display())),
        Earlier::Nothing | Earlier::Replaced => {}
    }
    if let Some(words) = &loaded.complaint {
        output.error(words);
    }
    for reason in &record.reasons {
        output.annotate(run.outcome, "avouch load", reason);
    }
    let bytes = match args.format {
        Format::Text => {
            let mut bytes = Vec::new();
            write_load_text(record, run, &mut bytes).expect("writing to memory does not fail");
            bytes
        }
        Format::Json => serde_json::to_vec_pretty(record).expect("a record is plain JSON"),
        Format::Html => pages::render_run(&loaded.folder, run, output),
        Format::Junit | Format::Markdown => render_all(std::slice::from_ref(run), args.format, output),
    };
    let page = pages::write_run(&loaded.folder, run, output);
    if let Err(words) = &page {
        output.error(words);
    }
    let for_people = if page.is_ok() { " (report.html in it is for people)" } else { "" };
    output.say(format!("run folder: {}{for_people}", loaded.folder.display()));
    let exit = if loaded.complaint.is_some() || page.is_err() { Exit::Usage } else { Exit::Pass };
    output.result(&bytes, exit_of(run.outcome).worse(exit))
}
