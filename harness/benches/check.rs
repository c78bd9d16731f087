//! How fast all checkers together judge a history, and how much memory they need per message.
//!
//! `cargo bench -p avouch --bench check [-- MILLIONS…]` (default: 1 and 10 million messages in memory, and 1 million
//! from JSON Lines: read, validated and checked). Speed is events per CPU-second of this thread
//! (`/proc/thread-self/schedstat`), without making the events; memory is the growth of the resident set
//! (`/proc/self/statm`) while the judge takes the whole history. Linux only.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop anywhere")]
#![allow(missing_docs, reason = "a benchmark has no interface")]

use std::cell::Cell;
use std::io::{BufReader, Read};
use std::rc::Rc;

use avouch::check::{GUARANTEES, Judge, Options};
use avouch_reports::history::{
    Conversation, Device, Event, Header, HistoryReader, HistoryWriter, Message, Phase, ReadOptions,
    ReceiptKind, Rung, SessionKind, User, What, event_to_line,
};

const CONVERSATIONS: u32 = 20;
const MEMBERS: u32 = 5;
/// Every device acknowledges each n-th message, and the sender is told.
const ACK_EVERY: u64 = 8;
/// Messages made at a time.
const BATCH: u64 = 20_000;

fn main() {
    let millions: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    for millions in if millions.is_empty() { &[1, 10][..] } else { &millions[..] } {
        in_memory(millions * 1_000_000);
    }
    from_lines(millions.first().copied().unwrap_or(1) * 1_000_000);
}

fn judge() -> Judge {
    let claims: Vec<String> = GUARANTEES.iter().map(|g| g.id.to_owned()).collect();
    Judge::new(&claims, &[], Options::reference())
}

fn in_memory(messages: u64) {
    let mut made = Made { events: Vec::new(), at_ns: 0 };
    // The buffer of events has its full size before memory is looked at.
    (1..=BATCH).for_each(|m| made.message(m, messages));
    made.events.clear();
    made.at_ns = 0;
    let mut judge = judge();
    let (resident, mut events, mut cpu_ns) = (resident_bytes(), 0u64, 0u64);
    for batch in 0..messages.div_ceil(BATCH) {
        made.batch(batch, messages);
        let from_ns = cpu_now_ns();
        made.events.iter().for_each(|event| judge.observe(event));
        cpu_ns += cpu_now_ns() - from_ns;
        events += made.events.len() as u64;
        made.events.clear();
    }
    let grown = resident_bytes().saturating_sub(resident);
    let state = format!(", {:.1} bytes of state per message", grown as f64 / messages as f64);
    conclude(judge, "in memory", (messages, events, cpu_ns), &state);
}

/// What `avouch check` does with a stored history, without the disk.
fn from_lines(messages: u64) {
    let made_ns = Rc::new(Cell::new(0));
    let made = Made { events: Vec::new(), at_ns: 0 };
    let header = HistoryWriter::new(Vec::new(), &Header::default()).unwrap().finish().unwrap().1;
    let lines = Lines { made, messages, batch: 0, text: header, taken: 0, made_ns: made_ns.clone() };
    let (mut judge, mut events) = (judge(), 0);
    let from_ns = cpu_now_ns();
    for event in
        HistoryReader::open(BufReader::with_capacity(1 << 16, lines), ReadOptions::default()).unwrap()
    {
        judge.observe(&event.unwrap());
        events += 1;
    }
    let cpu_ns = cpu_now_ns() - from_ns - made_ns.get();
    conclude(judge, "from JSON Lines", (messages, events, cpu_ns), "");
}

fn conclude(judge: Judge, how: &str, (messages, events, cpu_ns): (u64, u64, u64), state: &str) {
    let from_ns = cpu_now_ns();
    let judgements = judge.finish();
    let finish_ns = cpu_now_ns() - from_ns;
    let bad = judgements.iter().filter(|j| j.findings_total > 0).count();
    assert_eq!(bad, 0, "the history is healthy");
    println!(
        "{how:16} {messages:>9} messages, {events:>10} events, {} guarantees: {:>5.2} M events per CPU-second \
         ({:.2} CPU-s, and {:.2} for the conclusion){state}",
        judgements.len(),
        events as f64 * 1e3 / cpu_ns as f64,
        cpu_ns as f64 / 1e9,
        finish_ns as f64 / 1e9,
    );
}

