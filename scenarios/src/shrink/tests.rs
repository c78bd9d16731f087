//! What is needed stays, what is not goes, and the result is a file that the parser accepts.

use super::{Size, Tried, resolved, shrink};
use crate::Scenario;
use crate::parse_scenario;
use crate::schedule::{schedule, seed_of};
use crate::units::Time;

/// Every candidate has to be a scenario that makes sense.
fn checked(same: impl Fn(&Scenario) -> bool) -> impl FnMut(&Scenario) -> Tried {
    move |candidate| {
        let text = candidate.to_toml();
        if let Err(refused) = parse_scenario("x", &text) {
            panic!("a candidate is no scenario\n{refused}\n{text}");
        }
        if same(candidate) { Tried::Same } else { Tried::Other }
    }
}

#[test]
fn a_needed_fault_and_a_needed_message_are_what_is_left() {
    let mut tried = 0;
    for run in 0..150 {
        let drawn = schedule(seed_of(5, run)).scenario;
        let needs = |it: &Scenario| it.fault.iter().any(|entry| entry.cut.is_some()) && !it.step.is_empty();
        if !needs(&drawn) {
            continue;
        }
        tried += 1;
        let shrunk = shrink(&drawn, checked(needs));
        assert!(shrunk.is_complete);
        let size = Size::of(&shrunk.scenario);
        assert_eq!((size.clients, size.messages, size.faults), (1, 1, 1), "{}", shrunk.scenario.to_toml());
        assert!(shrunk.tried < 500, "{}", shrunk.tried);
    }
    assert!(tried > 4, "{tried}");
}

#[test]
fn nothing_that_is_needed_is_taken_away() {
    for run in 0..40 {
        let drawn = schedule(seed_of(6, run)).scenario;
        let needs = |it: &Scenario| {
            let sends: u32 =
                it.step.iter().filter_map(|step| step.send.as_ref()).map(|send| send.count).sum();
            let kinds = it.fault.iter().flat_map(crate::fault::FaultEntry::verbs).count();
            sends >= 2 && it.workload.users_total() >= 2 && kinds >= drawn.fault.len().min(2)
        };
        let shrunk = shrink(&drawn, checked(needs));
        assert!(needs(&shrunk.scenario), "{}", shrunk.scenario.to_toml());
    }
}

#[test]
fn what_cannot_be_shrunk_comes_back_as_it_was() {
    let drawn = schedule(9).scenario;
    let shrunk = shrink(&drawn, |_| Tried::Other);
    assert_eq!(shrunk.scenario, drawn);
    assert!(shrunk.is_complete);
    let shrunk = shrink(&drawn, |_| Tried::Enough);
    assert_eq!((shrunk.scenario, shrunk.is_complete, shrunk.tried), (drawn, false, 1));
}

#[test]
fn a_frame_takes_the_place_of_a_time_where_it_can() {
    let text = "about = \"x\"\n[workload]\nduration = \"4s\"\n[[step]]\nat = \"300ms\"\ndevice = \"u0\"\n\
                send = { conversation = \"c0\", count = 4 }\n[[fault]]\npower_loss = {}\nat = \"1234ms\"\n";
    let scenario = parse_scenario("x", text).unwrap();
    let down =
        |it: &Scenario| it.fault.iter().any(|entry| entry.power_loss.is_some() || entry.kill.is_some());
    let shrunk = shrink(&scenario, checked(down)).scenario;
    let kill = shrunk.fault[0].kill.clone().expect("a kill is simpler");
    assert_eq!((kill.after.as_deref(), kill.nth, shrunk.fault[0].at), (Some("send"), Some(1), None));
    assert_eq!(shrunk.workload.duration, Time::ms(10));
}

#[test]
fn an_open_loop_is_written_out_and_means_the_same() {
    let text = "about = \"x\"\n[workload]\nconversations = 2\nmembers = 3\nrate = \"10/s\"\nduration = \"3s\"\nreplies = 0.5\n\
                history_reads = \"1/s\"\nmembership_changes = \"1/s\"\n[[device]]\nwhich = \"30%\"\nconnects_at = \"1s\"\n\
                [[fault]]\nkill = { restart_after = \"100ms\" }\nevery = \"1s\"\nat = \"100ms\"\n\
                [[fault]]\nstall = { link = \"40%\" }\nfor = \"1s\"\n";
    let scenario = parse_scenario("x", text).unwrap_or_else(|refused| panic!("{refused}"));
    let out = resolved(&scenario, 3).unwrap();
    let back =
        parse_scenario("x", &out.to_toml()).unwrap_or_else(|refused| panic!("{refused}\n{}", out.to_toml()));
    let (one, two) = (scenario.plan("x", 3).unwrap(), back.plan("x", 3).unwrap());
    assert_eq!(one.actions, two.actions);
    assert_eq!(one.conversations, two.conversations);
    assert_eq!(one.devices, two.devices);
    assert_eq!(one.users, two.users);
    let whens = |plan: &crate::plan::Plan| {
        plan.faults.iter().map(|fault| (fault.when.clone(), fault.fault.clone())).collect::<Vec<_>>()
    };
    assert_eq!(whens(&one), whens(&two));
}
