//! A toy server, and a client program for it that speaks the protocol of `docs/exec.md`: what the tests of that door run.
//!
//! `exec_toy serve PORT` keeps conversations in memory and hands them to whoever greets it, from where they were; it forgets all
//! when it ends. `exec_toy client` is a device; `client lose` does not tell every tenth message that it received, and `client die` ends
//! after a few sends. Their own protocol is lines of text: `hello DEVICE CONVERSATION…`, `send NUMBER CONVERSATION PAYLOAD`, `got
//! CONVERSATION SEQ`; and back: `welcome new|resumed`, `ok NUMBER SEQ`, `msg CONVERSATION SEQ PAYLOAD`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", port] => serve(port.parse().map_err(io::Error::other)?),
        ["client"] => client(""),
        ["client", how] => client(how),
        _ => Err(io::Error::other("exec_toy serve PORT, or exec_toy client [lose|die]")),
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

// --- the server ----------------------------------------------------------------------------------------------------

#[derive(Default)]
struct State {
    logs: BTreeMap<String, Vec<String>>,
    cursors: BTreeMap<(String, String), usize>,
    known: BTreeMap<(String, String), usize>,
    lines: BTreeMap<String, (BTreeSet<String>, Sender<String>)>,
}

fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let state: Arc<Mutex<State>> = Arc::default();
    for stream in listener.incoming() {
        let (stream, state) = (stream?, state.clone());
        thread::spawn(move || attend(stream, &state));
    }
    Ok(())
}

