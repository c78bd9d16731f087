//! The adapter by hand: the test is the program, and the clock.

use std::collections::BTreeMap;

use avouch_reports::history::{Rung, SessionKind};
use avouch_scenarios::scenario::Setting;
use serde_json::{Value, json};

use super::*;
use crate::adapter::{Change, Outgoing};
use crate::payload;

const MS_NS: u64 = 1_000_000;
const SALT: u32 = 7;

struct Program {
    exec: Exec,
    now_ns: u64,
    asked: Vec<Value>,
    saw: Vec<What>,
    failed: Option<String>,
    is_dialled: bool,
}

impl Program {
    fn new(options: &[(&str, bool)]) -> Self {
        let options: BTreeMap<String, Setting> =
            options.iter().map(|(name, on)| ((*name).to_owned(), Setting::Switch(*on))).collect();
        let conversation = |name: &str, members: &[u32]| NamedConversation {
            name: name.to_owned(),
            members: members.to_vec(),
            is_member: members.contains(&0),
        };
        let identity = Identity {
            device: 0,
            installation: 0,
            user: 0,
            address: Some(([127, 0, 0, 1], 4321).into()),
            salt: SALT,
            seed: 1,
            users: vec!["u0".to_owned(), "u1".to_owned()],
            devices: vec!["u0".to_owned(), "u1".to_owned()],
            conversations: vec![conversation("a", &[0, 1]), conversation("b", &[1])],
        };
        let exec = Exec::new(Settings::read(&options).expect("options of exec"), identity);
        let (asked, saw) = (Vec::new(), Vec::new());
        Self { exec, now_ns: 0, asked, saw, failed: None, is_dialled: false }
    }

    /// One that has a session.
    fn up(options: &[(&str, bool)]) -> Self {
        let mut program = Self::new(options);
        program.wish(Wish::Connect);
        program.input(Input::Connected);
        program.says(&json!({"type": "init_ok", "in_reply_to": 1, "version": 1}));
        program.says(&json!({"type": "session", "in_reply_to": 2, "resumed": true}));
        assert!(program.exec.is_idle());
        program.asked.clear();
        program.saw.clear();
        program
    }

    fn input(&mut self, input: Input) {
        self.exec.handle(self.now_ns, input);
        while let Some(effect) = self.exec.poll() {
            match effect {
                Effect::Connect => self.is_dialled = true,
                Effect::Transmit(line) => {
                    assert!(line.ends_with(b"\n"));
                    self.asked.push(serde_json::from_slice(&line).expect("a line is JSON"));
                }
                Effect::Saw(what) => self.saw.push(what),
                Effect::Fail(why) => self.failed = Some(why),
                Effect::Disconnect => panic!("the program is ended by who started it"),
            }
        }
    }

    fn wish(&mut self, wish: Wish) {
        self.input(Input::Wish(wish));
    }

    fn says(&mut self, line: &Value) {
        self.input(Input::Received(format!("{line}\n").into()));
    }

    fn send(&mut self, message: u64) {
        let (message, reply_to_seq) = (Message(message), None);
        let payload = payload::make(SALT, message, 40);
        self.wish(Wish::Send(Outgoing { conversation: 0, message, payload, reply_to_seq }));
    }

    /// Time passes, and the program answers pings or does not.
    fn wait(&mut self, ns: u64, answers: bool) {
        let until_ns = self.now_ns + ns;
        while let Some(next_ns) = self.exec.next_timeout_ns().filter(|next_ns| *next_ns <= until_ns) {
            self.now_ns = self.now_ns.max(next_ns);
            self.input(Input::Timeout);
            let is_ping = |asked: &&Value| asked["type"] == "ping";
            if let Some(ping) = self.asked.iter().rfind(is_ping).filter(|_| answers).cloned() {
                self.asked.retain(|asked| !is_ping(&asked));
                self.says(&json!({"type": "pong", "in_reply_to": ping["id"]}));
            }
        }
        self.now_ns = until_ns;
    }

    fn kinds(&self) -> Vec<&str> {
        self.asked.iter().filter_map(|asked| asked["type"].as_str()).collect()
    }

