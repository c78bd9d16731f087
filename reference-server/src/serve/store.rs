//! Where the journal's work is done: in the engine's task, or on a thread of its own, with another for checkpoints. One
//! batch at a time; reads see durable entries only, and are answered after every commit that they may have seen.
//!
//! What the thread is handed during a sync gathers (see [`queue`]), and makes up the next batch as soon as that sync is over.

mod queue;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread;

use avouch_engine::journal::{Entry, Query, Recovered};
use avouch_engine::limits::LOADS_MAX;
use avouch_engine::server::{LoadFailed, LoadId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, warn};

use super::core::Answer;
use super::{JournalMode, ServeError};
use crate::journal::{Batch, Checkpoint, Checkpointed, Journal, JournalCounters, JournalError, Retired};
use queue::Queue;

/// Commands that may wait for the thread: every read that the engine may have under way, a batch and a question.
const COMMANDS_MAX: usize = LOADS_MAX + 2;

/// The journal behind one of the two modes.
#[derive(Debug)]
pub(super) enum Store {
    Inline(Box<Inline>),
    Thread(Thread),
}

impl Store {
    pub(super) fn new(
        mode: JournalMode,
        journal: Journal,
        batch_records_max: usize,
    ) -> Result<Self, ServeError> {
        match mode {
            JournalMode::Inline => {
                Ok(Self::Inline(Box::new(Inline { journal, answers: VecDeque::new(), durable_at: None })))
            }
            JournalMode::Thread => Thread::start(journal, batch_records_max).map(Self::Thread),
        }
    }

    /// Hands a batch over. Inline, at most one at a time.
    pub(super) fn submit(&mut self, batch: Batch) {
        match self {
            Self::Inline(inline) => inline.submit(batch),
            Self::Thread(thread) => thread.submit(batch),
        }
    }

    pub(super) fn load(&mut self, load: LoadId, query: Query) {
        match self {
            Self::Inline(inline) => {
                let entries = read(&mut inline.journal, &query);
                inline.answers.push_back(Answer::Loaded(load, entries));
            }
            Self::Thread(thread) => thread.send(Command::Load(load, query)),
        }
    }

    /// The next answer. Nothing is lost when the future is dropped.
    pub(super) async fn answer(&mut self) -> Result<Answer, ServeError> {
        match self {
            Self::Inline(inline) => Ok(inline.answer().await),
            Self::Thread(thread) => {
                let answer = thread.answers.recv().await.ok_or(ServeError::JournalThread)?;
                if matches!(answer, Answer::Refused(_)) {
                    // It concerns everything that was handed over until now; what comes next is new.
                    thread.queue.open();
                }
                Ok(answer)
            }
        }
    }

    /// Opens a poisoned journal again, and reads what it holds. Answers that were under way are void.
    pub(super) async fn reopen(&mut self) -> Result<Result<Recovered, JournalError>, ServeError> {
        match self {
            Self::Inline(inline) => {
                inline.answers.clear();
                inline.durable_at = None;
                Ok(reopen(&mut inline.journal))
            }
            Self::Thread(thread) => {
                let recovered = thread.ask(Command::Reopen).await?;
                while thread.answers.try_recv().is_ok() {}
                thread.queue.open();
                Ok(recovered)
            }
        }
    }

    pub(super) async fn counters(&mut self) -> Result<JournalCounters, ServeError> {
        match self {
            Self::Inline(inline) => Ok(inline.journal.counters()),
            Self::Thread(thread) => thread.ask(Command::Counters).await,
        }
    }

    pub(super) async fn close(self) -> Result<Result<(), JournalError>, ServeError> {
        match self {
            Self::Inline(inline) => Ok(inline.journal.close()),
            Self::Thread(mut thread) => thread.ask(Command::Close).await,
        }
    }
}

/// The journal in the engine's task.
#[derive(Debug)]
pub(super) struct Inline {
    journal: Journal,
    answers: VecDeque<Answer>,
    /// When the simulated sync of the batch under way is over.
    durable_at: Option<Instant>,
}