/// A stored history that is made as it is read.
struct Lines {
    made: Made,
    messages: u64,
    batch: u64,
    text: Vec<u8>,
    taken: usize,
    /// CPU time that went into the making.
    made_ns: Rc<Cell<u64>>,
}

impl Read for Lines {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.taken == self.text.len() && self.batch < self.messages.div_ceil(BATCH) {
            let from_ns = cpu_now_ns();
            self.made.batch(self.batch, self.messages);
            self.batch += 1;
            self.taken = 0;
            self.text.clear();
            for event in self.made.events.drain(..) {
                event_to_line(&event, &mut self.text).unwrap();
                self.text.push(b'\n');
            }
            self.made_ns.set(self.made_ns.get() + cpu_now_ns() - from_ns);
        }
        let read = (&self.text[self.taken..]).read(out)?;
        self.taken += read;
        Ok(read)
    }
}

/// Makes a healthy history: groups of five, everything in order.
struct Made {
    events: Vec<Event>,
    at_ns: u64,
}

impl Made {
    fn say(&mut self, what: What) {
        self.at_ns += 1_000;
        self.events.push(Event { at_ns: self.at_ns, what });
    }

    /// The events of one batch of messages; with the first the declarations, with the last the end.
    fn batch(&mut self, batch: u64, messages: u64) {
        if batch == 0 {
            self.begin();
        }
        ((batch * BATCH + 1)..=((batch + 1) * BATCH).min(messages)).for_each(|m| self.message(m, messages));
        if (batch + 1) * BATCH >= messages {
            self.end();
        }
    }

    fn begin(&mut self) {
        for n in 0..CONVERSATIONS * MEMBERS {
            self.say(What::Device { device: Device(n), user: User(n), name: format!("u{n}.d1") });
            self.say(What::Session { device: Device(n), session: SessionKind::New });
        }
        for c in 0..CONVERSATIONS {
            let members = (0..MEMBERS).map(|n| User(c * MEMBERS + n)).collect();
            self.say(What::Conversation { conversation: Conversation(c), name: format!("c{c}"), members });
        }
        self.say(What::Phase { phase: Phase::Chaos });
    }

    fn message(&mut self, m: u64, of: u64) {
        let c = (m % u64::from(CONVERSATIONS)) as u32;
        let position = m.div_ceil(u64::from(CONVERSATIONS));
        let seq = Some(position);
        let from = (m / u64::from(CONVERSATIONS) % u64::from(MEMBERS)) as u32;
        let device = Device(c * MEMBERS + from);
        let (conversation, message) = (Conversation(c), Message(m));
        let (intended_ns, bytes, reply_to) = (self.at_ns, 100, None);
        self.say(What::Send { device, conversation, message, intended_ns, bytes, digest: m | 1, reply_to });
        self.say(What::Accepted { device, message, seq, rung: Rung::Stored });
        let others = (0..MEMBERS).filter(|&n| n != from).map(|n| Device(c * MEMBERS + n));
        for to in others.clone() {
            let (message, digest) = (Some(message), m | 1);
            self.say(What::Delivered { device: to, conversation, message, seq, digest, redelivered: false });
        }
        if position.is_multiple_of(ACK_EVERY) || m + u64::from(CONVERSATIONS) > of {
            for by in others {
                let up_to = position;
                self.say(What::Acknowledged { device: by, conversation, up_to: seq, message: None });
                let kind = ReceiptKind::Delivered;
                for device in (0..MEMBERS).map(|n| Device(c * MEMBERS + n)).filter(|&d| d != by) {
                    self.say(What::Receipt { device, conversation, by, kind, up_to });
                }
            }
        }
    }

    fn end(&mut self) {
        self.say(What::Phase { phase: Phase::Heal });
        self.say(What::Phase { phase: Phase::Drain });
        self.at_ns += 5_000_000_000;
        (0..CONVERSATIONS * MEMBERS).for_each(|n| self.say(What::Quiet { device: Device(n) }));
        self.say(What::Drained { converged: true, missing: String::new() });
    }
}

fn cpu_now_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}
