//! What is well-formed and still makes no sense: a fault after the end, a user that does not exist, a gate that no
//! sample can reach.

use std::collections::BTreeSet;

use crate::diagnostic::Findings;
use crate::places::Part::{Item, Key};
use crate::places::{Part, Places};
use crate::scenario::{Scenario, Step, Workload};
use crate::units::{Parties, Party};

mod faults;

/// Most devices of a run.
pub(crate) const DEVICES_MAX: u64 = 50_000;
/// Most messages of a run's open loop.
pub(crate) const MESSAGES_MAX: f64 = 1_000_000.0;
/// Most memberships of a run: conversations times members.
pub(crate) const MEMBERSHIPS_MAX: u64 = 1_000_000;
/// Most draws for memberships: conversations times users.
pub(crate) const MEMBERSHIP_DRAWS_MAX: u64 = 20_000_000;

/// Checks a scenario; what is wrong goes to `findings`.
pub(crate) fn check(scenario: &Scenario, places: &Places<'_, '_>, findings: &mut Findings<'_>) {
    let mut sense = Sense { scenario, places, findings };
    if scenario.about.trim().is_empty() {
        sense.wrong(&[Key("about")], "`about` is empty", "one sentence: what does this scenario prove?");
    }
    sense.workload();
    sense.conversations();
    sense.devices();
    for (index, step) in scenario.step.iter().enumerate() {
        sense.step(step, index);
    }
    for (index, fault) in scenario.fault.iter().enumerate() {
        faults::check(&mut sense, fault, index);
    }
    sense.expectations();
}

struct Sense<'s, 'p, 'd, 'i, 'f, 't> {
    scenario: &'s Scenario,
    places: &'p Places<'d, 'i>,
    findings: &'f mut Findings<'t>,
}