    #[track_caller]
    fn fails(&self, words: &str) {
        let failed = self.failed.as_deref().unwrap_or("it did not fail");
        assert!(failed.contains(words), "{failed}");
    }
}

fn encoded(message: u64) -> String {
    wire::encoded(&payload::make(SALT, Message(message), 40))
}

#[test]
fn a_program_is_told_who_it_is_and_where_to_connect() {
    let mut program = Program::new(&[("history", true)]);
    program.wish(Wish::Connect);
    assert!(program.is_dialled);
    program.input(Input::Connected);
    assert_eq!(
        program.asked[0],
        json!({
            "id": 1, "type": "init", "version": 1, "device": "u0", "user": "u0", "installation": 0,
            "run": "00000007", "address": "127.0.0.1:4321", "host": "127.0.0.1", "port": 4321,
            "conversations": [
                {"name": "a", "members": ["u0", "u1"], "member": true},
                {"name": "b", "members": ["u1"], "member": false},
            ],
            "history": true, "membership": false, "read_marks": false, "manual_acks": false,
        })
    );
    program.says(&json!({"type": "init_ok", "in_reply_to": 1, "version": 1}));
    assert_eq!(program.kinds(), ["init", "connect"]);
    program.says(&json!({"type": "session", "in_reply_to": 2}));
    assert_eq!(program.saw, [What::Session { device: Device(0), session: SessionKind::New }]);
    assert!(program.exec.is_idle());
}

#[test]
fn a_send_has_one_outcome() {
    let device = Device(0);
    let check = |answer: Value, expected: &What| {
        let mut program = Program::up(&[]);
        program.send(9);
        assert_eq!(program.asked[0]["payload"], encoded(9));
        let mut answer = answer;
        answer["in_reply_to"] = program.asked[0]["id"].clone();
        program.says(&answer);
        assert_eq!(program.saw, std::slice::from_ref(expected));
        assert!(program.exec.is_idle());
        program.says(&answer);
        program.fails("answered before");
    };
    let message = Message(9);
    let accepted = |seq, rung| What::Accepted { device, message, seq, rung };
    check(json!({"type": "ack"}), &accepted(None, Rung::Accepted));
    check(json!({"type": "ack", "rung": 3, "seq": 8}), &accepted(Some(8), Rung::Stored));
    let rejected = |code: &str| What::Rejected { device, message, code: code.to_owned() };
    let unknown = |why: &str| What::Unknown { device, message, why: why.to_owned() };
    check(json!({"type": "error", "code": 11}), &rejected("11 temporarily-unavailable"));
    check(json!({"type": "error", "code": 0, "text": "late"}), &unknown("0 timeout: late"));
    check(json!({"type": "error", "code": 1234, "text": "x"}), &unknown("1234 x"));
    check(json!({"type": "error", "code": 1234, "definite": true}), &rejected("1234"));
}

#[test]
fn what_arrives_is_told_as_it_came() {
    let mut program = Program::up(&[]);
    program.says(&json!({"type": "delivered", "conversation": "a", "payload": encoded(5), "seq": 3, "redelivered": true}));
    let foreign = wire::encoded(b"somebody else's");
    program.says(&json!({"type": "delivered", "conversation": "a", "payload": foreign}));
    let delivered = |message, seq, bytes: &[u8], redelivered| What::Delivered {
        device: Device(0),
        conversation: Conversation(0),
        message,
        seq,
        digest: payload::digest(bytes),
        redelivered,
    };
    let own = payload::make(SALT, Message(5), 40);
    let expected =
        [delivered(Some(Message(5)), Some(3), &own, true), delivered(None, None, b"somebody else's", false)];
    assert_eq!(program.saw, expected);
    assert_eq!(program.failed, None);
}

#[test]
fn nothing_is_sent_without_a_session_and_all_of_it_after() {
    let mut program = Program::up(&[]);
    program.says(&json!({"type": "disconnected", "why": "reset"}));
    assert_eq!(program.saw, [What::Disconnected { device: Device(0), why: "reset".to_owned() }]);
    program.send(1);
    program.send(2);
    assert!(program.asked.is_empty());
    program.wait(200 * MS_NS, true);
    assert_eq!(program.kinds(), ["connect"], "it was told to come back");
    let id = program.asked[0]["id"].clone();
    program.says(&json!({"type": "error", "in_reply_to": id, "code": 11, "text": "refused"}));
    program.wait(400 * MS_NS, true);
    assert_eq!(program.kinds(), ["connect", "connect"]);
    program.says(&json!({"type": "session", "resumed": true}));
    assert_eq!(program.kinds(), ["connect", "connect", "send", "send"]);
}

