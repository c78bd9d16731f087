//! What a person reads when a scenario is wrong: the texts are reviewed artefacts, held here as they are shown.

use crate::parse_scenario;

/// A scenario with nothing wrong, to which a test adds what is.
const WORKLOAD: &str = "about = \"x\"\n[workload]\nrate = \"50/s\"\nduration = \"10s\"\n";

#[track_caller]
fn check(text: &str, expected: &str) {
    let refused = parse_scenario("x.toml", text).expect_err("the scenario is wrong").to_string();
    assert_eq!(refused, expected.trim_end_matches('\n').trim_start_matches('\n'), "\n{refused}\n");
}

/// As [`check`], after [`WORKLOAD`].
#[track_caller]
fn check_after(text: &str, expected: &str) {
    check(&format!("{WORKLOAD}{text}"), expected);
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    check_after(
        r#"[[fault]]
cut = { link = "clients", before = "accepted", probabilty = 0.02 }"#,
        r#"
error: unknown key `probabilty`
 --> x.toml:6:48
  |
6 | cut = { link = "clients", before = "accepted", probabilty = 0.02 }
  |                                                ^^^^^^^^^^
hint: did you mean `probability`?
"#,
    );
    check_after(
        r"[[fault]]
kil = {}",
        r"
error: unknown key `kil`
 --> x.toml:6:1
  |
6 | kil = {}
  | ^^^
hint: did you mean `kill`?
",
    );
}

#[test]
fn a_key_beside_the_table_it_belongs_to_is_sent_there() {
    check_after(
        r#"[[fault]]
cut = { before = "accepted" }
probability = 0.02"#,
        r"
error: unknown key `probability`
 --> x.toml:7:1
  |
7 | probability = 0.02
  | ^^^^^^^^^^^
hint: it belongs inside `cut`: cut = { probability = … }
",
    );
}

#[test]
fn several_errors_are_shown_at_once() {
    check(
        r#"about = "x"
[workload]
members = 0
rate = "50"
duration = 10
payload = "8..512 B"
arrivals = "posson"
replies = 30
senders = "everybody""#,
        r#"
error: 0 is out of range
 --> x.toml:3:11
  |
3 | members = 0
  |           ^
hint: it lies between 1 and 10000

error: `50` does not say per what
 --> x.toml:4:8
  |
4 | rate = "50"
  |        ^^^^
hint: write "200/s", "0.5/s", "90/min"

error: 10 has no unit
 --> x.toml:5:12
  |
5 | duration = 10
  |            ^^
hint: write it as text: "30s", "250ms", "1.5 min"

error: 8 B is too small
 --> x.toml:6:11
  |
6 | payload = "8..512 B"
  |           ^^^^^^^^^^
hint: at least 32 B: a payload carries the tool's own id and check

error: `posson` is not known here
 --> x.toml:7:12
  |
7 | arrivals = "posson"
  |            ^^^^^^^^
hint: did you mean `poisson`?

error: 30 is more than the whole
 --> x.toml:8:11
  |
8 | replies = 30
  |           ^^
hint: it lies between 0 and 1; for percent write "30%"

error: `everybody` names no client
 --> x.toml:9:11
  |
9 | senders = "everybody"
  |           ^^^^^^^^^^^
hint: write "clients", "u1", "u1.d2", "30%", or a list of these
"#,
    );
}

#[test]
fn wrong_values_are_shown_with_what_to_write() {
    check_after(
        r#"[[fault]]
cut = { before = "accepted", probability = 1.5 }
[[fault]]
kill = { restart_after = "3" }
at = "1 day""#,
        r#"
error: 1.5 is more than the whole
 --> x.toml:6:44
  |
6 | cut = { before = "accepted", probability = 1.5 }
  |                                            ^^^
hint: it lies between 0 and 1; for percent write "1.5%"

error: `3` has no unit
 --> x.toml:8:26
  |
8 | kill = { restart_after = "3" }
  |                          ^^^
hint: write "30s", "250ms", "1.5 min"

error: days cannot be waited for
 --> x.toml:9:6
  |
9 | at = "1 day"
  |      ^^^^^^^
hint: at most 24h; for a long absence, say how much piles up meanwhile
"#,
    );
}

