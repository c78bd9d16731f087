//! Run folders: what becomes of an earlier run.

use std::fs;

use avouch_reports::run::{End, Run, RunFacts};

use super::folder::{Earlier, HISTORY, RECORD, claim};
use super::{Header, SessionError};

/// A folder of its own for one test, removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("avouch-session-{}-{name}", std::process::id()));
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

/// A record that says nothing at all, which is inconclusive; or one that somebody edited to say that it passed.
fn record(outcome: &str) -> String {
    let mut run = Run::new(Header::default(), RunFacts::new([]));
    run.end = End::Interrupted;
    run.conclude();
    serde_json::to_string(&run).unwrap().replace("\"inconclusive\"", outcome)
}

#[test]
fn a_new_folder_has_nothing_in_it() {
    let scratch = Scratch::new("new");
    let folder = scratch.0.join("a/b-sim-1");
    let (_file, earlier) = claim(&folder).unwrap();
    assert_eq!(earlier, Earlier::Nothing);
    assert_eq!(fs::read(folder.join(HISTORY)).unwrap(), b"");
}

#[test]
fn what_did_not_pass_is_kept_aside() {
    let scratch = Scratch::new("kept");
    let folder = scratch.0.join("a-live-1");
    let check = |record: Option<&str>, expected: &str| {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(HISTORY), expected).unwrap();
        if let Some(record) = record {
            fs::write(folder.join(RECORD), record).unwrap();
        }
        let (_file, earlier) = claim(&folder).unwrap();
        let kept = scratch.0.join(expected);
        assert_eq!(earlier, Earlier::Kept(kept.clone()));
        assert_eq!(fs::read(kept.join(HISTORY)).unwrap(), expected.as_bytes());
        assert!(!folder.join(RECORD).exists(), "only the new history is there");
    };
    check(None, "a-live-1.1");
    check(Some("no record"), "a-live-1.2");
    check(Some(&record("\"inconclusive\"")), "a-live-1.3");
    check(Some(&record("\"passed\"")), "a-live-1.4"); // what a record says of itself is not believed
}

#[test]
fn files_of_others_stay() {
    let scratch = Scratch::new("others");
    fs::write(scratch.0.join("notes.txt"), "mine").unwrap();
    let (_file, earlier) = claim(&scratch.0).unwrap();
    assert_eq!(earlier, Earlier::Nothing);
    assert_eq!(fs::read(scratch.0.join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let scratch = Scratch::new("shared");
    let folder = scratch.0.join("a-sim-1");
    let (first, _) = claim(&folder).unwrap();
    assert!(matches!(claim(&folder), Err(SessionError::InUse { .. })));
    drop(first);
    assert!(matches!(claim(&folder), Ok((_, Earlier::Kept(_)))));
}
