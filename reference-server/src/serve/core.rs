//! What the engine's task decides, without its sockets, its clock and its disk: group commit, refusals, and starting
//! over after a commit with an unknown outcome.
//!
//! Sans-IO like the engine that it owns, because a mistake in this order (an answer before its commit, a wake-up that
//! is lost) is as bad as one in the engine: the tokio shell (`turn`) and the explorer drive this very code. It does
//! not know what a connection is made of, and it does not wait.
//!
//! One turn: any number of [`Core::handle`] and [`Core::answer`], then [`Core::poll`] until `None`.

use avouch_engine::defects::Defect;
use avouch_engine::ids::Time;
use avouch_engine::journal::{Entry, Query, Record, Recovered};
use avouch_engine::server::{
    Config, ConnectionId, Effect as EngineEffect, Input, LoadFailed, LoadId, Server, Stats,
};
use bytes::Bytes;

use crate::journal::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Batch, CommitError, approximate_bytes};

/// An answer of the journal.
#[derive(Debug)]
pub enum Answer {
    /// So many of the oldest records that were handed over are durable.
    Committed(usize),
    /// The batch was definitely without effect, and what was handed over behind it will have none.
    Refused(String),
    /// What became of the batch is unknown; the journal must be reopened.
    Poisoned(String),
    /// A read.
    Loaded(LoadId, Result<Vec<Entry>, LoadFailed>),
}

impl From<Result<usize, CommitError>> for Answer {
    fn from(outcome: Result<usize, CommitError>) -> Self {
        match outcome {
            Ok(records) => Self::Committed(records),
            Err(CommitError::Refused(why)) => Self::Refused(why),
            Err(CommitError::Poisoned(why)) => Self::Poisoned(why),
        }
    }
}

/// What an answer meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// That many proposals are durable.
    Committed(usize),
    /// That many proposals, under way and waiting, were refused, and why.
    Refused(usize, String),
    /// Nothing that the engine believes is certain any more. The caller drops every connection, opens the journal
    /// again, and calls [`Core::start_over`] with what it holds; before that it hands in nothing else.
    StartOver(String),
    /// The engine has its page.
    Loaded,
}

/// What is to be done outside.
#[derive(Debug)]
pub enum Effect {
    /// Hand one whole frame to a connection.
    Transmit(ConnectionId, Bytes),
    /// End a connection, after what was transmitted so far.
    Close(ConnectionId),
    /// Make this durable: one batch, one sync. There is no other before its answer, but see [`Core::with_batches_ahead`].
    Commit(Batch),
    /// Read durable entries, also those of a batch that was answered before.
    Load(LoadId, Query),
}

/// The engine, and how far the journal is with what it has proposed: the oldest proposals are answered (and the engine was
/// not told yet), those behind them were handed over, the rest wait.
pub struct Core {
    engine: Server,
    config: Config,
    seed: u64,
    /// Proposals that the journal has got and not answered.
    handed_over: usize,
    /// See [`Self::with_batches_ahead`].
    hands_ahead: bool,
    /// Answered, but not told to the engine yet: when, by both clocks, and how many.
    committed: Option<(Time, u64, usize)>,
    batch_records_max: usize,
    /// What waits without anybody who will look at it again: always 0, but with a planted defect.
    overslept: usize,
}

impl Core {
    /// Starts from what the journal holds. `seed` feeds jitter only.
    pub fn new(config: Config, recovered: Recovered, seed: u64) -> Self {
        let engine = Server::new(config.clone(), recovered, seed).with_proposals_kept();
        Self {
            engine,
            config,
            seed,
            handed_over: 0,
            hands_ahead: false,
            committed: None,
            batch_records_max: BATCH_RECORDS_MAX,
            overslept: 0,
        }
    }

    /// The same with smaller batches than [`BATCH_RECORDS_MAX`].
    #[must_use]
    pub fn with_batch_records_max(mut self, records: usize) -> Self {
        self.batch_records_max = records.clamp(1, BATCH_RECORDS_MAX);
        self
    }

    /// Hands over what was proposed in a turn at the end of that turn, also while a batch is under way. The caller puts together
    /// what gathers until that is over: then the disk waits for nobody.
    #[must_use]
    pub fn with_batches_ahead(mut self) -> Self {
        // Where nothing waits, nobody can oversleep.
        self.hands_ahead = !self.config.defects.has(Defect::LostWakeUp);
        self
    }