impl Inline {
    fn submit(&mut self, batch: Batch) {
        match self.journal.begin(batch) {
            Ok(delay) if delay.is_zero() => {
                let answer = self.settle();
                self.answers.push_back(answer);
            }
            Ok(delay) => self.durable_at = Some(Instant::now() + delay),
            Err(error) => self.answers.push_back(Answer::from(Err(error))),
        }
    }

    async fn answer(&mut self) -> Answer {
        if let Some(answer) = self.answers.pop_front() {
            return answer;
        }
        let Some(durable_at) = self.durable_at else { return pending().await };
        sleep_until(durable_at).await;
        self.durable_at = None;
        self.settle()
    }

    /// A checkpoint takes no simulated time.
    fn settle(&mut self) -> Answer {
        let answer = Answer::from(self.journal.settle());
        if let (Answer::Committed(_), Some(work)) = (&answer, self.journal.checkpoint()) {
            drop(finish(&mut self.journal, work.run()));
        }
        answer
    }
}

/// The journal on a thread.
#[derive(Debug)]
pub(super) struct Thread {
    commands: blocking::SyncSender<Command>,
    queue: Arc<Queue>,
    answers: mpsc::Receiver<Answer>,
}

#[derive(Debug)]
enum Command {
    /// There is something in the queue.
    Commit,
    Load(LoadId, Query),
    Reopen(oneshot::Sender<Result<Recovered, JournalError>>),
    Counters(oneshot::Sender<JournalCounters>),
    Close(oneshot::Sender<Result<(), JournalError>>),
}

impl Thread {
    fn start(journal: Journal, batch_records_max: usize) -> Result<Self, ServeError> {
        let (commands, received) = blocking::sync_channel(COMMANDS_MAX);
        let (sender, answers) = mpsc::channel(COMMANDS_MAX);
        let checkpoints = Checkpoints::start()?;
        let queue = Arc::new(Queue::new(batch_records_max));
        let worker = Worker { journal, queue: Arc::clone(&queue), checkpoints, is_checkpointing: false };
        spawn("journal", move || work(worker, &received, &sender))?;
        Ok(Self { commands, queue, answers })
    }

    fn submit(&self, batch: Batch) {
        if self.queue.push(batch) {
            self.send(Command::Commit);
        }
    }