#[test]
fn who_reconnects_by_itself_is_not_told_to() {
    let mut program = Program::new(&[]);
    program.wish(Wish::Connect);
    program.input(Input::Connected);
    program.says(&json!({"type": "init_ok", "in_reply_to": 1, "version": 1, "reconnects": true}));
    program.says(&json!({"type": "session"}));
    program.asked.clear();
    program.says(&json!({"type": "disconnected"}));
    program.wait(5_000 * MS_NS, true);
    assert_eq!(program.kinds(), [""; 0]);
    program.says(&json!({"type": "session", "resumed": true}));
    assert!(program.exec.is_idle());
}

#[test]
fn leaving_counts_at_once_and_may_be_confirmed_twice() {
    let mut program = Program::up(&[]);
    program.wish(Wish::Disconnect);
    assert_eq!(program.kinds(), ["disconnect"]);
    assert!(matches!(program.saw[..], [What::Disconnected { .. }]));
    program.wish(Wish::Connect);
    assert_eq!(program.kinds(), ["disconnect"], "one after the other");
    program.says(&json!({"type": "disconnected"}));
    program.says(&json!({"type": "disconnected", "in_reply_to": program.asked[0]["id"]}));
    program.wait(200 * MS_NS, true);
    assert_eq!(program.kinds(), ["disconnect", "connect"]);
    assert_eq!(program.failed, None);
}

#[test]
fn a_send_that_was_given_up_may_be_answered_too_late() {
    let mut program = Program::up(&[]);
    program.send(1);
    program.wish(Wish::GiveUp(Message(1)));
    assert!(program.exec.is_idle());
    program.says(&json!({"type": "ack", "in_reply_to": program.asked[0]["id"]}));
    assert_eq!((program.saw.len(), program.failed.as_ref()), (0, None));
}

#[test]
fn a_program_that_hangs_is_busy_at_once_and_of_no_use_in_the_end() {
    let mut program = Program::up(&[]);
    program.wait(1_000 * MS_NS, true);
    assert!(program.exec.is_idle());
    program.wait(300 * MS_NS, false);
    assert!(!program.exec.is_idle(), "less than what a drain waits for stillness");
    program.wait(ANSWER_NS_MAX, false);
    program.fails("hangs: it did not answer `ping` within 10 s");
    assert!(matches!(program.saw[..], [What::Disconnected { .. }]), "nobody owes it anything");
    assert_eq!(program.exec.next_timeout_ns(), None);
}

#[test]
fn a_program_that_does_not_answer_init_is_given_up() {
    let mut program = Program::new(&[]);
    program.wish(Wish::Connect);
    program.input(Input::Connected);
    program.wait(START_NS_MAX, true);
    program.fails("did not answer `init` within 25 s");
}

