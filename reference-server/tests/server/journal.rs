//! The journal on a simulated disk: whatever happens to the disk, what is recovered is the state after some whole
//! number of batches, among them every batch whose commit was reported as durable.

use avouch_engine::defects::Defects;
use avouch_engine::ids::ConversationId;
use avouch_engine::journal::{Memory, Query, Record};
use avouch_server::disk::{SECTOR_BYTES, SimDisk};
use avouch_server::journal::log::LOG_NAMES;
use avouch_server::journal::{
    Batch, Checkpoint, CommitError, Journal, JournalError, JournalOptions, STORE_NAME,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::Source;

const OPTIONS: JournalOptions =
    JournalOptions { cache_bytes: 1 << 20, segment_bytes: 16 << 20, seed: 7, defects: Defects::NONE };

/// How one life of the server ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The disk stops after some operations, in the middle of whatever is done then; then the power goes.
    PowerDuringWork { operations: u64, seed: u64 },
    /// The same, but what was written stays in the system's cache.
    KillDuringWork { operations: u64 },
    /// The power goes while the last batch waits for its sync.
    PowerDuringSync { seed: u64 },
    /// The process is killed while the last batch waits for its sync.
    KillDuringSync,
    /// A sync fails, the journal is opened again and used, then the power goes.
    SyncFails { seed: u64 },
    /// A sync fails, and the process is killed before it can do anything about it.
    SyncFailsAndKill,
    /// The disk is full for the last batch, and says so or not; then there is room again.
    Full { hidden: bool },
    /// An orderly stop.
    Close,
}

fn an_end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => (0_u64..400, any::<u64>()).prop_map(|(operations, seed)| End::PowerDuringWork { operations, seed }),
        1 => (0_u64..20, any::<u64>()).prop_map(|(operations, seed)| End::PowerDuringWork { operations, seed }),
        2 => (0_u64..400).prop_map(|operations| End::KillDuringWork { operations }),
        2 => any::<u64>().prop_map(|seed| End::PowerDuringSync { seed }),
        1 => Just(End::KillDuringSync),
        2 => any::<u64>().prop_map(|seed| End::SyncFails { seed }),
        1 => Just(End::SyncFailsAndKill),
        1 => any::<bool>().prop_map(|hidden| End::Full { hidden }),
        1 => Just(End::Close),
    ]
}

/// What the caller does about checkpoints after a batch.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Takes none.
    Nothing,
    /// Does what is to do.
    Now,
    /// Takes it and does it when a batch waits for it, if ever.
    Later,
    /// Does it while syncs fail.
    WhileSyncsFail,
    /// Does it while the disk is full.
    WhileFull,
}

fn some_work() -> impl Strategy<Value = Work> {
    prop_oneof![
        3 => Just(Work::Nothing),
        4 => Just(Work::Now),
        2 => Just(Work::Later),
        1 => Just(Work::WhileSyncsFail),
        1 => Just(Work::WhileFull),
    ]
}

#[derive(Clone, Debug)]
struct Life {
    batches: Vec<(Vec<u64>, Work)>,
    end: End,
    segment_bytes: u64,
}

fn a_life() -> impl Strategy<Value = Life> {
    let segment_bytes = prop_oneof![Just(1_u64 << 10), Just(6 << 10), Just(40 << 10)];
    (vec((vec(any::<u64>(), 1..12), some_work()), 1..8), an_end(), segment_bytes)
        .prop_map(|(batches, end, segment_bytes)| Life { batches, end, segment_bytes })
}

proptest! {
    #[test]
    fn recovers_a_prefix_with_everything_acknowledged(lives in vec(a_life(), 1..7)) {
        let disk = SimDisk::new();
        let mut run = Run::default();
        for (seed, life) in (1..).zip(&lives) {
            run.live(&disk, seed, life)?;
        }
    }
}

/// What is known about the disk's contents from outside.
#[derive(Debug, Default)]
struct Run {
    source: Source,
    /// The states that a recovery may find: the last acknowledged one, then one more per batch in doubt.
    possible: Vec<Memory>,
}

