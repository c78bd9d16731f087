//! The journal in a real directory: who may open it, and what is said of what is not a journal.

use std::fs;
use std::path::PathBuf;

use avouch_server::disk::FileDisk;
use avouch_server::journal::{Journal, JournalError, JournalOptions};
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
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(scratch: &Scratch) -> Result<Journal, JournalError> {
    Journal::open(&FileDisk::new(&scratch.0), JournalOptions::default())
}

fn check(name: &str, contents: &[u8], expected: &str) {
    let scratch = Scratch::new(name);
    fs::write(scratch.0.join("journal.redb"), contents).unwrap();
    let error = open(&scratch).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

/// A journal with some history, and its bytes.
fn a_journal(name: &str) -> (Scratch, Source) {
    let scratch = Scratch::new(name);
    let mut source = Source::default();
    let mut journal = open(&scratch).unwrap();
    for round in 0..10 {
        let batch: Vec<_> = (0..50).map(|index| source.record(round * 1_009 + index * 37)).collect();
        journal.commit(&batch).unwrap();
    }
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
    check("garbage", &b"this is no journal at all. ".repeat(1_000), "not an avouch journal");
    check("short", b"x", "not an avouch journal");
    check("empty", b"", "not an avouch journal");
}

#[test]
fn a_store_of_another_program_is_refused() {
    let scratch = Scratch::new("foreign");
    let database = Database::create(scratch.0.join("journal.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = open(&scratch).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("a store of another program"), "{error}");
}

#[test]
fn a_future_version_is_refused() {
    let (scratch, _) = a_journal("future");
    let database = Database::open(scratch.0.join("journal.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let stamp = TableDefinition::<&str, u32>::new("avouch");
    transaction.open_table(stamp).unwrap().insert("journal format version", 7).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = open(&scratch).map(|_| ()).unwrap_err();
    assert!(matches!(error, JournalError::Future { found: 7 }), "{error}");
}

#[test]
fn a_truncated_journal_is_refused_or_right() {
    let (scratch, source) = a_journal("truncated");
    let whole = fs::read(scratch.0.join("journal.redb")).unwrap();
    for part in [1, 100, 4_000, 4_096, 5_000, 100_000, whole.len() / 2, whole.len() - 4_096, whole.len() - 1]
    {
        fs::write(scratch.0.join("journal.redb"), &whole[..part]).unwrap();
        match open(&scratch).and_then(|journal| journal.recover()) {
            Ok(recovered) => assert_eq!(recovered, source.proposed.recovered(), "cut at {part}"),
            Err(JournalError::Foreign(_) | JournalError::Corrupt(_) | JournalError::Io(_)) => {}
            Err(other) => panic!("cut at {part}: {other}"),
        }
    }
}

#[test]
fn a_first_start_that_was_cut_short_is_begun_again() {
    let scratch = Scratch::new("unpublished");
    fs::write(scratch.0.join("journal.new"), b"half of a header").unwrap();
    assert_eq!(open(&scratch).unwrap().recover().unwrap(), Source::default().proposed.recovered());
}