#[test]
fn whatever_breaks_the_rules_is_said_to() {
    let check = |line: &str, words: &str| {
        let mut program = Program::up(&[]);
        program.input(Input::Received(format!("{line}\n").into()));
        program.fails(words);
        let saw = program.saw.len();
        program.says(&json!({"type": "session"}));
        assert_eq!(program.saw.len(), saw, "{line}: it goes on");
    };
    check("hello", "no JSON");
    check("[]", "no object");
    check("{}", "missing field `type`");
    check(r#"{"type":"colour"}"#, "unknown variant `colour`, expected one of");
    check(r#"{"type":"delivered","conversation":"a","payload":"","sequence":3}"#, "unknown field `sequence`");
    check(r#"{"type":"delivered","conversation":"c","payload":""}"#, "no conversation \"c\"");
    check(r#"{"type":"delivered","conversation":"a","payload":"?"}"#, "not base64");
    check(r#"{"type":"delivered","conversation":"a","payload":"","seq":0}"#, "count from 1");
    check(r#"{"type":"ack","in_reply_to":99}"#, "never asked");
    check(r#"{"type":"ack","in_reply_to":1}"#, "answered before");
    check(r#"{"type":"ack"}"#, "needs `in_reply_to`");
    check(r#"{"type":"pong","in_reply_to":"x"}"#, "not the `id` of anything");
    check(
        r#"{"type":"receipt","conversation":"a","by":"u9","kind":"read","up_to":1}"#,
        "no device of this run",
    );
    check(r#"{"type":"acked","conversation":"a"}"#, "needs `up_to`");
    let mut program = Program::up(&[]);
    program.send(1);
    let id = program.asked[0]["id"].clone();
    program.says(&json!({"type": "pong", "in_reply_to": id}));
    program.fails("no answer to `send` or `members`");
    let mut program = Program::new(&[]);
    program.wish(Wish::Connect);
    program.input(Input::Connected);
    program.says(&json!({"type": "init_ok", "in_reply_to": 1, "version": 2}));
    program.fails("it speaks version 2, and this tool 1");
}

#[test]
fn lines_may_be_cut_anywhere_and_have_a_limit() {
    let mut program = Program::up(&[]);
    let line = format!("{}\r\n\n", json!({"type": "gap", "conversation": "a", "after": 1, "before": 3}));
    for byte in line.bytes() {
        program.input(Input::Received(vec![byte].into()));
    }
    assert!(matches!(program.saw[..], [What::Gap { after: 1, before: 3, .. }]));
    for _ in 0..=LINE_BYTES_MAX / 1_000_000 {
        program.input(Input::Received(vec![b'x'; 1_000_000].into()));
    }
    program.fails("a line of more than 4194304 bytes");
}

#[test]
fn what_it_does_not_have_is_not_asked_of_it() {
    let mut program = Program::up(&[]);
    let change = |message| Change { conversation: 0, message, added: vec![1], removed: vec![] };
    program.wish(Wish::ChangeMembers(change(Message(1))));
    program.wish(Wish::MarkRead { conversation: 0, up_to: 1 });
    program.wish(Wish::Consumed(1));
    assert!(program.asked.is_empty());
    assert!(matches!(program.saw[..], [What::Accepted { message: Message(1), .. }]));
    assert!(!program.exec.has_history());

    let all = [("membership", true), ("read_marks", true), ("manual_acks", true), ("history", true)];
    let mut program = Program::up(&all);
    program.wish(Wish::ChangeMembers(change(Message(1))));
    program.wish(Wish::MarkRead { conversation: 0, up_to: 1 });
    program.wish(Wish::Consumed(1));
    program.wish(Wish::Page { conversation: 0, request: 4, after: 0 });
    assert_eq!(program.kinds(), ["members", "read", "consumed", "page"]);
    assert_eq!(program.asked[0]["added"], json!(["u1"]));
    let items = json!([{"seq": 1, "payload": encoded(3)}]);
    program.says(
        &json!({"type": "page_ok", "in_reply_to": program.asked[3]["id"], "items": items, "complete": true}),
    );
    assert!(
        matches!(&program.saw[..], [What::Page { request: 4, complete: true, items, .. }] if items[0].message == Some(Message(3)))
    );
}

#[test]
fn options_are_refused_by_name() {
    let check = |name: &str, setting: Setting, words: &str| {
        let refused = Settings::read(&[(name.to_owned(), setting)].into()).err().expect("refused");
        assert!(refused.contains(words), "{refused}");
    };
    let text = |text: &str| Setting::Text(text.to_owned());
    check("colour", text("red"), "no option `colour`");
    check("history", text("yes"), "write true or false");
    check("catch_up", text("x"), "write \"session\", \"subscription\" or \"log\"");
    check("framing", text("gopher"), "there is no protocol `gopher`");
    check("framing", text("exec"), "there is no protocol `exec`");
    let framed = Settings::read(&[("framing".to_owned(), text("avouch"))].into());
    let framed = framed.unwrap_or_else(|why| panic!("{why}"));
    assert!(framed.framing.is_some_and(|framing| framing.frame_kinds().contains(&"accepted")));
}
