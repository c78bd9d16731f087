//! How fast all checkers together judge a history, and how much memory they need per message.
//!
//! `cargo bench -p avouch --bench check [-- MILLIONS…]` (default: 1 and 10 million messages). Speed is events per
//! CPU-second of this thread (`/proc/self/schedstat`), without making the events; memory is the growth of the resident
//! set (`/proc/self/statm`) while the judge takes the whole history. Linux only.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop anywhere")]
#![allow(missing_docs, reason = "a benchmark has no interface")]

use avouch::check::{GUARANTEES, Judge, Options};
use avouch_reports::history::{
    Conversation, Device, Event, Message, Phase, ReceiptKind, Rung, SessionKind, User, What,
};

const CONVERSATIONS: u32 = 20;
const MEMBERS: u32 = 5;
/// Every device acknowledges each n-th message, and the sender is told.
const ACK_EVERY: u64 = 8;
/// Messages made at a time.
const BATCH: u64 = 20_000;

fn main() {
    let millions: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    for millions in if millions.is_empty() { vec![1, 10] } else { millions } {
        measure(millions * 1_000_000);
    }
}

fn measure(messages: u64) {
    let claims: Vec<String> = GUARANTEES.iter().map(|g| g.id.to_owned()).collect();
    let mut made = Made { events: Vec::new(), at_ns: 0 };
    made.begin();
    // The buffer of events has its full size before memory is looked at.
    (1..=BATCH).for_each(|m| made.message(m, messages));
    made.events.clear();
    (made.at_ns, made.events) = (0, std::mem::take(&mut made.events));
    made.begin();
    let mut judge = Judge::new(&claims, &[], Options::reference());
    let (resident, mut events, mut cpu_ns) = (resident_bytes(), 0u64, 0u64);
    for batch in 0..messages.div_ceil(BATCH) {
        ((batch * BATCH + 1)..=((batch + 1) * BATCH).min(messages)).for_each(|m| made.message(m, messages));
        if (batch + 1) * BATCH >= messages {
            made.end();
        }
        let from_ns = cpu_now_ns();
        made.events.iter().for_each(|event| judge.observe(event));
        cpu_ns += cpu_now_ns() - from_ns;
        events += made.events.len() as u64;
        made.events.clear();
    }
    let grown = resident_bytes().saturating_sub(resident);
    let from_ns = cpu_now_ns();
    let judgements = judge.finish();
    let finish_ns = cpu_now_ns() - from_ns;
    let bad = judgements.iter().filter(|j| j.findings_total > 0).count();
    println!(
        "{messages} messages, {events} events, {} guarantees: {:.2} M events per CPU-second ({:.2} with the conclusion, {:.2} s), \
         {:.1} bytes of state per message; {bad} violated",
        judgements.len(),
        events as f64 * 1e3 / cpu_ns as f64,
        events as f64 * 1e3 / (cpu_ns + finish_ns) as f64,
        finish_ns as f64 / 1e9,
        grown as f64 / messages as f64,
    );
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
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}