impl Run {
    fn live(&mut self, disk: &SimDisk, seed: u64, life: &Life) -> Result<(), TestCaseError> {
        let end = life.end;
        if let End::PowerDuringWork { operations, .. } | End::KillDuringWork { operations } = end {
            disk.die_after(operations);
        }
        match Journal::open(disk, JournalOptions { segment_bytes: life.segment_bytes, seed, ..OPTIONS }) {
            Ok(journal) => self.work(disk, journal, life)?,
            Err(JournalError::Io(_))
                if matches!(end, End::PowerDuringWork { .. } | End::KillDuringWork { .. }) => {}
            Err(error) => return Err(TestCaseError::fail(format!("open: {error}"))),
        }
        match end {
            End::PowerDuringWork { seed, .. } | End::PowerDuringSync { seed } | End::SyncFails { seed } => {
                disk.power_loss(seed);
            }
            End::KillDuringWork { .. } | End::KillDuringSync | End::SyncFailsAndKill => disk.kill(),
            End::Full { .. } | End::Close => {}
        }
        Ok(())
    }

    /// Everything between opening and the end.
    fn work(&mut self, disk: &SimDisk, mut journal: Journal, life: &Life) -> Result<(), TestCaseError> {
        let dies = matches!(life.end, End::PowerDuringWork { .. } | End::KillDuringWork { .. });
        let mut later = None;
        self.check(&mut journal)?;
        for (index, (choices, work)) in life.batches.iter().enumerate() {
            let batch: Vec<Record> = choices.iter().map(|choice| self.source.record(*choice)).collect();
            let last = index + 1 == life.batches.len();
            if journal.is_waiting(&Batch::from(&batch)) || (last && !dies) {
                do_now(&mut journal, &mut later);
            }
            if last && self.last_batch(disk, &mut journal, &batch, life.end)? {
                break;
            }
            match journal.commit(&batch) {
                Ok(()) => self.acknowledged(),
                Err(CommitError::Refused(_)) if dies => break,
                Err(CommitError::Poisoned(_)) if dies => {
                    self.in_doubt();
                    break;
                }
                Err(error) => return Err(TestCaseError::fail(format!("unprovoked: {error}"))),
            }
            if later.is_none() {
                later = journal.checkpoint();
            }
            match work {
                Work::Nothing if later.is_some() => do_now(&mut journal, &mut later),
                Work::Nothing | Work::Later => {}
                Work::Now => do_now(&mut journal, &mut later),
                Work::WhileSyncsFail => {
                    disk.fail_syncs(true);
                    do_now(&mut journal, &mut later);
                    disk.fail_syncs(false);
                }
                Work::WhileFull => {
                    disk.full(true);
                    do_now(&mut journal, &mut later);
                    disk.full(false);
                }
            }
            if !dies {
                let model = self.source.proposed.clone();
                check_state(&mut journal, &model)?;
            }
        }
        if matches!(life.end, End::Full { .. } | End::Close) {
            do_now(&mut journal, &mut later);
            prop_assert!(journal.close().is_ok());
        }
        Ok(())
    }

    /// What is special about a life's last batch; whether it was dealt with.
    fn last_batch(
        &mut self,
        disk: &SimDisk,
        journal: &mut Journal,
        batch: &[Record],
        end: End,
    ) -> Result<bool, TestCaseError> {
        match end {
            End::PowerDuringSync { .. } | End::KillDuringSync => {
                let before = self.possible.last().cloned().unwrap_or_default();
                prop_assert!(journal.begin(batch).is_ok());
                check_logs(journal, &before)?;
                self.in_doubt();
                Ok(true)
            }
            End::SyncFails { .. } => {
                disk.fail_syncs(true);
                let outcome = journal.commit(batch);
                if matches!(outcome, Err(CommitError::Poisoned(_))) {
                    prop_assert!(journal.reopen().is_err(), "the disk still fails");
                    self.in_doubt();
                } else {
                    // A checkpoint had to come first, and that is what failed.
                    prop_assert!(matches!(outcome, Err(CommitError::Refused(_))), "{outcome:?}");
                }
                disk.fail_syncs(false);
                prop_assert!(journal.reopen().is_ok());
                self.check(journal)?;
                let more = vec![self.source.record(5)];
                prop_assert!(journal.commit(&more).is_ok());
                self.acknowledged();
                Ok(true)
            }
            End::SyncFailsAndKill => {
                disk.fail_syncs(true);
                let outcome = journal.commit(batch);
                disk.fail_syncs(false);
                // A checkpoint that had to come first may be what failed.
                match outcome {
                    Err(CommitError::Poisoned(_)) => self.in_doubt(),
                    Err(CommitError::Refused(_)) => {}
                    Ok(()) => return Err(TestCaseError::fail("a sync that failed was not told")),
                }
                Ok(true)
            }
            End::Full { hidden } => {
                disk.hide_free_space(hidden);
                disk.full(true);
                let outcome = journal.commit(batch);
                disk.full(false);
                disk.hide_free_space(false);
                match outcome {
                    // Pages that an earlier transaction gave up may have been enough.
                    Ok(()) if hidden => self.acknowledged(),
                    Err(CommitError::Refused(_)) => {
                        self.source.restart(&self.possible.last().cloned().unwrap_or_default());
                    }
                    // The room ended after the decision was written.
                    Err(CommitError::Poisoned(_)) if hidden => {
                        prop_assert!(journal.reopen().is_ok());
                        self.in_doubt();
                    }
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                }
                self.check(journal)?;
                Ok(true)
            }
            End::PowerDuringWork { .. } | End::KillDuringWork { .. } | End::Close => Ok(false),
        }
    }

