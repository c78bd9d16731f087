//! The engine's task: one event, then everything that the engine wants done about it, then the next event.

use std::future::Future;
use std::mem::{replace, take};
use std::pin::{Pin, pin};
use std::sync::Arc;

use avouch_engine::ids::Time;
use avouch_engine::journal::Recovered;
use avouch_engine::server::{ConnectionId, Input};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tracing::{debug, error, info, warn};

use super::connection::{self, Context, Event, FRAMES_OUT_EXPECTED, Outbound};
use super::core::{Answer, Answered, Core, Effect};
use super::store::Store;
use super::{
    ACCEPT_PAUSE, INPUTS_PER_TURN, JournalMode, REOPEN_ATTEMPTS, REOPEN_PAUSE, STOP_TIMEOUT, ServeError,
    ServeOptions, Spawn, Stopped,
};
use crate::listener::Listener;
use crate::metrics::{MetricsSource, Shell as Numbers, Snapshot};
use crate::pause::Gate;

/// Frames of slack between the engine's limit of untaken frames and the channel that holds them.
const UNTAKEN_SLACK: usize = 64;

pub(super) struct Shell {
    core: Core,
    store: Store,
    wall_ms: Box<dyn Fn() -> u64 + Send>,
    started: Instant,
    context: Context,
    connections: FxHashMap<ConnectionId, Outbound>,
    /// Those for which something is gathered, in the order in which that began.
    gathering: Vec<ConnectionId>,
    connections_max: usize,
    next_connection: u64,
    /// Since when the batch under way is under way.
    committing_since: Option<Instant>,
    metrics: Option<MetricsSource>,
    gate: Option<Arc<Gate>>,
    spawn: Spawn,
    numbers: Numbers,
}

impl Shell {
    pub(super) fn new(mut options: ServeOptions, events: mpsc::Sender<Event>) -> Result<Self, ServeError> {
        let recovered = options.journal.recover()?;
        info!(
            conversations = recovered.conversations.len(),
            devices = recovered.devices.len(),
            "the journal is open"
        );
        let untaken_max = options.config.untaken_frames_max + UNTAKEN_SLACK;
        let core = Core::new(options.config, recovered, options.seed)
            .with_batch_records_max(options.batch_records_max);
        Ok(Self {
            core: match options.mode {
                JournalMode::Inline => core,
                JournalMode::Thread => core.with_batches_ahead(),
            },
            store: Store::new(options.mode, options.journal, options.batch_records_max)?,
            wall_ms: options.wall_ms,
            started: Instant::now(),
            context: Context { events, tls: options.tls, untaken_max },
            connections: FxHashMap::default(),
            gathering: Vec::new(),
            connections_max: options.connections_max,
            next_connection: 1,
            committing_since: None,
            metrics: options.metrics,
            gate: options.gate,
            spawn: options.spawn,
            numbers: Numbers::default(),
        })
    }