    /// Takes an input of the engine that is no answer of the journal. `wall_ms`: Unix time.
    pub fn handle(&mut self, now: Time, wall_ms: u64, input: Input) {
        self.tell_committed();
        self.engine.handle(now, wall_ms, input);
    }

    /// Takes an answer of the journal.
    pub fn answer(&mut self, now: Time, wall_ms: u64, answer: Answer) -> Answered {
        self.tell_committed();
        match answer {
            Answer::Committed(count) => {
                self.handed_over = self.handed_over.saturating_sub(count);
                self.committed = Some((now, wall_ms, count)).filter(|_| count > 0);
                self.overslept =
                    if self.config.defects.has(Defect::LostWakeUp) { self.waiting().len() } else { 0 };
                Answered::Committed(count)
            }
            Answer::Refused(why) => {
                // All proposals outstanding at this moment fail, also those that no batch has yet.
                let outstanding = self.engine.proposals(0).len();
                self.handed_over = 0;
                self.overslept = 0;
                self.engine.handle(now, wall_ms, Input::Refused(outstanding));
                Answered::Refused(outstanding, why)
            }
            Answer::Poisoned(why) => Answered::StartOver(why),
            Answer::Loaded(load, entries) => {
                self.engine.handle(now, wall_ms, Input::Loaded(load, entries));
                Answered::Loaded
            }
        }
    }

    /// Back to what is durable, as after a restart.
    pub fn start_over(&mut self, recovered: Recovered) {
        self.handed_over = 0;
        self.committed = None;
        self.overslept = 0;
        self.seed = self.seed.wrapping_add(1);
        self.engine = Server::new(self.config.clone(), recovered, self.seed).with_proposals_kept();
    }

