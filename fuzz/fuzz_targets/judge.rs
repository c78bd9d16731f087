//! Foreign histories: whatever a history claims to have seen, it is judged without a panic, each guarantee once, and
//! the same each time. What it concludes is the business of the checkers' own tests.
#![no_main]

use avouch::check::{GUARANTEES, Judge, Options};
use avouch_reports::history::{HistoryReader, ReadOptions};
use avouch_reports::verdict::Judgement;
use libfuzzer_sys::fuzz_target;

const HEADER: &[u8] = b"{\"avouch_history\":1,\"run\":{}}\n";

fuzz_target!(|lines: &[u8]| {
    let history = [HEADER, lines].concat();
    let judgements = judge(&history);
    assert!(
        judgements.iter().map(|judgement| judgement.guarantee.as_str()).eq(GUARANTEES.iter().map(|g| g.id))
    );
    assert_eq!(judgements, judge(&history), "a judgement is a function of the history");
});

fn judge(history: &[u8]) -> Vec<Judgement> {
    let claims: Vec<String> = GUARANTEES.iter().map(|guarantee| guarantee.id.to_owned()).collect();
    let mut judge = Judge::new(&claims, &claims, Options::reference());
    if let Ok(mut reader) = HistoryReader::open(history, ReadOptions { accept_torn: true }) {
        while let Ok(Some(event)) = reader.next_event() {
            judge.observe(&event);
        }
    }
    judge.finish()
}
