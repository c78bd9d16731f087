//! Scenario files: whatever the text is, it is a plan or a list of errors that can be shown; the same each time.
#![no_main]

use avouch_scenarios::parse_scenario;
use libfuzzer_sys::fuzz_target;

/// Sends that a plan is expanded for; larger ones only take time.
const SENDS_MAX: usize = 100_000;

fuzz_target!(|input: (u64, &str)| {
    let (seed, text) = input;
    match parse_scenario("fuzz.toml", text) {
        Ok(scenario) => {
            let plan = scenario.plan("fuzz", seed);
            if plan.as_ref().is_ok_and(|plan| plan.actions.len() <= SENDS_MAX) {
                assert_eq!(plan, scenario.plan("fuzz", seed), "a plan is a function of scenario and seed");
            }
        }
        Err(refused) => {
            assert!(!refused.diagnostics.is_empty(), "a refusal says why");
            assert!(!refused.to_string().contains('\u{1b}'), "hostile text is shown escaped");
        }
    }
});