    pub(super) async fn run<L: Listener>(
        &mut self,
        mut listener: L,
        mut events: mpsc::Receiver<Event>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let mut shutdown = pin!(shutdown);
        let mut timer = pin!(sleep(std::time::Duration::ZERO));
        let mut stop_at = None;
        let mut accept_from = self.started;
        let mut batch = Vec::with_capacity(INPUTS_PER_TURN);
        // A flood of connections must not starve those that are there, nor the other way round.
        let mut just_accepted = false;
        while !self.is_over(stop_at) {
            if let Some(gate) = &self.gate {
                gate.pass().await;
            }
            let is_timed = self.rearm(timer.as_mut(), stop_at);
            let may_accept = stop_at.is_none() && !just_accepted;
            just_accepted = false;
            tokio::select! {
                biased;
                () = &mut shutdown, if stop_at.is_none() => {
                    info!("stopping");
                    stop_at = Some(Instant::now() + STOP_TIMEOUT);
                    self.handle(Input::Stop);
                }
                answer = self.store.answer() => self.on_answer(answer?).await?,
                question = asked(&mut self.metrics) => {
                    let journal = self.store.counters().await?;
                    question.answer(Snapshot { stats: *self.core.stats(), journal, shell: self.numbers.clone() });
                }
                stream = accept(&mut listener, accept_from), if may_accept => {
                    just_accepted = true;
                    accept_from = self.on_accept(stream);
                }
                () = &mut timer, if is_timed => self.handle(Input::Timeout),
                _ = events.recv_many(&mut batch, INPUTS_PER_TURN) => {
                    // What came together happened at the same time: the clocks are read once.
                    let time = self.now();
                    for event in batch.drain(..) {
                        self.on_event(time, event);
                    }
                }
            }
            self.carry_out();
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<Stopped, ServeError> {
        let journal = self.store.counters().await?;
        let stopped = Stopped { stats: *self.core.stats(), journal, reopened: self.numbers.journal_reopened };
        self.store.close().await??;
        Ok(stopped)
    }

    fn is_over(&self, stop_at: Option<Instant>) -> bool {
        let Some(stop_at) = stop_at else { return false };
        let is_quiet = self.core.is_settled() && self.numbers.connections == 0;
        is_quiet || Instant::now() >= stop_at
    }

    /// Sets the timer for the next deadline, if it would be late. Answers whether there is one.
    fn rearm(&self, mut timer: Pin<&mut Sleep>, stop_at: Option<Instant>) -> bool {
        let engine = self.core.next_timeout().map(|at| self.started + std::time::Duration::from_nanos(at.0));
        let Some(next) = engine.into_iter().chain(stop_at).min() else { return false };
        if timer.is_elapsed() || next < timer.deadline() {
            timer.as_mut().reset(next);
        }
        true
    }

    fn handle(&mut self, input: Input) {
        let (now, wall_ms) = self.now();
        self.core.handle(now, wall_ms, input);
    }

    /// The engine's clock and the wall clock.
    fn now(&self) -> (Time, u64) {
        (Time(self.started.elapsed().as_nanos() as u64), (self.wall_ms)())
    }

    fn on_accept<S>(&mut self, stream: std::io::Result<S>) -> Instant
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let now = Instant::now();
        match stream {
            Ok(_) if self.numbers.connections >= self.connections_max as u64 => {
                self.numbers.connections_refused += 1;
                debug!(limit = self.connections_max, "too many connections");
                now
            }
            Ok(stream) => {
                let id = ConnectionId(self.next_connection);
                self.next_connection += 1;
                self.numbers.connections += 1;
                self.numbers.connections_accepted += 1;
                (self.spawn)(Box::pin(connection::run(stream, id, self.context.clone())));
                now
            }
            Err(error) => {
                self.numbers.accept_errors += 1;
                warn!(%error, "a connection could not be accepted");
                now + ACCEPT_PAUSE
            }
        }
    }

    fn on_event(&mut self, (now, wall_ms): (Time, u64), event: Event) {
        let input = match event {
            Event::Opened(id, outbound) => {
                self.connections.insert(id, outbound);
                Input::Connected(id)
            }
            Event::Frames(id, frames) => {
                for bytes in frames {
                    self.core.handle(now, wall_ms, Input::Received(id, bytes));
                }
                return;
            }
            Event::Taken(id, count) => Input::Taken(id, count),
            Event::Ended(id) => {
                self.numbers.connections -= 1;
                if self.connections.remove(&id).is_none() {
                    return;
                }
                Input::Disconnected(id)
            }
        };
        self.core.handle(now, wall_ms, input);
    }

    async fn on_answer(&mut self, answer: Answer) -> Result<(), ServeError> {
        let (now, wall_ms) = self.now();
        match self.core.answer(now, wall_ms, answer) {
            Answered::Committed(count) => {
                let next_since = self.core.is_committing().then(Instant::now);
                if let Some(since) = replace(&mut self.committing_since, next_since) {
                    self.numbers.commit_seconds.record(since.elapsed().as_secs_f64());
                    self.numbers.batch_records.record(count as f64);
                }
            }
            Answered::Refused(outstanding, why) => {
                self.committing_since = None;
                warn!(why, proposals = outstanding, "a batch was refused");
            }
            Answered::StartOver(why) => {
                error!(why, "the journal failed: every connection is dropped and the journal opened again");
                self.start_over().await?;
            }
            Answered::Loaded => {}
        }
        Ok(())
    }

    async fn start_over(&mut self) -> Result<(), ServeError> {
        self.connections.clear();
        self.committing_since = None;
        let recovered = self.reopen().await?;
        self.numbers.journal_reopened += 1;
        self.core.start_over(recovered);
        Ok(())
    }

    async fn reopen(&mut self) -> Result<Recovered, ServeError> {
        let mut attempt = 1;
        loop {
            match self.store.reopen().await? {
                Ok(recovered) => return Ok(recovered),
                Err(error) if attempt == REOPEN_ATTEMPTS => return Err(ServeError::NotReopened(error)),
                Err(error) => warn!(%error, attempt, "the journal could not be opened again"),
            }
            attempt += 1;
            sleep(REOPEN_PAUSE).await;
        }
    }

    fn carry_out(&mut self) {
        loop {
            while let Some(effect) = self.core.poll() {
                match effect {
                    Effect::Transmit(id, frame) => self.gather(id, frame),
                    Effect::Close(id) => {
                        self.hand_over(id);
                        self.connections.remove(&id);
                    }
                    Effect::Commit(batch) => {
                        self.committing_since.get_or_insert_with(Instant::now);
                        self.store.submit(batch);
                    }
                    Effect::Load(load, query) => self.store.load(load, query),
                }
            }
            if self.gathering.is_empty() {
                return;
            }
            // A connection that is gone then gives the engine more to do.
            for id in take(&mut self.gathering) {
                self.hand_over(id);
            }
        }
    }

    fn gather(&mut self, id: ConnectionId, frame: bytes::Bytes) {
        let Some(outbound) = self.connections.get_mut(&id) else { return };
        if outbound.gathered.is_empty() {
            self.gathering.push(id);
            outbound.gathered.reserve(FRAMES_OUT_EXPECTED);
        }
        outbound.gathered.push(frame);
    }

    fn hand_over(&mut self, id: ConnectionId) {
        let Some(outbound) = self.connections.get_mut(&id) else { return };
        if outbound.gathered.is_empty() {
            return;
        }
        let burst = take(&mut outbound.gathered);
        let count = burst.len() as u64;
        if outbound.bursts.try_send(burst).is_err() {
            // Gone, or further behind than the engine allows; it hears of it when the connection has ended.
            self.numbers.frames_dropped += count;
            self.connections.remove(&id);
            self.handle(Input::Disconnected(id));
        }
    }
}

async fn accept<L: Listener>(listener: &mut L, from: Instant) -> std::io::Result<L::Stream> {
    if from > Instant::now() {
        sleep_until(from).await;
    }
    listener.accept().await
}

async fn asked(metrics: &mut Option<MetricsSource>) -> crate::metrics::Question {
    match metrics {
        Some(source) => source.next().await,
        None => std::future::pending().await,
    }
}