#[test]
fn names_must_exist() {
    check_after(
        r#"[[fault]]
kill = { node = "n2" }
at = "1s"
[[fault]]
stall = { link = ["u0", "u1.d2", "u7"] }
[[step]]
at = "1s"
device = "u0"
send = { conversation = "c3" }"#,
        r#"
error: there is no node `n2`
 --> x.toml:6:17
  |
6 | kill = { node = "n2" }
  |                 ^^^^
hint: the cluster has one node, n1; raise `nodes` in [cluster]

error: u1 has no device `d2`
 --> x.toml:9:25
  |
9 | stall = { link = ["u0", "u1.d2", "u7"] }
  |                         ^^^^^^^
hint: every user has one device, d1; raise `devices` in [workload]

error: there is no user `u7`
 --> x.toml:9:34
  |
9 | stall = { link = ["u0", "u1.d2", "u7"] }
  |                                  ^^^^
hint: the users are u0 to u1

error: there is no conversation `c3`
  --> x.toml:13:25
   |
13 | send = { conversation = "c3" }
   |                         ^^^^
hint: there is one, c0; raise `conversations` in [workload]
"#,
    );
    check_after(
        r#"[network]
profile = "4G""#,
        r#"
error: `4G` is not a network profile
 --> x.toml:6:11
  |
6 | profile = "4G"
  |           ^^^^
hint: did you mean `4g`?
"#,
    );
    check_after(
        r#"[expect]
guarantees = ["no-loss", "no-los"]"#,
        r#"
error: `no-los` is not a guarantee
 --> x.toml:6:26
  |
6 | guarantees = ["no-loss", "no-los"]
  |                          ^^^^^^^^
hint: did you mean `no-loss`?
"#,
    );
}

#[test]
fn times_must_make_sense() {
    check_after(
        r#"[[fault]]
kill = {}
at = "11s"
[[fault]]
kill = {}
[[fault]]
pause = {}
every = "2s"
for = "3s"
[[fault]]
takeover = {}
at = "1s"
for = "1s"
[[fault]]
kill = { after = "accepted" }
at = "1s""#,
        r#"
error: the fault comes after the end
 --> x.toml:7:6
  |
7 | at = "11s"
  |      ^^^^^
hint: the workload ends at 10s

error: it is not said when `kill` happens
 --> x.toml:9:1
  |
9 | kill = {}
  | ^^^^
hint: add `at` or `every`

error: it comes again every 2s, but takes 3s
  --> x.toml:12:9
   |
12 | every = "2s"
   |         ^^^^
hint: make the time between two longer than each one lasts

error: `takeover` happens at one moment
  --> x.toml:17:7
   |
17 | for = "1s"
   |       ^^^^
hint: leave `for` out

error: a frame says when this fault comes
  --> x.toml:20:6
   |
20 | at = "1s"
   |      ^^^^
hint: leave `at` out
"#,
    );
}

#[test]
fn one_entry_is_one_fault() {
    check_after(
        r#"[[fault]]
at = "1s""#,
        r"
error: this fault does nothing
 --> x.toml:5:1
  |
5 | [[fault]]
  | ^^^^^^^^^
hint: give it one of kill, pause, restart, power_loss, slow_sync, fail_sync, disk_full, clock_skew, delay, rate, stall, half_open, partition, cut, slice, drop, duplicate, reorder, corrupt, offline, takeover, reconnect_storm, slow_consumer
",
    );
    check_after(
        r#"[[fault]]
at = "1s"
kill = {}
pause = {}"#,
        r"
error: two faults in one entry
 --> x.toml:8:1
  |
8 | pause = {}
  | ^^^^^
hint: give each its own [[fault]]
",
    );
}