    /// Never waits: the engine's limits keep the queue below its capacity. A thread that is gone shows in the answers.
    fn send(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            error!("the journal's thread takes no commands");
        }
    }

    async fn ask<T>(&mut self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, ServeError> {
        let (sender, answer) = oneshot::channel();
        self.send(command(sender));
        answer.await.map_err(|_| ServeError::JournalThread)
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), ServeError> {
    thread::Builder::new().name(name.into()).spawn(work).map(drop).map_err(|_| ServeError::JournalThread)
}

/// The thread. Commits go before reads, but a read that waits is never passed by more than one.
fn work(mut worker: Worker, commands: &blocking::Receiver<Command>, answers: &mpsc::Sender<Answer>) {
    let mut loads = VecDeque::new();
    let (mut has_batches, mut just_committed) = (false, false);
    loop {
        let command = if loads.is_empty() && !has_batches {
            let Ok(command) = commands.recv() else { return };
            Some(command)
        } else {
            commands.try_recv().ok()
        };
        match command {
            Some(Command::Commit) => has_batches = true,
            Some(Command::Load(load, query)) => loads.push_back((load, query)),
            Some(Command::Reopen(asked)) => {
                loads.clear();
                let _ = asked.send(reopen(&mut worker.journal));
            }
            Some(Command::Counters(asked)) => {
                let _ = asked.send(worker.journal.counters());
            }
            Some(Command::Close(asked)) => {
                worker.join_checkpoint();
                let _ = asked.send(worker.journal.close());
                return;
            }
            None => {
                let is_read_due = just_committed && !loads.is_empty();
                let committed = if has_batches && !is_read_due { worker.commit_next() } else { None };
                just_committed = committed.is_some();
                has_batches &= just_committed || is_read_due;
                let read = |(load, query)| Answer::Loaded(load, read(&mut worker.journal, &query));
                let Some(answer) = committed.or_else(|| loads.pop_front().map(read)) else { continue };
                if answers.blocking_send(answer).is_err() {
                    return;
                }
                worker.advance_checkpoint();
            }
        }
    }
}

/// The journal, and who does its checkpoints.
struct Worker {
    journal: Journal,
    queue: Arc<Queue>,
    checkpoints: Checkpoints,
    is_checkpointing: bool,
}

impl Worker {
    /// Makes the next batch durable, if there is one.
    fn commit_next(&mut self) -> Option<Answer> {
        let batch = self.queue.pop()?;
        if self.journal.is_waiting(&batch) {
            debug!("the log is full: a batch waits for the checkpoint");
            self.join_checkpoint();
        }
        let outcome = self.journal.begin(batch).and_then(|_| self.journal.settle());
        if outcome.is_err() {
            self.queue.close();
        }
        Some(Answer::from(outcome))
    }

    /// Takes a result back, and begins what is to do.
    fn advance_checkpoint(&mut self) {
        if let Ok(done) = self.checkpoints.done.try_recv() {
            self.is_checkpointing = false;
            self.finish(done);
        }
        if let Some(work) = self.journal.checkpoint() {
            self.is_checkpointing = self.checkpoints.errands.try_send(Errand::Checkpoint(work)).is_ok();
        }
    }

    fn join_checkpoint(&mut self) {
        if std::mem::take(&mut self.is_checkpointing)
            && let Ok(done) = self.checkpoints.done.recv()
        {
            self.finish(done);
        }
    }

    /// A batch need not wait until a whole generation is freed.
    fn finish(&mut self, done: Checkpointed) {
        if let Some(retired) = finish(&mut self.journal, done) {
            let _ = self.checkpoints.errands.try_send(Errand::Free(retired));
        }
    }
}

/// The thread that does checkpoints: one at a time, and what the one before left behind, so no queue is ever full.
struct Checkpoints {
    errands: blocking::SyncSender<Errand>,
    done: blocking::Receiver<Checkpointed>,
}

/// What the thread does for the journal's.
enum Errand {
    Checkpoint(Checkpoint),
    Free(Retired),
}

/// See `nice(2)`: of the threads that want a processor, this one gets a third of what the others get.
#[cfg(target_os = "linux")]
const CHECKPOINT_NICENESS: i32 = 5;
/// Errands that may wait: see [`Checkpoints`].
const ERRANDS_MAX: usize = 2;

impl Checkpoints {
    fn start() -> Result<Self, ServeError> {
        let (errands, received) = blocking::sync_channel(ERRANDS_MAX);
        let (sender, done) = blocking::sync_channel(1);
        spawn("checkpoint", move || {
            yield_to_commits();
            while let Ok(errand) = received.recv() {
                let done = match errand {
                    Errand::Checkpoint(work) => sender.send(work.run()),
                    Errand::Free(retired) => {
                        drop(retired);
                        Ok(())
                    }
                };
                if done.is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { errands, done })
    }
}

/// A commit has somebody who waits for it; a checkpoint has time until a generation is full. A little only: on a machine
/// that others keep busy, too, it must not fall behind for good.
fn yield_to_commits() {
    // Elsewhere niceness is the process's.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(CHECKPOINT_NICENESS) {
        debug!(%error, "checkpoints have the priority of commits");
    }
}

fn finish(journal: &mut Journal, done: Checkpointed) -> Option<Retired> {
    let retired = journal.checkpointed(done);
    retired.inspect_err(|error| warn!(%error, "a checkpoint failed; it will be tried again")).ok()
}

fn read(journal: &mut Journal, query: &Query) -> Result<Vec<Entry>, LoadFailed> {
    journal.entries(query).map_err(|error| {
        error!(%error, conversation = query.conversation.0, "a page could not be read");
        LoadFailed
    })
}

fn reopen(journal: &mut Journal) -> Result<Recovered, JournalError> {
    journal.reopen()?;
    journal.recover()
}

#[cfg(test)]
mod tests;