    fn acknowledged(&mut self) {
        self.possible = vec![self.source.proposed.clone()];
    }

    fn in_doubt(&mut self) {
        if self.possible.is_empty() {
            self.possible.push(Memory::default());
        }
        self.possible.push(self.source.proposed.clone());
    }

    /// The journal holds one of the possible states; from now on, that one.
    fn check(&mut self, journal: &mut Journal) -> Result<(), TestCaseError> {
        let recovered = journal.recover().map_err(|error| TestCaseError::fail(error.to_string()))?;
        if self.possible.is_empty() {
            self.possible.push(Memory::default());
        }
        let Some(found) = self.possible.iter().find(|model| model.recovered() == recovered).cloned() else {
            let expected: Vec<_> = self.possible.iter().map(Memory::recovered).collect();
            return Err(TestCaseError::fail(format!(
                "recovered {recovered:#?}\nexpected one of {expected:#?}"
            )));
        };
        check_logs(journal, &found)?;
        self.source.restart(&found);
        self.possible = vec![found];
        Ok(())
    }
}

/// Does a checkpoint that was taken; that it may fail is the point.
fn do_now(journal: &mut Journal, work: &mut Option<Checkpoint>) {
    if let Some(work) = work.take() {
        let _ = journal.checkpointed(work.run());
    }
}

fn check_state(journal: &mut Journal, model: &Memory) -> Result<(), TestCaseError> {
    if let Ok(recovered) = journal.recover() {
        prop_assert_eq!(recovered, model.recovered());
        check_logs(journal, model)?;
    }
    Ok(())
}

fn check_logs(journal: &mut Journal, model: &Memory) -> Result<(), TestCaseError> {
    for conversation in (1..=3).map(ConversationId) {
        let mut log = Vec::new();
        loop {
            let query =
                Query { conversation, after: log.len() as u64, entries_max: 7, payload_bytes_max: 9_000 };
            let page = journal.entries(&query).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!(page.len() <= 7);
            if page.is_empty() {
                break;
            }
            log.extend(page);
        }
        prop_assert_eq!(log, model.log(conversation));
    }
    Ok(())
}

#[test]
fn the_dedup_window_is_pruned_to_the_newest_ids() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk, OPTIONS).unwrap();
    let mut source = Source::default();
    for _ in 0..6 {
        let batch: Vec<_> = (0..500).map(|_| source.record(5)).collect();
        journal.commit(&batch).unwrap();
    }
    assert_eq!(journal.recover().unwrap(), source.proposed.recovered());
    assert_eq!(journal.recover().unwrap().devices[0].recent.len(), 1_024);
}

#[test]
fn a_commit_is_one_sync() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk, OPTIONS).unwrap();
    let mut source = Source::default();
    let before = disk.counters().syncs;
    for round in 0..20 {
        let batch: Vec<_> = (0..10).map(|index| source.record(round * 31 + index * 7)).collect();
        journal.commit(&batch).unwrap();
    }
    let syncs = disk.counters().syncs - before;
    assert_eq!(syncs, 20, "growth of the file may cost one more now and then, but not in so small a test");
}