#[test]
fn frames_must_make_sense() {
    check_after(
        r#"[[fault]]
drop = {}
[[fault]]
cut = { before = "accepted" }
[[fault]]
duplicate = { nth = 3 }
[[fault]]
cut = { at_byte = 5 }"#,
        r#"
error: `drop` would hit every frame until the end
 --> x.toml:6:1
  |
6 | drop = {}
  | ^^^^
hint: add `probability`, `nth`, `on` or `for`

error: a cut at every `accepted` leaves no connection
 --> x.toml:8:1
  |
8 | cut = { before = "accepted" }
  | ^^^
hint: add `nth` or `probability`

error: it is not said the n-th of what
  --> x.toml:10:21
   |
10 | duplicate = { nth = 3 }
   |                     ^
hint: name the kind of frame: `on`

error: it is not said which direction's bytes count
  --> x.toml:12:19
   |
12 | cut = { at_byte = 5 }
   |                   ^
hint: bytes are counted per direction: add direction = "up" or "down"
"#,
    );
}

#[test]
fn partitions_must_have_two_sides() {
    check_after(
        r#"[[fault]]
partition = {}
[[fault]]
partition = { nodes = ["n1"], from = "n1" }"#,
        r#"
error: it is not said who is parted
 --> x.toml:6:1
  |
6 | partition = {}
  | ^^^^^^^^^
hint: name the `link` of some clients, or `nodes`

error: a node is on both sides
 --> x.toml:8:38
  |
8 | partition = { nodes = ["n1"], from = "n1" }
  |                                      ^^^^
hint: name each node once

error: an only node can be parted from the clients only
 --> x.toml:8:38
  |
8 | partition = { nodes = ["n1"], from = "n1" }
  |                                      ^^^^
hint: write from = "clients"
"#,
    );
}

#[test]
fn gates_need_samples() {
    check_after(
        r#"[expect]
recovers_within = "2 min"
[expect.latency]
accepted_p99 = "1s""#,
        r#"
error: 2min is longer than the drain phase, which ends after 1min
 --> x.toml:6:19
  |
6 | recovers_within = "2 min"
  |                   ^^^^^^^
hint: raise `drain` in [phases]

error: `accepted_p99` needs 1000 samples, and there will be about 500
 --> x.toml:8:16
  |
8 | accepted_p99 = "1s"
  |                ^^^^
hint: raise `rate` or `duration`, or ask for a lower percentile
"#,
    );
    check_after(
        r#"[expect.latency]
acceptd_p50 = "1s""#,
        r#"
error: `acceptd` is not a stage of a message
 --> x.toml:6:1
  |
6 | acceptd_p50 = "1s"
  | ^^^^^^^^^^^
hint: did you mean `accepted`?
"#,
    );
}

#[test]
fn kinds_of_values_are_named_in_words() {
    check_after(
        r"[fault]
kill = {}",
        r"
error: a table stands where a list is wanted
 --> x.toml:5:1
  |
5 | [fault]
  | ^^^^^^^
hint: write it with two brackets: [[…]]
",
    );
    check_after(
        r#"[cluster]
nodes = "3""#,
        r#"
error: a text stands where a whole number is wanted
 --> x.toml:6:9
  |
6 | nodes = "3"
  |         ^^^
hint: write 3 without quotes
"#,
    );
    check_after(
        r"[[fault]]
slice = {}",
        r"
error: `bytes` is missing
 --> x.toml:6:9
  |
6 | slice = {}
  |         ^^
hint: bytes in the largest piece
",
    );
}

#[test]
fn what_is_missing_is_said() {
    check(
        r"# nothing yet",
        r"
error: `about` is missing
 --> x.toml:1:1
  |
1 | # nothing yet
  | ^
hint: one sentence: what this scenario proves

error: `workload` is missing
 --> x.toml:1:1
  |
1 | # nothing yet
  | ^
hint: what the clients do
",
    );
    check(
        r#"about = "x"
[workload]
duration = "1s""#,
        r"
error: nobody ever sends anything
 --> x.toml:2:1
  |
2 | [workload]
  | ^^^^^^^^^^
hint: give [workload] a `rate`, or add a [[step]] that sends
",
    );
}