fn attend(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let (sender, receiver) = channel::<String>();
    thread::spawn(move || receiver.iter().try_for_each(|line| writeln!(writer, "{line}")));
    let mut device = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let mut state = lock(state);
        match words[..] {
            ["hello", name, ref conversations @ ..] => {
                name.clone_into(&mut device);
                state.hello(name, conversations, &sender);
            }
            ["send", number, conversation, payload] => {
                let key = (device.clone(), number.to_owned());
                let seq = state.known.get(&key).copied();
                let seq = seq.unwrap_or_else(|| state.append(&device, conversation, payload));
                state.known.insert(key, seq);
                let _gone = sender.send(format!("ok {number} {seq}"));
            }
            ["got", conversation, seq] => {
                let key = (device.clone(), conversation.to_owned());
                state.cursors.insert(key, seq.parse().map_err(io::Error::other)?);
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

impl State {
    fn hello(&mut self, device: &str, conversations: &[&str], sender: &Sender<String>) {
        let is_known = self.cursors.keys().any(|(name, _)| name == device);
        let _gone = sender.send(format!("welcome {}", if is_known { "resumed" } else { "new" }));
        for &conversation in conversations {
            let from = *self.cursors.entry((device.to_owned(), conversation.to_owned())).or_default();
            let log = self.logs.entry(conversation.to_owned()).or_default();
            for (seq, payload) in log.iter().enumerate().skip(from) {
                let _gone = sender.send(format!("msg {conversation} {} {payload}", seq + 1));
            }
        }
        let belongs = conversations.iter().map(|&name| name.to_owned()).collect();
        self.lines.insert(device.to_owned(), (belongs, sender.clone()));
    }

    fn append(&mut self, sender: &str, conversation: &str, payload: &str) -> usize {
        let log = self.logs.entry(conversation.to_owned()).or_default();
        log.push(payload.to_owned());
        let seq = log.len();
        for (device, (belongs, line)) in &self.lines {
            if device != sender && belongs.contains(conversation) {
                let _gone = line.send(format!("msg {conversation} {seq} {payload}"));
            }
        }
        seq
    }
}

// --- the client ----------------------------------------------------------------------------------------------------

/// What its two threads share.
#[derive(Default)]
struct Device {
    hello: String,
    address: String,
    line: Option<TcpStream>,
    unanswered: BTreeMap<u64, String>,
    seen: BTreeMap<String, u64>,
    received: u64,
}

fn say(value: &Value) {
    // When nobody listens any more, it is over.
    let _gone = writeln!(io::stdout().lock(), "{value}");
}

fn client(how: &str) -> io::Result<()> {
    let device: Arc<Mutex<Device>> = Arc::default();
    for (count, line) in io::stdin().lock().lines().enumerate() {
        let asked: Value = serde_json::from_str(&line?)?;
        let id = &asked["id"];
        match asked["type"].as_str().unwrap_or_default() {
            "init" => {
                let all = asked["conversations"].as_array().cloned().unwrap_or_default();
                let mine = all.iter().filter(|it| it["member"] == true).filter_map(|it| it["name"].as_str());
                let name = asked["device"].as_str().unwrap_or_default();
                let mut device = lock(&device);
                device.hello = ["hello", name].into_iter().chain(mine).collect::<Vec<_>>().join(" ");
                asked["address"].as_str().unwrap_or_default().clone_into(&mut device.address);
                say(&json!({"type": "init_ok", "in_reply_to": id, "version": 1}));
            }
            "connect" => connect(&device, id, how == "lose"),
            "disconnect" => {
                if let Some(line) = lock(&device).line.take() {
                    let _gone = line.shutdown(Shutdown::Both);
                }
                say(&json!({"type": "disconnected", "in_reply_to": id}));
            }
            "send" => {
                if how == "die" && count > 20 {
                    return Err(io::Error::other("the licence has expired"));
                }
                let word = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
                let number = id.as_u64().unwrap_or_default();
                let line = format!("send {number} {} {}", word("conversation"), word("payload"));
                let mut device = lock(&device);
                device.write(&line);
                device.unanswered.insert(number, line);
            }
            "ping" => say(&json!({"type": "pong", "in_reply_to": id})),
            _ => say(&json!({"type": "error", "in_reply_to": id, "code": 10})),
        }
    }
    Ok(())
}

fn connect(device: &Arc<Mutex<Device>>, id: &Value, loses: bool) {
    let mut locked = lock(device);
    let dialled = TcpStream::connect(&locked.address).and_then(|line| {
        line.set_nodelay(true)?;
        Ok((line.try_clone()?, line))
    });
    let (reader, line) = match dialled {
        Ok(both) => both,
        Err(error) => {
            return say(&json!({"type": "error", "in_reply_to": id, "code": 11, "text": error.to_string()}));
        }
    };
    locked.line = Some(line);
    let hello = locked.hello.clone();
    locked.write(&hello);
    let (id, device) = (id.clone(), device.clone());
    thread::spawn(move || {
        let mut has_session = false;
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            lock(&device).heard(&line, &id, loses);
            has_session |= line.starts_with("welcome");
        }
        if has_session {
            say(&json!({"type": "disconnected", "why": "the server closed the connection"}));
        } else {
            say(&json!({"type": "error", "in_reply_to": id, "code": 11, "text": "no welcome"}));
        }
    });
}

impl Device {
    fn write(&mut self, line: &str) {
        if let Some(stream) = &mut self.line {
            // Its end is noticed by who reads.
            let _gone = writeln!(stream, "{line}");
        }
    }

    fn heard(&mut self, line: &str, connect: &Value, loses: bool) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["welcome", how] => {
                say(&json!({"type": "session", "in_reply_to": connect, "resumed": how == "resumed"}));
                for (number, line) in self.unanswered.clone() {
                    say(&json!({"type": "retry", "in_reply_to": number}));
                    self.write(&line);
                }
            }
            ["ok", number, seq] => {
                let (number, seq) = (number.parse().unwrap_or_default(), seq.parse::<u64>().ok());
                if self.unanswered.remove(&number).is_some() {
                    say(&json!({"type": "ack", "in_reply_to": number, "rung": 2, "seq": seq}));
                }
            }
            ["msg", conversation, seq, payload] => {
                let seq = seq.parse().unwrap_or_default();
                self.write(&format!("got {conversation} {seq}"));
                let seen = self.seen.entry(conversation.to_owned()).or_default();
                if seq > *seen {
                    *seen = seq;
                    self.received += 1;
                    if !(loses && self.received.is_multiple_of(10)) {
                        say(
                            &json!({"type": "delivered", "conversation": conversation, "payload": payload, "seq": seq}),
                        );
                    }
                }
            }
            _ => {}
        }
    }
}
