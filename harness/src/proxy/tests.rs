//! The API without HTTP, the proxies over loopback, and the pump with toxics between streams in memory on a paused clock.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::api::{Answer, Request, respond};
use super::*;
use crate::adapter::protocol::find;
use crate::link::{Link, Way};
use crate::toxics::{Kind, Toxic, Toxics};
use crate::world::proxy::{Line, carry};

const LIMIT: Duration = Duration::from_secs(10);

/// What a journal got.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn sorted(&self) -> Vec<String> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut lines: Vec<String> = String::from_utf8(text).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

fn common(seed: u64, protocol: Option<&str>, faults: &[&str]) -> (Common, Lines) {
    common_with(1, seed, protocol, faults)
}

fn common_with(workers: usize, seed: u64, protocol: Option<&str>, faults: &[&str]) -> (Common, Lines) {
    let dialect = protocol.map(|name| (find(name).unwrap().configure)(&[].into()).unwrap());
    let faults: Vec<String> = faults.iter().map(|words| (*words).to_owned()).collect();
    let rules = Arc::new(Rules::parse(&faults, seed, dialect.as_deref()).unwrap());
    let (lines, began) = (Lines::default(), Instant::now());
    let common = Common {
        seed,
        framing: dialect.map_or(Framing::Raw, |dialect| dialect.framing()),
        rules,
        clock: Arc::new(move || began.elapsed().as_nanos() as u64),
        journal: Arc::new(Journal::new(lines.clone())),
        workers: Arc::new(Workers::start(workers).unwrap()),
    };
    (common, lines)
}

fn empty() -> Collection {
    Collection::new(common(1, None, &[]).0)
}

/// A server that sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.into_split();
                let _over = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

async fn ask(collection: &mut Collection, method: &str, path: &str, body: &str) -> (u16, Value) {
    let request = Request { method, path, user_agent: "test", body: body.as_bytes() };
    let Answer { status, body, .. } = respond(collection, request).await;
    (status, if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() })
}

#[tokio::test]
async fn a_proxy_is_created_shown_updated_and_deleted() {
    let mut all = empty();
    let asked = r#"{"name": "redis", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}"#;
    let (status, made) = ask(&mut all, "POST", "/proxies", asked).await;
    let listen = made["listen"].as_str().unwrap().to_owned();
    assert_eq!(status, 201);
    assert_ne!(listen, "127.0.0.1:0", "the port is told");
    assert_eq!(
        made,
        json!({"name": "redis", "listen": listen, "upstream": "127.0.0.1:9", "enabled": true, "toxics": []})
    );
    assert_eq!(
        ask(&mut all, "POST", "/proxies", asked).await,
        (409, json!({"error": "proxy already exists", "status": 409}))
    );
    assert_eq!(ask(&mut all, "GET", "/proxies", "").await, (200, json!({"redis": made})));
    assert!(TcpStream::connect(&listen).await.is_ok());
    for method in ["POST", "PATCH"] {
        let (status, shown) = ask(&mut all, method, "/proxies/redis", r#"{"enabled": false}"#).await;
        assert_eq!((status, &shown["enabled"], &shown["listen"]), (200, &json!(false), &json!(listen)));
        assert!(TcpStream::connect(&listen).await.is_err(), "a proxy that is disabled has no port");
        let (_, shown) = ask(&mut all, method, "/proxies/redis", r#"{"enabled": true}"#).await;
        assert_eq!((&shown["enabled"], &shown["listen"]), (&json!(true), &json!(listen)));
    }
    let (_, moved) = ask(&mut all, "PATCH", "/proxies/redis", r#"{"upstream": "127.0.0.1:10"}"#).await;
    assert_eq!((&moved["upstream"], &moved["enabled"]), (&json!("127.0.0.1:10"), &json!(true)));
    assert_eq!(ask(&mut all, "DELETE", "/proxies/redis", "").await, (204, Value::Null));
    assert!(TcpStream::connect(&listen).await.is_err());
    assert_eq!(ask(&mut all, "GET", "/proxies/redis", "").await.0, 404);
}

#[tokio::test]
async fn what_passed_is_told_to_prometheus_also_of_connections_that_are_over() {
    let mut all = empty();
    let asked = json!({"name": "a\"b", "upstream": echo().await.to_string()});
    let (_, made) = ask(&mut all, "POST", "/proxies", &asked.to_string()).await;
    let cut = r#"{"type": "limit_data", "attributes": {"bytes": 3}}"#;
    assert_eq!(ask(&mut all, "POST", "/proxies/a%22b/toxics", cut).await.0, 200);
    let listen = made["listen"].as_str().unwrap();
    let mut stream = TcpStream::connect(listen).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut came = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut came)).await.unwrap().unwrap();
    assert_eq!(came, b"hel");
    drop(stream);
    let request = Request { method: "GET", path: "/metrics", user_agent: "test", body: b"" };
    let expected = [
        ("received", "downstream", 5),
        ("received", "upstream", 5),
        ("sent", "downstream", 3),
        ("sent", "upstream", 5),
    ];
    let lines = expected.map(|(verb, direction, bytes)| {
        let upstream = asked["upstream"].as_str().unwrap();
        format!(
            "toxiproxy_proxy_{verb}_bytes_total{{direction=\"{direction}\",listener=\"{listen}\",proxy=\"a\\\"b\",upstream=\"{upstream}\"}} {bytes}"
        )
    });
    // The connection's own counts are added up when it is over; at no moment is anything missing.
    for _ in 0..3 {
        let answer = respond(&mut all, request).await;
        assert_eq!((answer.status, answer.media_type), (200, "text/plain; version=0.0.4; charset=utf-8"));
        let told: Vec<&str> = answer.body.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(told, lines);
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&mut all, "POST", "/metrics", "").await.0, 405);
}

