//! What a load test sends when: arrivals, senders and payload sizes, drawn from the seed one by one.
//!
//! A scenario's plan lists its actions; a load test has millions, so it is a function from the seed to a stream. Everything
//! is decided before the first message leaves and by message number alone: a slow server moves no later send (an open loop).

mod arrivals;
mod sizes;
#[cfg(test)]
mod tests;

pub use arrivals::{Arrivals, Burst, Stretch, Times};
pub use sizes::{SizeMix, SizePart};

use crate::keyed::{Purpose, again, below, draw};
use crate::scenario::Arrivals as Spread;

const SENDER: Purpose = Purpose::named("load-sender");

/// One of those who send, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Device number.
    pub device: u32,
    /// Conversation number.
    pub conversation: u32,
}

/// Senders who share a part of the messages; everybody among them has the same part of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderShare {
    /// How many; those of the first share come first among all senders.
    pub senders: u32,
    /// Of all messages, in millionths.
    pub ppm: u32,
}

/// One message of a load test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// When it is intended, in nanoseconds since the workload began.
    pub at_ns: u64,
    /// The tool's id: from 1, unique over all shards.
    pub message: u64,
    /// Who sends it where.
    pub sender: Sender,
    /// Payload size in bytes.
    pub bytes: u32,
}

/// Everything that decides what is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// What every choice is drawn from.
    pub seed: u64,
    /// When; of a closed loop only its length counts.
    pub arrivals: Arrivals,
    /// By whom.
    pub senders: Vec<Sender>,
    /// Which of them say how much; empty = all as much.
    pub shares: Vec<SenderShare>,
    /// How large.
    pub sizes: SizeMix,
    /// Which part of a test that several processes share this is (from 0), and how many parts there are.
    pub shard: (u64, u64),
}

impl Schedule {
    /// All messages, by rising time.
    pub fn sends(&self) -> impl Iterator<Item = Send> + '_ {
        let senders = self.senders.len() as u64;
        let times = self.arrivals.times(self.seed ^ self.shard.0);
        times.enumerate().take_while(move |_| senders > 0).map(move |(index, at_ns)| {
            let index = index as u64;
            // With equal gaps everybody's own gaps are equal, too; where not all say as much they cannot be.
            let sender = match (self.shares.is_empty(), self.arrivals.spread) {
                (true, Spread::Constant) => index % senders,
                (true, Spread::Poisson) => below(self.drawn(index), senders),
                (false, _) => self.by_share(self.drawn(index)),
            };
            self.send(index, at_ns, self.senders[sender as usize])
        })
    }

    fn drawn(&self, index: u64) -> u64 {
        draw(self.seed, SENDER, &[self.shard.0, index])
    }

    /// The share first, then who of it.
    fn by_share(&self, drawn: u64) -> u64 {
        let all = self.shares.iter().map(|share| u64::from(share.ppm)).sum();
        let (mut left, mut first) = (below(drawn, all), 0);
        for share in &self.shares {
            if left < u64::from(share.ppm) {
                return first + below(again(drawn, 0), u64::from(share.senders));
            }
            left -= u64::from(share.ppm);
            first += u64::from(share.senders);
        }
        0
    }

    /// The message with that number (from 0) of this shard, by a sender at a time.
    pub fn send(&self, index: u64, at_ns: u64, sender: Sender) -> Send {
        let message = index * self.shard.1.max(1) + self.shard.0 + 1;
        Send { at_ns, message, sender, bytes: self.sizes.of(self.seed, message) }
    }
}