    /// The next thing to do outside, until `None`. What gathered during a commit is handed over as soon as that is over, so
    /// that the disk works while the engine answers; otherwise a batch comes last, and has all that was proposed in this
    /// turn.
    pub fn poll(&mut self) -> Option<Effect> {
        if self.committed.is_some() {
            if let Some(batch) = self.next_batch() {
                return Some(Effect::Commit(batch));
            }
            self.tell_committed();
        }
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                EngineEffect::Transmit(connection, frame) => {
                    return Some(Effect::Transmit(connection, frame));
                }
                EngineEffect::Close(connection) => return Some(Effect::Close(connection)),
                EngineEffect::Load(load, query) => return Some(Effect::Load(load, query)),
                // Its proposals stay where they are until there is a batch of them.
                EngineEffect::Propose(_) => {}
            }
        }
        self.next_batch().map(Effect::Commit)
    }

    /// When [`Input::Timeout`] is wanted next.
    pub fn next_timeout(&self) -> Option<Time> {
        self.engine.next_timeout()
    }

    /// Whether nothing is on its way to the journal.
    pub fn is_settled(&self) -> bool {
        self.engine.proposals(0).len() == 0
    }

    /// What happened since the journal was last opened, in numbers.
    pub fn stats(&self) -> &Stats {
        self.engine.stats()
    }

    fn tell_committed(&mut self) {
        if let Some((now, wall_ms, count)) = self.committed.take() {
            self.engine.handle(now, wall_ms, Input::Committed(count));
        }
    }

    /// Whether the journal has something to do.
    pub fn is_committing(&self) -> bool {
        self.handed_over > 0
    }

    /// What the journal has not got yet.
    fn waiting(&self) -> impl ExactSizeIterator<Item = &Record> + Clone {
        let answered = self.committed.map_or(0, |(_, _, count)| count);
        self.engine.proposals(answered + self.handed_over)
    }

    /// If something waits, and there is no other under way or that does not matter.
    fn next_batch(&mut self) -> Option<Batch> {
        if self.is_committing() && !self.hands_ahead {
            return None;
        }
        let waiting = self.waiting();
        if waiting.len() <= self.overslept {
            return None;
        }
        let mut bytes = 0;
        let fitting = waiting.clone().take(self.batch_records_max).take_while(|record| {
            let fits = bytes < BATCH_BYTES_MAX;
            bytes += approximate_bytes(record);
            fits
        });
        let count = fitting.count();
        let batch = Batch::of(waiting.take(count));
        self.handed_over += count;
        self.overslept = 0;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use avouch_engine::auth;
    use avouch_engine::client::{
        Client, Config as ClientConfig, Effect as ClientEffect, Input as ClientInput,
    };
    use avouch_engine::ids::{DeviceId, DeviceKey, UserId};

    use super::*;

    const HERE: ConnectionId = ConnectionId(1);

    fn core() -> Core {
        let config = Config { secret: Bytes::from_static(b"test"), ..Config::default() };
        Core::new(config, Recovered::default(), 1)
    }

    /// A hello of that device arrives on a connection of its own: the engine proposes a record for its installation.
    fn hello(core: &mut Core, device: u32) {
        let key = DeviceKey { user: UserId(1), device: DeviceId(device) };
        let connection = ConnectionId(u64::from(device));
        let mut client =
            Client::new(ClientConfig::default(), key, auth::token(b"test", key, u64::MAX), u64::from(device));
        client.handle(Time(0), ClientInput::Connected);
        core.handle(Time(0), 0, Input::Connected(connection));
        while let Some(effect) = client.poll_effect() {
            if let ClientEffect::Transmit(frame) = effect {
                core.handle(Time(0), 0, Input::Received(connection, frame));
            }
        }
    }

    fn effects(core: &mut Core) -> Vec<Effect> {
        std::iter::from_fn(|| core.poll()).collect()
    }

    #[test]
    fn what_gathers_during_a_commit_makes_up_the_next_batch() {
        let mut core = core();
        hello(&mut core, 1);
        let first = effects(&mut core);
        assert!(matches!(&first[..], [Effect::Commit(batch)] if batch.len() == 1), "{first:?}");
        hello(&mut core, 2);
        hello(&mut core, 3);
        let meanwhile = effects(&mut core);
        assert!(meanwhile.is_empty(), "one batch at a time, and no answer before it: {meanwhile:?}");
        assert_eq!(core.answer(Time(1), 0, Answer::Committed(1)), Answered::Committed(1));
        let second = effects(&mut core);
        assert!(matches!(second.first(), Some(Effect::Commit(batch)) if batch.len() == 2), "{second:?}");
        assert!(matches!(second.last(), Some(Effect::Transmit(HERE, _))), "{second:?}");
        assert!(!core.is_settled());
        assert_eq!(core.answer(Time(2), 0, Answer::Committed(2)), Answered::Committed(2));
        effects(&mut core);
        assert!(core.is_settled());
    }

    #[test]
    fn batches_ahead_are_answered_in_order_and_in_any_portions() {
        let mut core = core().with_batches_ahead();
        for device in 1..=3 {
            hello(&mut core, device);
            let effects = effects(&mut core);
            assert!(matches!(&effects[..], [Effect::Commit(batch)] if batch.len() == 1), "{effects:?}");
        }
        assert_eq!(core.answer(Time(1), 0, Answer::Committed(2)), Answered::Committed(2));
        assert!(core.is_committing());
        let welcomed = effects(&mut core);
        let expected = [ConnectionId(1), ConnectionId(2)];
        let connections: Vec<_> = welcomed
            .iter()
            .filter_map(|effect| if let Effect::Transmit(id, _) = effect { Some(*id) } else { None })
            .collect();
        assert_eq!(connections, expected, "{welcomed:?}");
        let refused = core.answer(Time(2), 0, Answer::Refused("no room".into()));
        assert_eq!(refused, Answered::Refused(1, "no room".into()));
        effects(&mut core);
        assert!(core.is_settled() && !core.is_committing());
    }

    #[test]
    fn a_refusal_takes_what_waits_with_it() {
        let mut core = core();
        hello(&mut core, 1);
        effects(&mut core);
        hello(&mut core, 2);
        effects(&mut core);
        let answered = core.answer(Time(1), 0, Answer::Refused("no room".into()));
        assert_eq!(answered, Answered::Refused(2, "no room".into()));
        let after = effects(&mut core);
        assert!(!after.iter().any(|effect| matches!(effect, Effect::Commit(_))), "{after:?}");
        assert!(core.is_settled());
    }

    #[test]
    fn starting_over_forgets_what_is_not_durable() {
        let mut core = core();
        hello(&mut core, 1);
        effects(&mut core);
        hello(&mut core, 2);
        let answered = core.answer(Time(1), 0, Answer::Poisoned("sync failed".into()));
        assert_eq!(answered, Answered::StartOver("sync failed".into()));
        core.start_over(Recovered::default());
        assert!(effects(&mut core).is_empty());
        assert!(core.is_settled());
        assert_eq!(core.next_timeout(), None);
    }
}
