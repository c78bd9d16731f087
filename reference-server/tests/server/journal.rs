//! The journal on a simulated disk: whatever happens to the disk, what is recovered is the state after some whole
//! number of batches, among them every batch whose commit was reported as durable.

use avouch_engine::ids::ConversationId;
use avouch_engine::journal::{Memory, Query, Record};
use avouch_server::disk::SimDisk;
use avouch_server::journal::{CommitError, Journal, JournalOptions};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::Source;

const OPTIONS: JournalOptions = JournalOptions { cache_bytes: 1 << 20 };

/// How one life of the server ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The disk stops after some operations, in the middle of whatever is done then; then the power goes.
    PowerDuringWork { operations: u64, seed: u64 },
    /// The power goes while the last batch waits for its sync.
    PowerDuringSync { seed: u64 },
    /// The process is killed while the last batch waits for its sync.
    KillDuringSync,
    /// A sync fails, the journal is opened again and used, then the power goes.
    SyncFails { seed: u64 },
    /// The disk is full for the last batch, and says so or not; then there is room again.
    Full { hidden: bool },
    /// An orderly stop.
    Close,
}

fn an_end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => (0_u64..120, any::<u64>()).prop_map(|(operations, seed)| End::PowerDuringWork { operations, seed }),
        2 => any::<u64>().prop_map(|seed| End::PowerDuringSync { seed }),
        1 => Just(End::KillDuringSync),
        2 => any::<u64>().prop_map(|seed| End::SyncFails { seed }),
        1 => any::<bool>().prop_map(|hidden| End::Full { hidden }),
        1 => Just(End::Close),
    ]
}

fn a_life() -> impl Strategy<Value = (Vec<Vec<u64>>, End)> {
    (vec(vec(any::<u64>(), 1..12), 1..8), an_end())
}

proptest! {
    #[test]
    fn recovers_a_prefix_with_everything_acknowledged(lives in vec(a_life(), 1..6)) {
        let disk = SimDisk::new();
        let mut run = Run::default();
        for (batches, end) in &lives {
            run.live(&disk, batches, *end)?;
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
    fn live(&mut self, disk: &SimDisk, batches: &[Vec<u64>], end: End) -> Result<(), TestCaseError> {
        if let End::PowerDuringWork { operations, .. } = end {
            disk.die_after(operations);
        }
        let mut journal = match Journal::open(disk, OPTIONS) {
            Ok(journal) => journal,
            Err(error) => {
                let End::PowerDuringWork { seed, .. } = end else {
                    return Err(TestCaseError::fail(format!("open: {error}")));
                };
                disk.power_loss(seed);
                return Ok(());
            }
        };
        self.check(&journal)?;
        for (index, choices) in batches.iter().enumerate() {
            let batch: Vec<Record> = choices.iter().map(|choice| self.source.record(*choice)).collect();
            let last = index + 1 == batches.len();
            if last && self.last_batch(disk, &mut journal, &batch, end)? {
                break;
            }
            match journal.commit(&batch) {
                Ok(()) => self.acknowledged(),
                Err(error) => {
                    prop_assert!(matches!(end, End::PowerDuringWork { .. }), "unprovoked: {error}");
                    self.in_doubt();
                    break;
                }
            }
        }
        match end {
            End::PowerDuringWork { seed, .. } | End::PowerDuringSync { seed } | End::SyncFails { seed } => {
                disk.power_loss(seed);
            }
            End::KillDuringSync => disk.kill(),
            End::Full { .. } | End::Close => {
                prop_assert!(journal.close().is_ok());
                return Ok(());
            }
        }
        drop(journal);
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
                prop_assert!(matches!(outcome, Err(CommitError::Poisoned(_))), "{outcome:?}");
                prop_assert!(journal.reopen().is_err(), "the disk still fails");
                disk.fail_syncs(false);
                prop_assert!(journal.reopen().is_ok());
                self.in_doubt();
                self.check(journal)?;
                let more = vec![self.source.record(5)];
                prop_assert!(journal.commit(&more).is_ok());
                self.acknowledged();
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
            End::PowerDuringWork { .. } | End::Close => Ok(false),
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
    fn check(&mut self, journal: &Journal) -> Result<(), TestCaseError> {
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

fn check_logs(journal: &Journal, model: &Memory) -> Result<(), TestCaseError> {
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
        let mut journal = Journal::open(&disk, OPTIONS).unwrap();
        let mut source = Source::default();
        for round in 0..12 {
            let batch: Vec<_> = (0..30).map(|index| source.record(round * 311 + index * 17)).collect();
            journal.begin(&batch).unwrap();
            if round < 11 {
                journal.settle().unwrap();
            }
        }
        disk.power_loss(seed);
        (disk.durable_bytes(), disk.counters())
    };
    for seed in 0..8 {
        assert!(run(seed) == run(seed), "seed {seed}");
    }
    assert!((1..8).any(|seed| run(seed) != run(0)), "the seed decides");
}