#[tokio::test]
async fn toxics_of_a_proxy_that_is_asked_for_are_passed_over_as_by_the_original() {
    let mut all = empty();
    let asked = r#"{"name": "one", "upstream": "127.0.0.1:9", "toxics": [{"type": "latency"}]}"#;
    let (status, made) = ask(&mut all, "POST", "/proxies", asked).await;
    assert_eq!((status, &made["toxics"]), (201, &json!([])));
}

#[tokio::test]
async fn toxics_are_created_changed_listed_and_removed() {
    let mut all = empty();
    ask(&mut all, "POST", "/proxies", r#"{"name": "a b", "upstream": "127.0.0.1:9"}"#).await;
    let path = "/proxies/a%20b/toxics";
    let asked = r#"{"type": "latency", "attributes": {"latency": 100, "jitter": 10}}"#;
    let latency = json!({
        "attributes": {"latency": 100, "jitter": 10}, "name": "latency_downstream", "type": "latency",
        "stream": "downstream", "toxicity": 1.0,
    });
    assert_eq!(ask(&mut all, "POST", path, asked).await, (200, latency.clone()));
    assert_eq!(ask(&mut all, "POST", path, asked).await.0, 409);
    let up = r#"{"name": "slow", "type": "bandwidth", "stream": "upstream", "toxicity": 0.5, "attributes": {"rate": 5}}"#;
    assert_eq!(ask(&mut all, "POST", path, up).await.1["toxicity"], json!(0.5));
    let (_, listed) = ask(&mut all, "GET", path, "").await;
    assert_eq!((&listed[0]["name"], &listed[1]), (&json!("slow"), &latency), "upstream comes first");
    let one = "/proxies/a%20b/toxics/latency_downstream";
    let (_, changed) =
        ask(&mut all, "PATCH", one, r#"{"attributes": {"latency": 7}, "toxicity": 0.25}"#).await;
    assert_eq!(
        (&changed["attributes"], &changed["toxicity"]),
        (&json!({"latency": 7, "jitter": 10}), &json!(0.25))
    );
    assert_eq!(ask(&mut all, "GET", one, "").await.1, changed);
    assert_eq!(ask(&mut all, "DELETE", one, "").await, (204, Value::Null));
    assert_eq!(
        ask(&mut all, "DELETE", one, "").await,
        (404, json!({"error": "toxic not found", "status": 404}))
    );
    ask(&mut all, "PATCH", "/proxies/a%20b", r#"{"enabled": false}"#).await;
    assert_eq!(ask(&mut all, "POST", "/reset", "").await, (204, Value::Null));
    let (_, shown) = ask(&mut all, "GET", "/proxies/a%20b", "").await;
    assert_eq!((&shown["enabled"], &shown["toxics"]), (&json!(true), &json!([])));
}

#[tokio::test]
async fn every_toxic_can_be_asked_for_and_is_shown_as_it_was_asked_for() {
    let mut all = empty();
    ask(&mut all, "POST", "/proxies", r#"{"name": "p", "upstream": "127.0.0.1:9"}"#).await;
    for (kind, attributes) in [
        ("noop", json!({})),
        ("latency", json!({"latency": 1, "jitter": 2})),
        ("bandwidth", json!({"rate": 3})),
        ("slow_close", json!({"delay": 4})),
        ("timeout", json!({"timeout": 5})),
        ("reset_peer", json!({"timeout": 6})),
        ("slicer", json!({"average_size": 8, "size_variation": 7, "delay": 9})),
        ("limit_data", json!({"bytes": 10})),
    ] {
        let asked = json!({"type": kind, "stream": "upstream", "attributes": attributes}).to_string();
        let (status, shown) = ask(&mut all, "POST", "/proxies/p/toxics", &asked).await;
        assert_eq!((status, &shown["attributes"], &shown["type"]), (200, &attributes, &json!(kind)));
        assert_eq!(shown["name"], json!(format!("{kind}_upstream")));
    }
}

/// Method, path, body; status and words of the answer.
const REFUSED: &[(&str, &str, &str, u16, &str)] = &[
    ("GET", "/", "", 404, "404 page not found"),
    ("GET", "/proxies/", "", 404, "404 page not found"),
    ("PUT", "/proxies", "", 405, "405 method not allowed"),
    ("DELETE", "/reset", "", 405, "405 method not allowed"),
    ("POST", "/proxies", "", 400, "bad request body: EOF while parsing a value at line 1 column 0"),
    ("POST", "/proxies", "{}", 400, "missing required field: name"),
    ("POST", "/proxies", r#"{"name": "x"}"#, 400, "missing required field: upstream"),
    ("POST", "/proxies/q", "{}", 404, "proxy not found"),
    ("DELETE", "/proxies/q", "", 404, "proxy not found"),
    ("GET", "/proxies/q/toxics", "", 404, "proxy not found"),
    ("GET", "/proxies/p/toxics/t", "", 404, "toxic not found"),
    ("POST", "/proxies/p/toxics/t", "{}", 404, "toxic not found"),
    ("POST", "/proxies/p/toxics", "{}", 400, "invalid toxic type"),
    ("POST", "/proxies/p/toxics", r#"{"type": "cosmic rays"}"#, 400, "invalid toxic type"),
    (
        "POST",
        "/proxies/p/toxics",
        r#"{"type": "noop", "stream": "sideways"}"#,
        400,
        "stream was invalid, can be either upstream or downstream",
    ),
    (
        "POST",
        "/proxies/p/toxics",
        r#"{"type": "latency", "attributes": {"latency": -1}}"#,
        400,
        "bad request body: attribute `latency` is -1, and has to be a whole number from 0 upwards",
    ),
    (
        "POST",
        "/proxies/p/toxics",
        r#"{"type": "slicer"}"#,
        400,
        "bad request body: `average_size` has to be at least 1, and `size_variation` smaller than it",
    ),
    (
        "POST",
        "/proxies/p/toxics",
        r#"{"type": "noop", "toxicity": 1.5}"#,
        400,
        "bad request body: toxicity is 1.5, and has to be from 0 to 1",
    ),
    ("POST", "/populate", r#"[{"name": "x"}]"#, 400, "missing required field: upstream at proxy 1"),
    (
        "POST",
        "/populate",
        r#"[{"name": "x", "upstream": "h:1"}, {"name": "x", "upstream": "h:2"}]"#,
        400,
        "bad request body: duplicate proxy name \"x\"",
    ),
];

#[tokio::test]
async fn what_cannot_be_used_is_refused_and_changes_nothing() {
    let mut all = empty();
    ask(&mut all, "POST", "/proxies", r#"{"name": "p", "upstream": "127.0.0.1:9"}"#).await;
    let (_, before) = ask(&mut all, "GET", "/proxies", "").await;
    for &(method, path, body, status, words) in REFUSED {
        let (got, answer) = ask(&mut all, method, path, body).await;
        assert_eq!((got, answer["error"].as_str()), (status, Some(words)), "{method} {path} {body}");
    }
    assert_eq!(ask(&mut all, "GET", "/proxies", "").await.1, before);
    let browser = Request { method: "GET", path: "/proxies", user_agent: "Mozilla/5.0", body: b"" };
    assert_eq!(respond(&mut all, browser).await.status, 403);
}

#[tokio::test]
async fn populate_creates_replaces_and_leaves_alone() {
    let mut all = empty();
    let asked = |port| json!([{"name": "a", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}, {"name": "b", "upstream": format!("127.0.0.1:{port}"), "enabled": false}]);
    let (status, made) = ask(&mut all, "POST", "/populate", &asked(1).to_string()).await;
    assert_eq!((status, &made["proxies"][1]["enabled"]), (201, &json!(false)));
    ask(&mut all, "POST", "/proxies/a/toxics", r#"{"type": "noop"}"#).await;
    let again = json!([made["proxies"][0], {"name": "b", "upstream": "127.0.0.1:2"}]);
    let (_, made) = ask(&mut all, "POST", "/populate", &again.to_string()).await;
    assert_eq!(made["proxies"][0]["toxics"][0]["name"], json!("noop_downstream"), "it was left alone");
    assert_eq!(
        (&made["proxies"][1]["upstream"], &made["proxies"][1]["enabled"]),
        (&json!("127.0.0.1:2"), &json!(true))
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_leaves_no_proxy() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let mut all = empty();
    let asked = json!({"name": "p", "listen": listen, "upstream": "127.0.0.1:9"}).to_string();
    let (status, answer) = ask(&mut all, "POST", "/proxies", &asked).await;
    assert_eq!(status, 500);
    assert!(
        answer["error"].as_str().unwrap().starts_with(&format!("cannot listen on {listen}: ")),
        "{answer}"
    );
    assert_eq!(ask(&mut all, "GET", "/proxies", "").await.1, json!({}));
}

#[tokio::test]
async fn toxics_act_on_connections_that_are_there_and_heal() {
    let mut all = empty();
    all.open("p", "127.0.0.1:0", &echo().await.to_string()).await.unwrap();
    let address = all.addresses().next().unwrap().1.to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let mut back = [0; 4];
    stream.write_all(b"ping").await.unwrap();
    timeout(LIMIT, stream.read_exact(&mut back)).await.unwrap().unwrap();
    ask(
        &mut all,
        "POST",
        "/proxies/p/toxics",
        r#"{"type": "bandwidth", "stream": "upstream", "attributes": {"rate": 0}}"#,
    )
    .await;
    stream.write_all(b"held").await.unwrap();
    assert!(timeout(Duration::from_millis(50), stream.read_exact(&mut back)).await.is_err());
    ask(&mut all, "DELETE", "/proxies/p/toxics/bandwidth_upstream", "").await;
    timeout(LIMIT, stream.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"held");
    ask(&mut all, "POST", "/proxies/p/toxics", r#"{"type": "reset_peer", "stream": "upstream"}"#).await;
    stream.write_all(b"dead").await.unwrap();
    let read = timeout(LIMIT, stream.read(&mut back)).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

/// A connection between streams in memory, with toxics on it.
fn between(toxics: &[Toxic]) -> (tokio::io::DuplexStream, tokio::io::DuplexStream) {
    let (common, _) = common(1, None, &[]);
    let toxics = Toxics::new(1, 1, toxics, 0);
    let link = Link::new(common.rules.settings(1, 1));
    let line = Line::with_toxics(1, (link, toxics), common.clock, Arc::new(|_, _| {}));
    let ((client, client_far), (server, server_far)) =
        (tokio::io::duplex(1 << 16), tokio::io::duplex(1 << 16));
    tokio::spawn(async move {
        carry(&line, client_far, async { Ok(server_far) }, Framing::Raw.splitters()).await;
    });
    (client, server)
}

fn toxic(way: Way, kind: Kind) -> Toxic {
    Toxic { name: format!("{way:?}"), way, toxicity: 1.0, kind }
}

#[tokio::test(start_paused = true)]
async fn half_closed_streams_stay_half_open_through_toxics() {
    let latency = Kind::Latency { latency_ms: 30, jitter_ms: 0 };
    let (mut client, mut server) =
        between(&[toxic(Way::Up, latency), toxic(Way::Down, Kind::SlowClose { delay_ms: 400 })]);
    let began = Instant::now();
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!((&got[..], began.elapsed()), (&b"request"[..], Duration::from_millis(30)));
    server.write_all(b"answer").await.unwrap();
    server.shutdown().await.unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!((&got[..], began.elapsed()), (&b"answer"[..], Duration::from_millis(430)));
}

#[tokio::test(start_paused = true)]
async fn a_toxic_that_closes_ends_both_directions() {
    for (kind, after_ms) in
        [(Kind::Timeout { timeout_ms: 200 }, 200), (Kind::LimitData { limit_bytes: 4 }, 0)]
    {
        let (mut client, mut server) = between(&[toxic(Way::Up, kind)]);
        let began = Instant::now();
        client.write_all(b"12345").await.unwrap();
        let (mut up, mut down) = (Vec::new(), Vec::new());
        server.read_to_end(&mut up).await.unwrap();
        client.read_to_end(&mut down).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_millis(after_ms), "{kind:?}");
        assert_eq!((up.len(), down.len()), (if after_ms == 0 { 4 } else { 0 }, 0));
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_journal_on_64_connections() {
    let first = journal_of(5, 1).await;
    assert_eq!(first, journal_of(5, 1).await);
    assert_eq!(first, journal_of(5, 3).await, "threads decide nothing");
    assert_ne!(first, journal_of(6, 1).await);
    let count = |words: &str| first.iter().filter(|line| line.contains(words)).count();
    assert_eq!(count("\"what\":\"connected\""), 64);
    assert_eq!(count("\"what\":\"toxic\""), 64);
    // Half of them, give or take 3 standard deviations.
    let hit = count("\"applies\":true");
    assert!((20..=44).contains(&hit), "{hit} of 64");
    assert!(count("\"kind\":\"cut\"") >= 20, "a twentieth of 40 frames of each");
}

/// 64 connections at once, 20 MQTT packets of each, until they are cut.
async fn journal_of(seed: u64, workers: usize) -> Vec<String> {
    let (common, lines) =
        common_with(workers, seed, Some("mqtt"), &["cut = { before = \"PINGREQ\", probability = \"5%\" }"]);
    let mut all = Collection::new(common);
    all.open("p", "127.0.0.1:0", &echo().await.to_string()).await.unwrap();
    let asked = r#"{"type": "latency", "toxicity": 0.5, "attributes": {"latency": 1}}"#;
    ask(&mut all, "POST", "/proxies/p/toxics", asked).await;
    let address: SocketAddr = all.addresses().next().unwrap().1.parse().unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..64 {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut back = [0; 2];
            for _ in 0..20 {
                let sent = stream.write_all(&[0xc0, 0]).await;
                if sent.is_err() || stream.read_exact(&mut back).await.is_err() {
                    return;
                }
            }
        });
    }
    timeout(LIMIT, clients.join_all()).await.unwrap();
    all.stop().await;
    lines.sorted()
}

#[test]
fn rules_that_make_no_sense_are_refused_with_a_hint() {
    for (words, protocol, expected) in [
        ("kill = {}, at = \"1s\"", None, "a proxy has connections only"),
        ("drop = { on = \"PUBLISH\" }", None, "name the protocol"),
        ("cut = { probability = 0.5 }", None, "name the protocol"),
        ("stall = { link = \"50%\" }, at = \"1s\", for = \"1s\"", None, "leave `link` out"),
        ("cut = { before = \"PUBLISHED\", nth = 2 }", Some("mqtt"), "has no frame `PUBLISHED`"),
        ("duplicate = { on = \"PUBLISH\" }", Some("mqtt"), "the transport never repeats a frame"),
        ("cut = { befor = \"PUBLISH\" }", Some("mqtt"), "befor"),
        ("nonsense", None, "--fault 1:1:"),
    ] {
        let dialect = protocol.map(|name| (find(name).unwrap().configure)(&[].into()).unwrap());
        let refused = Rules::parse(&[words.to_owned()], 1, dialect.as_deref()).unwrap_err();
        assert!(refused.contains(expected), "{words}: {refused}");
    }
}

#[test]
fn timed_rules_have_their_moments() {
    let words = ["stall = {}, at = \"2s\", for = \"1s\"".to_owned(), "slice = { bytes = 9 }".to_owned()];
    let rules = Rules::parse(&words, 1, None).unwrap();
    let moments: Vec<(u64, u32, bool)> =
        rules.later().map(|moment| (moment.at_ns / 1_000_000, moment.fault, moment.active)).collect();
    assert_eq!(moments, [(2_000, 0, true), (3_000, 0, false)]);
    assert_eq!(rules.at_once().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_partition_refuses_new_connections_and_heals() {
    let (common, lines) =
        common(1, None, &["partition = { link = \"clients\" }, at = \"500s\", for = \"1s\""]);
    let mut all = Collection::new(common);
    all.open("p", "127.0.0.1:0", &echo().await.to_string()).await.unwrap();
    let address = all.addresses().next().unwrap().1.to_owned();
    let talk = async |text: &[u8; 4]| {
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(text).await?;
        let mut back = [0; 4];
        timeout(LIMIT, stream.read_exact(&mut back)).await.unwrap().map(|_| back)
    };
    all.set_fault(0, true);
    assert!(talk(b"lost").await.is_err());
    all.set_fault(0, false);
    assert_eq!(talk(b"back").await.unwrap(), *b"back");
    let told: BTreeSet<String> = lines.sorted().into_iter().collect();
    assert!(told.contains(r#"{"proxy":"p","connection":1,"what":"refused","fault":0}"#), "{told:?}");
}