#[test]
fn syntax_errors_are_shown_like_all_others() {
    check(
        r"about = x
[workload
duration = 1s",
        r"
error: string values must be quoted, expected literal string
 --> x.toml:1:9
  |
1 | about = x
  |         ^

error: unclosed table, expected `]`
 --> x.toml:2:10
  |
2 | [workload
  |          ^
",
    );
    check(
        r#"about = "x"
[workload]
duration = "1s"
duration = "2s""#,
        r#"
error: duplicate key
 --> x.toml:4:1
  |
4 | duration = "2s"
  | ^^^^^^^^
"#,
    );
}

#[test]
fn a_file_from_the_future_gets_its_own_error() {
    check(
        r"version = 2
nonsense = true",
        r"
error: this file is of version 2, which this build does not know
 --> x.toml:1:11
  |
1 | version = 2
  |           ^
hint: this build reads version 1; a newer one may read more
",
    );
}

#[test]
fn the_caret_stands_below_wide_characters_too() {
    check(
        r#"about = "谁也不丢"
workload = { duration = "一秒", rate = "5/s" }"#,
        r#"
error: `一秒` is not a unit of time
 --> x.toml:2:25
  |
2 | workload = { duration = "一秒", rate = "5/s" }
  |                         ^^^^^^
hint: units of time are ns, us, ms, s, min, h
"#,
    );
}

#[test]
fn hostile_text_does_no_harm() {
    check(
        r#"about = "x"
"\u001b[31m" = 1
[workload]
duration = "1s"
rate = "5/s""#,
        r#"
error: unknown key `?[31m`
 --> x.toml:2:1
  |
2 | "\u001b[31m" = 1
  | ^^^^^^^^^^^^
hint: known keys here: about, cluster, conversation, device, expect, fault, network, phases, seed, step, version, workload
"#,
    );
    check(
        r#"about = "x"
[workload]
duration = "1s"
rate = "5/s"
payload = "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999""#,
        r#"
error: `99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999…
 --> x.toml:5:11
  |
5 | payload = "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999…
  |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: units of size are B, kB (1,000 B), KiB (1,024 B), MB, MiB
"#,
    );
}

#[test]
fn conversations_that_are_described_must_make_sense() {
    check_after(
        r#"[[conversation]]
members = ["u0", "u5", "u0"]
[[conversation]]
members = []"#,
        r#"
error: there is no user `u5`
 --> x.toml:6:18
  |
6 | members = ["u0", "u5", "u0"]
  |                  ^^^^
hint: the users are u0 to u1

error: u0 is named twice
 --> x.toml:6:24
  |
6 | members = ["u0", "u5", "u0"]
  |                        ^^^^
hint: name each user once

error: 2 conversations are described, but there are only 1
 --> x.toml:7:1
  |
7 | [[conversation]]
  | ^^^^^^^^^^^^^^^^
hint: raise `conversations`

error: nobody belongs to it
 --> x.toml:8:11
  |
8 | members = []
  |           ^^
hint: name users: members = ["u0", "u1"]
"#,
    );
}

#[test]
fn a_client_fault_that_waits_for_a_frame_waits_for_nothing_else() {
    check_after(
        r#"[[fault]]
takeover = { client = "u1", after = "hello" }
at = "1s"
[[fault]]
offline = { client = "u1", nth = 2 }
for = "1s""#,
        r#"
error: a frame says when this fault comes
 --> x.toml:7:6
  |
7 | at = "1s"
  |      ^^^^
hint: leave `at` out

error: it is not said the n-th of what
 --> x.toml:9:34
  |
9 | offline = { client = "u1", nth = 2 }
  |                                  ^
hint: name the kind of frame: `after`
"#,
    );
}

#[test]
fn a_seed_is_a_number_that_every_reader_holds_exactly() {
    check(
        "about = \"x\"\nseed = 9007199254740992\n[workload]\nrate = \"5/s\"\nduration = \"1s\"",
        r"
error: 9007199254740992 is out of range
 --> x.toml:2:8
  |
2 | seed = 9007199254740992
  |        ^^^^^^^^^^^^^^^^
hint: it lies between 0 and 9007199254740991
",
    );
}
