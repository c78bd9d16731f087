//! Panics in spawned tasks of a simulation are silent: the runtime keeps them in a handle that nobody
//! joins, and the run stays green. So a hook counts them, per thread: a simulated run has a thread of its own.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Panics that are kept in words per thread.
const KEPT_MAX: usize = 8;

/// Counts from now on, in front of whatever hook there is. Safe to call often.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            SEEN.with_borrow_mut(|seen| {
                if seen.len() < KEPT_MAX {
                    seen.push(info.to_string());
                }
            });
            if !IS_QUIET.get() {
                before(info);
            }
        }));
    });
}

/// Calls something whose panic is a finding and not a crash: its words, with their place, instead of an answer. Nothing
/// is printed. What it touched must not be used afterwards, unless a panic leaves it sound.
pub fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    watch();
    take();
    IS_QUIET.set(true);
    let answer = catch_unwind(AssertUnwindSafe(call));
    IS_QUIET.set(false);
    answer.map_err(|_| take().into_iter().next().unwrap_or_else(|| "a panic without words".to_owned()))
}

/// What panicked on this thread since the last call.
pub fn take() -> Vec<String> {
    SEEN.with_borrow_mut(std::mem::take)
}

/// The first panic on this thread, if there was one; it stays.
pub fn first() -> Option<String> {
    SEEN.with_borrow(|seen| seen.first().cloned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_caught_panic_is_told_in_words_and_with_its_place() {
        let answer = super::caught(|| -> u32 { panic!("on purpose") });
        let words = answer.expect_err("it panicked");
        assert!(words.contains("on purpose") && words.contains("panics.rs"), "{words}");
        assert_eq!(super::caught(|| 5), Ok(5));
        assert_eq!(super::first(), None);
    }

    #[test]
    fn a_panic_in_a_spawned_task_is_seen() {
        super::watch();
        super::take();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without io");
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let task = tokio::task::spawn_local(async { panic!("on purpose") });
            assert!(task.await.is_err());
        });
        assert!(super::first().is_some_and(|text| text.contains("on purpose")));
        assert_eq!(super::take().len(), 1);
        assert_eq!(super::first(), None);
    }
}