#[test]
fn one_journal_per_disk() {
    let disk = SimDisk::new();
    let journal = Journal::open(&disk, OPTIONS).unwrap();
    let second = Journal::open(&disk, OPTIONS).map(|_| ()).unwrap_err();
    assert_eq!(second.to_string(), "the data directory is in use by another process");
    drop(journal);
    Journal::open(&disk, OPTIONS).unwrap();
}

#[test]
fn the_same_seed_loses_the_same() {
    let run = |seed: u64| {
        let disk = SimDisk::new();
        let mut journal = Journal::open(&disk, JournalOptions { segment_bytes: 8 << 10, ..OPTIONS }).unwrap();
        let mut source = Source::default();
        for round in 0..12 {
            let batch: Vec<_> = (0..30).map(|index| source.record(round * 311 + index * 17)).collect();
            journal.begin(&batch).unwrap();
            if round < 11 {
                journal.settle().unwrap();
            }
        }
        disk.power_loss(seed);
        let files = [LOG_NAMES[0], LOG_NAMES[1], STORE_NAME].map(|name| disk.durable_bytes(name).unwrap());
        (files, disk.counters())
    };
    for seed in 0..8 {
        assert!(run(seed) == run(seed), "seed {seed}");
    }
    assert!((1..8).any(|seed| run(seed) != run(0)), "the seed decides");
}

/// Found by `recovers_a_prefix_with_everything_acknowledged`: a start that did not count the torn block, a longer file
/// whose zeros were what that block lacked, and the next start counted it.
#[test]
fn what_was_not_whole_at_a_start_never_becomes_whole() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk, OPTIONS).unwrap();
    let mut source = Source::default();
    journal.commit(&[source.record(5)]).unwrap();
    let before = source.proposed.recovered();
    let end_of_first = first_free_sector(&disk.durable_bytes(LOG_NAMES[0]).unwrap());
    let batch: Vec<_> = (0..40).map(|index| source.record(5 + index * 192)).collect();
    journal.commit(&batch).unwrap();
    drop(journal);
    let whole = disk.durable_bytes(LOG_NAMES[0]).unwrap();
    let lacked = end_of_first + 1;
    assert!(first_free_sector(&whole) > lacked + 1, "the second block has several sectors");

    let sector = lacked * SECTOR_BYTES..(lacked + 1) * SECTOR_BYTES;
    let mut torn = whole.clone();
    torn[sector.clone()].fill(0);
    disk.restore(LOG_NAMES[0], torn);
    assert_eq!(Journal::open(&disk, OPTIONS).unwrap().recover().unwrap(), before);

    let mut mended = disk.durable_bytes(LOG_NAMES[0]).unwrap();
    mended[sector.clone()].copy_from_slice(&whole[sector]);
    disk.restore(LOG_NAMES[0], mended);
    assert_eq!(Journal::open(&disk, OPTIONS).unwrap().recover().unwrap(), before);
}

/// The number of the first sector behind everything that is not zero.
fn first_free_sector(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last / SECTOR_BYTES + 1)
}

#[test]
fn there_is_no_store_before_it_is_needed() {
    let disk = SimDisk::new();
    let mut source = Source::default();
    for _ in 0..3 {
        let mut journal = Journal::open(&disk, OPTIONS).unwrap();
        assert_eq!(journal.recover().unwrap(), source.proposed.recovered());
        journal.commit(&[source.record(5), source.record(9)]).unwrap();
        assert!(journal.checkpoint().is_none());
        journal.close().unwrap();
    }
    assert_eq!(disk.durable_bytes(STORE_NAME), None);
}

#[test]
fn commits_go_on_during_a_checkpoint() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk, JournalOptions { segment_bytes: 64 << 10, ..OPTIONS }).unwrap();
    let mut source = Source::default();
    let mut commit = |journal: &mut Journal| {
        let batch: Vec<_> = (0..50).map(|_| source.record(5 + 192 * 3)).collect();
        let outcome = journal.commit(&batch);
        if outcome.is_err() {
            source.proposed = Memory::default();
        }
        outcome
    };
    while journal.checkpoint().is_none() {
        commit(&mut journal).unwrap();
    }
    // The work was dropped undone: one more generation fits, then the log is full.
    let refused = (0..100).find_map(|_| commit(&mut journal).err()).unwrap();
    assert!(matches!(refused, CommitError::Refused(_)), "{refused}");
    assert_eq!(journal.counters().refused, 1);
}