impl Sense<'_, '_, '_, '_, '_, '_> {
    fn wrong(&mut self, path: &[Part<'_>], message: impl Into<String>, hint: impl Into<String>) {
        self.findings.add(self.places.of(path), message, hint);
    }

    /// As [`Self::wrong`], at the key instead of the value.
    fn wrong_key(&mut self, path: &[Part<'_>], message: impl Into<String>, hint: impl Into<String>) {
        self.findings.add(self.places.of_key(path), message, hint);
    }

    fn workload(&mut self) {
        let Workload { conversations, members, devices, duration, rate, .. } = self.scenario.workload;
        let workload = &self.scenario.workload;
        let users = workload.users_total();
        let here = |key| [Key("workload"), Key(key)];
        if duration.0 == 0 {
            self.wrong(&here("duration"), "a workload of no duration", "say how long it lasts: \"10s\"");
        }
        if users < members {
            let message = format!("{members} members of each conversation, but only {users} users");
            self.wrong(&here("users"), message, "raise `users`, or leave it out");
        }
        if u64::from(users) * u64::from(devices) > DEVICES_MAX {
            let message = format!("{users} users with {devices} devices each are too many");
            self.wrong(&here("users"), message, format!("at most {DEVICES_MAX} devices"));
        }
        if u64::from(conversations) * u64::from(members) > MEMBERSHIPS_MAX
            || u64::from(conversations) * u64::from(users) > MEMBERSHIP_DRAWS_MAX
        {
            let hint = format!("conversations times members is at most {MEMBERSHIPS_MAX}");
            self.wrong(&here("conversations"), "too many memberships", hint);
        }
        let messages = workload.messages_expected();
        if messages > MESSAGES_MAX {
            let message = format!("about {messages:.0} messages are too many for one run");
            self.wrong(
                &here("rate"),
                message,
                format!("at most {MESSAGES_MAX:.0}; `avouch load` is for more"),
            );
        } else if rate.is_some() && messages < 1.0 && duration.0 > 0 {
            self.wrong(
                &here("rate"),
                "not even one message is sent at this rate",
                "raise `rate` or `duration`",
            );
        }
        if rate.is_none() && !self.scenario.step.iter().any(|step| step.send.is_some()) {
            let hint = "give [workload] a `rate`, or add a [[step]] that sends";
            self.wrong(&here("rate"), "nobody ever sends anything", hint);
        }
        if let Some(senders) = &self.scenario.workload.senders {
            self.parties(senders, &here("senders"));
        }
        if workload.membership_changes.is_some() && users <= members && conversations > 0 && members < 3 {
            let hint = "raise `users` above `members`";
            self.wrong(&here("membership_changes"), "nobody can join, and nobody can leave a pair", hint);
        }
    }

    fn conversations(&mut self) {
        let (named, there) = (self.scenario.conversation.len(), self.scenario.workload.conversations);
        if named as u64 > u64::from(there) {
            let message = format!("{named} conversations are described, but there are only {there}");
            self.wrong(&[Key("conversation"), Item(there as usize)], message, "raise `conversations`");
        }
        let users = self.scenario.workload.users_total();
        for (index, entry) in self.scenario.conversation.iter().enumerate() {
            let here = [Key("conversation"), Item(index), Key("members")];
            if entry.members.is_empty() {
                self.wrong(&here, "nobody belongs to it", "name users: members = [\"u0\", \"u1\"]");
            }
            let mut named = BTreeSet::new();
            for (item, user) in entry.members.iter().enumerate() {
                let path = [&here[..], &[Item(item)]].concat();
                if user.0 >= users {
                    self.unknown_user(user.0, &path);
                } else if !named.insert(user.0) {
                    self.wrong(&path, format!("u{} is named twice", user.0), "name each user once");
                }
            }
        }
    }

    fn devices(&mut self) {
        for (index, device) in self.scenario.device.iter().enumerate() {
            let here = |key| [Key("device"), Item(index), Key(key)];
            self.parties(&device.which, &here("which"));
            let end = self.scenario.workload.duration;
            if device.connects_at.is_some_and(|at| at >= end) {
                let message = "the device would connect after the end of the workload";
                self.wrong(&here("connects_at"), message, format!("the workload ends at {end}"));
            }
            if device.connects_at.is_none() && device.consume.is_none() && device.read_marks.is_none() {
                let message = "this entry changes nothing";
                self.wrong(&here("which"), message, "add `connects_at`, `consume` or `read_marks`");
            }
        }
    }

    fn step(&mut self, step: &Step, index: usize) {
        let here = |key| [Key("step"), Item(index), Key(key)];
        let end = self.scenario.workload.duration;
        if step.at > end {
            self.wrong(&here("at"), "the step comes after the end", format!("the workload ends at {end}"));
        }
        self.parties(&step.device, &here("device"));
        let actions =
            [step.send.is_some(), step.read_history.is_some(), step.members.is_some(), step.does.is_some()];
        if actions.iter().filter(|is| **is).count() != 1 {
            let hint = "give it exactly one of `send`, `read_history`, `members`, `does`";
            self.wrong(&here("at"), "a step does one thing", hint);
        }
        let conversations = self.scenario.workload.conversations;
        let send = step.send.as_ref().map(|send| ("send", send.conversation.0));
        let members = step.members.as_ref().map(|members| ("members", members.conversation.0));
        let read = step.read_history.map(|conversation| ("read_history", conversation.0));
        for (key, conversation) in [send, members, read].into_iter().flatten() {
            if conversation >= conversations {
                let message = format!("there is no conversation `c{conversation}`");
                let hint = match conversations {
                    1 => "there is one, c0; raise `conversations` in [workload]".to_owned(),
                    more => format!("the conversations are c0 to c{}", more - 1),
                };
                self.wrong(&[Key("step"), Item(index), Key(key), Key("conversation")], message, hint);
            }
        }
        if let Some(change) = &step.members {
            let users = self.scenario.workload.users_total();
            if change.add.is_empty() && change.remove.is_empty() {
                self.wrong(
                    &here("members"),
                    "nobody joins and nobody leaves",
                    "name users in `add` or `remove`",
                );
            }
            for (list, key) in [(&change.add, "add"), (&change.remove, "remove")] {
                for (item, user) in list.iter().enumerate().filter(|(_, user)| user.0 >= users) {
                    let path = [Key("step"), Item(index), Key("members"), Key(key), Item(item)];
                    self.unknown_user(user.0, &path);
                }
            }
        }
    }

    fn expectations(&mut self) {
        if let Some(abandoned) = &self.scenario.phases.abandoned {
            let here = [Key("phases"), Key("abandoned")];
            self.parties(abandoned, &here);
            if abandoned.0.contains(&Party::Clients) {
                self.wrong(&here, "nobody is left to be healed", "name some clients: \"u1.d1\", \"30%\"");
            }
        }
        let expect = &self.scenario.expect;
        let drain = self.scenario.phases.drain;
        if let Some(within) = expect.recovers_within.filter(|within| *within > drain) {
            let message = format!("{within} is longer than the drain phase, which ends after {drain}");
            self.wrong(&[Key("expect"), Key("recovers_within")], message, "raise `drain` in [phases]");
        }
        let workload = &self.scenario.workload;
        let stepped: f64 = self
            .scenario
            .step
            .iter()
            .filter_map(|step| step.send.as_ref())
            .map(|send| f64::from(send.count))
            .sum();
        let sent = workload.messages_expected() + stepped;
        let recipients = f64::from(workload.members) * f64::from(workload.devices) - 1.0;
        for gate in expect.latency.keys() {
            let samples = if gate.stage == "accepted" { sent } else { sent * recipients };
            let wanted = gate.samples_min();
            if samples < wanted as f64 {
                let name = gate.to_string();
                let message =
                    format!("`{name}` needs {wanted} samples, and there will be about {samples:.0}");
                let hint = "raise `rate` or `duration`, or ask for a lower percentile";
                self.wrong(&[Key("expect"), Key("latency"), Key(&name)], message, hint);
            }
        }
    }

    /// Everybody who is named must exist.
    fn parties(&mut self, parties: &Parties, path: &[Part<'_>]) {
        let users = self.scenario.workload.users_total();
        let devices = self.scenario.workload.devices;
        for (item, party) in parties.0.iter().enumerate() {
            let place = [path, &[Item(item)]].concat();
            match *party {
                Party::User(user) | Party::Device(user, _) if user >= users => {
                    self.unknown_user(user, &place);
                }
                Party::Device(user, device) if device >= devices => {
                    let message = format!("u{user} has no device `d{}`", device + 1);
                    let hint = match devices {
                        1 => "every user has one device, d1; raise `devices` in [workload]".to_owned(),
                        devices => format!("every user has the devices d1 to d{devices}"),
                    };
                    self.wrong(&place, message, hint);
                }
                _ => {}
            }
        }
    }

    fn unknown_user(&mut self, user: u32, path: &[Part<'_>]) {
        let last = self.scenario.workload.users_total().saturating_sub(1);
        self.wrong(path, format!("there is no user `u{user}`"), format!("the users are u0 to u{last}"));
    }
}
