//! `avouch proxy` as it is typed: wrong usages, hostile HTTP, its journal, and its end.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::tool::Scratch;

const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy that runs; killed if the test ends before it.
struct Proxy {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Proxy {
    fn start(scratch: &Scratch, arguments: &[&str]) -> Self {
        let arguments = [&["proxy", "--quiet"], arguments].concat();
        let mut child = scratch.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The address in the next line that it prints.
    fn address(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.split([' ', '/', '\n']).find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line:?}"))
    }

    /// Ends it as a person would; gives the exit code.
    fn end(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It mostly has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
        }
    });
    address
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes to an HTTP server; gives the status line and the body of its answer.
fn http(address: SocketAddr, request: &[u8]) -> (String, String) {
    let mut stream = connect(address);
    // A server that has heard enough may close before everything is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.lines().next().unwrap_or_default().to_owned(), body.trim_end().to_owned())
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .into()
}

#[test]
fn wrong_usages_say_what_to_do() {
    let scratch = Scratch::new("proxy-usage");
    scratch.write("bad.json", r#"[{"name": "a"}]"#);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let in_use = format!("error: cannot listen on {taken}: Address already in use (os error 98)");
    let cases: [(&[&str], &str); 8] = [
        (
            &[],
            "error: there is nothing to do\nhint: --upstream HOST:PORT names a server to stand in front of; --api answers Toxiproxy's clients",
        ),
        (&["--upstream", "127.0.0.1:9", "--listen", &taken], &in_use),
        (&["--api", &taken], &in_use),
        (
            &["--upstream", "127.0.0.1:9", "--protocol", "exec"],
            "error: there is no protocol `exec` that a proxy could read",
        ),
        (&["--config", "bad.json"], "error: bad.json: missing required field: upstream at proxy 1"),
        (&["--config", "none.json"], "error: none.json: No such file or directory (os error 2)"),
        (
            &["--upstream", "127.0.0.1:9", "--fault", "cut = { befor = \"PUBACK\" }"],
            "error: unknown key `befor`\n --> --fault 1:1:20\n",
        ),
        (
            &["--upstream", "127.0.0.1:9", "--fault", "drop = { probability = 0.1 }"],
            "error: --fault 'drop = { probability = 0.1 }': without a protocol there are bytes here and no frames\n\
             hint: name the protocol, as in --protocol mqtt",
        ),
    ];
    for (arguments, stderr) in cases {
        let ended = scratch.run(&[&["proxy"], arguments].concat());
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with(stderr), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn hostile_http_is_answered_and_harms_nothing() {
    let scratch = Scratch::new("proxy-http");
    let mut proxy = Proxy::start(&scratch, &["--api", "127.0.0.1:0"]);
    let api = proxy.address();
    let huge = "x".repeat(2 << 20);
    let (status, body) = http(api, &post("/proxies", &huge));
    assert_eq!(status, "HTTP/1.1 413 Payload Too Large");
    assert_eq!(body, r#"{"error":"request body too large: at most 1048576 bytes are read","status":413}"#);
    let (status, body) = http(api, &post("/populate", "[".repeat(100_000).as_str()));
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    assert!(body.starts_with(r#"{"error":"bad request body: "#), "{body}");
    let many = format!("GET /proxies HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n\r\n", "x".repeat(100_000));
    let (status, _) = http(api, many.as_bytes());
    assert!(status.starts_with("HTTP/1.1 431"), "{status}");
    let (status, _) = http(api, b"\x16\x03\x01 this is TLS\r\n\r\n");
    assert!(status.starts_with("HTTP/1.1 400"), "{status}");
    // Somebody who says nothing keeps nobody waiting.
    let silent = connect(api);
    let (status, body) = http(api, b"GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", r#"{"version":"2.6.0"}"#));
    drop(silent);
    assert_eq!(proxy.end(Signal::SIGTERM), Some(0));
}

#[test]
fn rules_toxics_and_the_journal_come_together_and_the_end_is_polite() {
    let scratch = Scratch::new("proxy-whole");
    let upstream = echo_server().to_string();
    let arguments = [
        ["--upstream", &upstream],
        ["--name", "mqtt"],
        ["--protocol", "mqtt"],
        ["--fault", "cut = { after = \"PINGREQ\", nth = 2, how = \"fin\" }"],
        ["--api", "127.0.0.1:0"],
        ["--journal", "journal.jsonl"],
    ];
    let mut proxy = Proxy::start(&scratch, &arguments.concat());
    let (address, api) = (proxy.address(), proxy.address());
    let (status, _) = http(api, &post("/proxies/mqtt/toxics", r#"{"type": "noop", "toxicity": 0}"#));
    assert_eq!(status, "HTTP/1.1 200 OK");
    let mut stream = connect(address);
    let mut answer = Vec::new();
    stream.write_all(&[0xc0, 0, 0xc0, 0, 0xc0, 0]).unwrap();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.len() <= 4, "{answer:?}");
    let lasting = connect(address);
    assert_eq!(proxy.end(Signal::SIGINT), Some(0));
    assert!(TcpStream::connect(address).is_err(), "its port is free again");
    assert!(matches!((&lasting).read(&mut [0; 8]), Ok(0) | Err(_)));
    let journal = fs::read_to_string(scratch.path("journal.jsonl")).unwrap();
    for line in [
        r#"{"proxy":"mqtt","connection":1,"what":"connected"}"#,
        r#"{"proxy":"mqtt","connection":1,"what":"toxic","toxic":"noop_downstream","applies":false}"#,
        r#"{"proxy":"mqtt","connection":1,"what":"fault","fault":0,"kind":"cut","frame":2,"detail":"the connection was ended (FIN)"}"#,
    ] {
        assert!(journal.lines().any(|other| other == line), "{line}\n{journal}");
    }
}
