//! The journal in a real directory: who may open it, and what is said of what is not a journal.

use std::fs;
use std::path::PathBuf;

use avouch_engine::defects::Defects;
use avouch_server::disk::FileDisk;
use avouch_server::journal::log::LOG_NAMES;
use avouch_server::journal::log::block::{SegmentHeader, read_segment};
use avouch_server::journal::{Journal, JournalError, JournalOptions, STORE_NAME};
use redb::{Database, TableDefinition};

use crate::model::Source;

/// A directory of its own for one test, removed at the end.
#[derive(Debug)]
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("avouch-server-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    fn write(&self, name: &str, contents: &[u8]) {
        fs::write(self.0.join(name), contents).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(scratch: &Scratch) -> Result<Journal, JournalError> {
    // Small, so that there is a store, too.
    let options = JournalOptions { segment_bytes: 128 << 10, ..JournalOptions::default() };
    Journal::open(&FileDisk::new(&scratch.0), options)
}

fn refused(scratch: &Scratch) -> JournalError {
    open(scratch).and_then(|mut journal| journal.recover()).map(|_| ()).unwrap_err()
}

#[track_caller]
fn check(scratch: &Scratch, expected: &str) {
    let error = refused(scratch).to_string();
    assert!(error.contains(expected), "{error}");
}

/// A journal with some history, in its log and in its store.
fn a_journal(name: &str) -> (Scratch, Source) {
    let scratch = Scratch::new(name);
    let mut source = Source::default();
    let mut journal = open(&scratch).unwrap();
    for round in 0..10 {
        let batch: Vec<_> = (0..50).map(|index| source.record(round * 1_009 + index * 37)).collect();
        journal.commit(&batch).unwrap();
        if let Some(work) = journal.checkpoint() {
            journal.checkpointed(work.run()).unwrap();
        }
    }
    assert!(journal.counters().checkpoints >= 1);
    journal.close().unwrap();
    (scratch, source)
}

#[test]
fn survives_a_restart() {
    let (scratch, source) = a_journal("restart");
    assert_eq!(open(&scratch).unwrap().recover().unwrap(), source.proposed.recovered());
}

#[test]
fn a_second_owner_is_refused() {
    let scratch = Scratch::new("second");
    let _first = open(&scratch).unwrap();
    assert!(matches!(open(&scratch), Err(JournalError::InUse)));
}

#[test]
fn garbage_is_refused() {
    for name in [LOG_NAMES[0], LOG_NAMES[1], STORE_NAME] {
        let (scratch, _) = a_journal("garbage");
        for garbage in [&b"this is no journal at all. ".repeat(1_000)[..], b"x", b""] {
            scratch.write(name, garbage);
            check(&scratch, "not an avouch journal");
        }
    }
}

#[test]
fn a_store_of_another_program_is_refused() {
    let (scratch, _) = a_journal("foreign");
    scratch.remove(STORE_NAME);
    let database = Database::create(scratch.0.join(STORE_NAME)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    check(&scratch, "a store of another program");
}

#[test]
fn a_future_version_is_refused() {
    let (scratch, _) = a_journal("future-store");
    let database = Database::open(scratch.0.join(STORE_NAME)).unwrap();
    let transaction = database.begin_write().unwrap();
    let stamp = TableDefinition::<&str, u64>::new("avouch");
    transaction.open_table(stamp).unwrap().insert("journal format version", 7).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(refused(&scratch), JournalError::Future { found: 7 }));

    let (scratch, _) = a_journal("future-log");
    let mut log = scratch.read(LOG_NAMES[0]);
    log[8..12].copy_from_slice(&9_u32.to_le_bytes());
    scratch.write(LOG_NAMES[0], &log);
    assert!(matches!(refused(&scratch), JournalError::Future { found: 9 }));
}

#[test]
fn the_first_version_is_refused() {
    let scratch = Scratch::new("first-version");
    scratch.write("journal.redb", b"whatever");
    check(&scratch, "format version 1, which was never released");
}

#[test]
fn what_is_missing_is_told() {
    for name in LOG_NAMES {
        let (scratch, _) = a_journal("missing");
        scratch.remove(name);
        check(&scratch, "is missing");
    }
    let (scratch, _) = a_journal("missing-logs");
    for name in LOG_NAMES {
        scratch.remove(name);
    }
    check(&scratch, "the log is missing");
    let (scratch, _) = a_journal("missing-store");
    scratch.remove(STORE_NAME);
    check(&scratch, "something is lost");
}

#[test]
fn files_of_two_journals_do_not_go_together() {
    let (scratch, _) = a_journal("one");
    let other = Scratch::new("other");
    let options = JournalOptions { seed: 99, ..JournalOptions::default() };
    Journal::open(&FileDisk::new(&other.0), options).unwrap().close().unwrap();
    for name in LOG_NAMES {
        scratch.write(name, &other.read(name));
        check(&scratch, "different journals");
    }
}

#[test]
fn a_truncated_store_is_refused_or_right() {
    let (scratch, source) = a_journal("truncated");
    let whole = scratch.read(STORE_NAME);
    for part in [1, 100, 4_000, 4_096, 5_000, 100_000, whole.len() / 2, whole.len() - 4_096, whole.len() - 1]
    {
        scratch.write(STORE_NAME, &whole[..part]);
        match open(&scratch).and_then(|mut journal| journal.recover()) {
            Ok(recovered) => assert_eq!(recovered, source.proposed.recovered(), "cut at {part}"),
            Err(JournalError::Foreign(_) | JournalError::Corrupt(_) | JournalError::Io(_)) => {}
            Err(other) => panic!("cut at {part}: {other}"),
        }
    }
}

#[test]
fn damage_in_the_log_is_told_and_a_torn_end_is_not() {
    let (scratch, source) = a_journal("damage");
    let generation = |name: &&&str| SegmentHeader::decode(&scratch.read(name)).unwrap().generation;
    let newest = LOG_NAMES.iter().max_by_key(generation).unwrap();
    let whole = scratch.read(newest);
    let segment = read_segment(&whole, Defects::NONE).unwrap();
    assert!(segment.blocks.len() >= 2, "{}", segment.blocks.len());
    let mut damaged = whole.clone();
    damaged[600] ^= 1;
    scratch.write(newest, &damaged);
    check(&scratch, "the log is damaged at byte 512, and goes on at byte");
    let mut torn = whole.clone();
    torn[segment.end - segment.blocks.last().unwrap().len_on_disk() + 50] ^= 1;
    scratch.write(newest, &torn);
    let recovered = open(&scratch).unwrap().recover().unwrap();
    assert_ne!(recovered, source.proposed.recovered(), "the last batch is gone");
}

#[test]
fn a_first_start_that_was_cut_short_is_begun_again() {
    let scratch = Scratch::new("unpublished");
    scratch.write("log-a.new", b"half of a header");
    let empty = Source::default().proposed.recovered();
    assert_eq!(open(&scratch).unwrap().recover().unwrap(), empty);
    // The second file is made first.
    scratch.remove(LOG_NAMES[0]);
    assert_eq!(open(&scratch).unwrap().recover().unwrap(), empty);
}
