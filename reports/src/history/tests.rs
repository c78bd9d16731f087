//! Reader and writer against each other, and against damage.

use std::io::{BufReader, Read, Write};

use proptest::prelude::*;

use super::*;

fn write(header: &Header, events: &[Event]) -> (HistorySummary, Vec<u8>) {
    let mut writer = HistoryWriter::new(Vec::new(), header).unwrap();
    for event in events {
        writer.append(event).unwrap();
    }
    writer.finish().unwrap()
}

fn feeds(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// All events before the end or the first error, and that.
fn read(input: impl Read) -> (Vec<Event>, Result<Option<Torn>, HistoryError>) {
    let mut reader = match HistoryReader::open(BufReader::new(input), ReadOptions { accept_torn: true }) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut events = Vec::new();
    loop {
        match reader.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, Ok(reader.torn())),
            Err(error) => return (events, Err(error)),
        }
    }
}

/// Hands out its bytes in the given piece sizes, again and again.
struct Chunks<'a> {
    bytes: &'a [u8],
    sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl<'a> Chunks<'a> {
    fn new(bytes: &'a [u8], sizes: Vec<usize>) -> Self {
        Self { bytes, sizes: sizes.into_iter().cycle() }
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.sizes.next().unwrap_or(1).min(self.bytes.len()).min(buffer.len());
        buffer[..size].copy_from_slice(&self.bytes[..size]);
        self.bytes = &self.bytes[size..];
        Ok(size)
    }
}

const HEAD: &str = r#"{"avouch_history":1,"run":{}}
{"t":0,"e":"device","d":0,"u":0,"n":"a"}
{"t":0,"e":"conversation","c":0,"n":"general","us":[0]}
"#;

/// The whole error text for a history whose fourth line is `line`.
fn check(line: &str, expected: &str) {
    let (events, end) = read(format!("{HEAD}{line}\n").as_bytes());
    let found = match end {
        Ok(_) => format!("ok {}", events.len() - 2),
        Err(error) => error.to_string().lines().next().unwrap().to_owned(),
    };
    assert_eq!(found, expected, "for {line}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read(
        (header, events) in arbitrary::history(),
        sizes in proptest::collection::vec(1..50_usize, 1..4),
    ) {
        let (summary, bytes) = write(&header, &events);
        let reader = HistoryReader::open(bytes.as_slice(), ReadOptions::default()).unwrap();
        prop_assert_eq!(reader.header(), &header);
        let (found, end) = read(Chunks::new(&bytes, sizes));
        prop_assert_eq!(end.unwrap(), None);
        prop_assert_eq!(&found, &events);
        prop_assert_eq!(summary.events, events.len() as u64);
        prop_assert_eq!(summary.bytes, bytes.len() as u64);
        prop_assert_eq!(history_hash(bytes.as_slice()).unwrap(), summary.hash);
        // One line each, whatever is in the texts, and nothing that a terminal obeys.
        prop_assert_eq!(feeds(&bytes), events.len() + 1);
        let lines = String::from_utf8(bytes).unwrap();
        let hostile = |line: &str| line.chars().any(crate::escape::is_hostile);
        prop_assert!(!lines.lines().skip(1).any(hostile));
    }

    #[test]
    fn arbitrary_bytes_give_an_error_or_an_end(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        sizes in proptest::collection::vec(1..9_usize, 1..4),
    ) {
        let _ = read(Chunks::new(&bytes, sizes.clone()));
        let with_header = [HEAD.as_bytes(), &bytes].concat();
        let _ = read(Chunks::new(&with_header, sizes));
        let _ = history_hash(with_header.as_slice());
    }

    #[test]
    fn damaged_histories_never_panic(
        (header, events) in arbitrary::history(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (_, mut bytes) = write(&header, &events);
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let (found, _) = read(bytes.as_slice());
        prop_assert!(found.len() <= bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_cut_at_any_byte_leaves_the_whole_lines((header, events) in arbitrary::history()) {
        let (_, bytes) = write(&header, &events);
        let header_end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        for cut in 0..bytes.len() {
            let (found, end) = read(&bytes[..cut]);
            if cut < header_end {
                prop_assert!(end.is_err(), "cut {}", cut);
                continue;
            }
            let ended = feeds(&bytes[..cut]);
            // A cut between a line and its line feed takes nothing away.
            let whole = ended.saturating_sub(1) + usize::from(cut > header_end && bytes[cut] == b'\n');
            prop_assert_eq!(&found[..], &events[..whole], "cut {}", cut);
            let clean = bytes[cut] == b'\n' || bytes[cut - 1] == b'\n';
            prop_assert_eq!(end.unwrap().is_none(), clean, "cut {}", cut);
        }
    }
}

#[test]
fn each_damage_has_its_own_error() {
    check(r#"{"t":5,"e":"quiet","d":0}"#, "ok 1");
    check(r#" { "t" : 5 , "e" : "quiet" , "d" : 0 }  "#, "ok 1");
    check(r#"{"t":5,"e":"accepted","d":0,"m":1,"s":null,"r":2}"#, "ok 1");
    check("", "ok 0");
    check(r#"{"t":5,"e":"quiet"}"#, r#"history line 4: field "d" is missing"#);
    check(r#"{"e":"quiet","d":0}"#, r#"history line 4: field "t" is missing"#);
    check("{}", r#"history line 4: field "e" is missing"#);
    check(
        r#"{"t":5,"e":"quiet","d":0,"s":1}"#,
        r#"history line 4: field "s" does not belong into a "quiet" event"#,
    );
    check(r#"{"t":5,"e":"quiet","d":0,"zz\u001b":1}"#, r#"history line 4: unknown field "zz\\u001b""#);
    check(r#"{"t":5,"e":"explode","d":0}"#, r#"history line 4: unknown kind of event "explode""#);
    check(r#"{"t":5,"t":5,"e":"quiet","d":0}"#, r#"history line 4: field "t" stands twice"#);
    let number = "a whole number from 0 to 2^64 - 1";
    for wrong in ["\"5\"", "-5", "5.5", "5e3", "05", "18446744073709551616", "[5]", "true"] {
        let line = format!(r#"{{"t":{wrong},"e":"quiet","d":0}}"#);
        check(&line, &format!(r#"history line 4: field "t" must be {number}"#));
    }
    check(
        r#"{"t":5,"e":"quiet","d":4294967296}"#,
        r#"history line 4: field "d" must be a whole number below 2^32"#,
    );
    check(r#"{"t":5,"e":"quiet","d":7}"#, "history line 4: device 7 is not declared");
    check(r#"{"t":5,"e":"read","d":0,"c":7,"to":1}"#, "history line 4: conversation 7 is not declared");
    check(r#"{"t":5,"e":"device","d":0,"u":0,"n":"b"}"#, "history line 4: device 0 is declared twice");
    check(
        r#"{"t":5,"e":"phase","k":"war"}"#,
        r#"history line 4: field "k" must be "set-up", "chaos", "heal", "drain" or "judge""#,
    );
    check(
        r#"{"t":5,"e":"note","text":"\ud800"}"#,
        r#"history line 4: field "text" must be a string with valid escapes"#,
    );
    check("[1]", "history line 4: malformed at column 1: expected {");
    check(
        r#"{"t":5,"e":"quiet","d":0}}"#,
        "history line 4: malformed at column 26: expected the end of the line",
    );
    check(
        r#"{"t":5,"e":"quiet","d":0,}"#,
        "history line 4: malformed at column 26: expected a key in quotes",
    );
    check(
        "{\"t\":5,\"e\":\"note\",\"text\":\"a\tb\"}",
        "history line 4: malformed at column 28: expected the end of a string",
    );
    check(
        "{\"t\":5,\"e\":\"quiet\",\"d\":0}\n{\"t\":4,\"e\":\"quiet\",\"d\":0}",
        "history line 5: time falls from 5 to 4 ns",
    );
    let long = format!(r#"{{"t":5,"e":"phase","k":"{}"}}"#, "x".repeat(limits::LINE_BYTES_MAX));
    check(&long, "history line 4: longer than 4194304 bytes");
    let name = format!(r#"{{"t":5,"e":"node","n":"{}","state":"up"}}"#, "x".repeat(257));
    check(&name, r#"history line 4: field "n" is over its limit of 256"#);
    let users = format!(r#"{{"t":5,"e":"members-changed","d":0,"c":0,"add":[{}0]}}"#, "0,".repeat(100_000));
    check(&users, r#"history line 4: field "add" is over its limit of 100000"#);
}

#[test]
fn headers_are_checked() {
    let check = |input: &str, expected: &str| {
        let (_, end) = read(input.as_bytes());
        assert_eq!(end.unwrap_err().to_string(), expected, "for {input:?}");
    };
    let no_history = "hint: a history begins with a line like {\"avouch_history\":1,\"run\":{…}}; see docs/history-format.md";
    check("", &format!("history line 1: it is empty\n{no_history}"));
    check("\n\n", &format!("history line 2: it is empty\n{no_history}"));
    check(
        "hello\n",
        &format!("history line 1: this is not a history: the first line is no header\n{no_history}"),
    );
    check(
        "{\"a\":1}\n",
        &format!("history line 1: this is not a history: the first line is no header\n{no_history}"),
    );
    check(
        "{\"avouch_history\":2,\"run\":{\"new\":true},\"more\":[]}\n",
        "history line 1: format version 2 is newer than this tool, which knows 1\n\
         hint: read it with the version of avouch that wrote it, or a newer one",
    );
    check(
        "{\"avouch_history\":1",
        "history line 1: the last line is torn after 19 bytes\n\
         hint: the writer was stopped in mid-line; accept a torn end to use all whole lines",
    );
    let (_, end) = read(&b"{\"avouch_history\":1,\"run\":{\"sead\":7}}\n"[..]);
    let text = end.unwrap_err().to_string();
    assert!(
        text.starts_with("history line 1: wrong header: unknown field `sead`, expected one of"),
        "{text}"
    );
}

#[test]
fn a_torn_end_is_an_error_unless_it_is_accepted() {
    let torn = format!("{HEAD}{}", r#"{"t":5,"e":"qui"#);
    let mut strict = HistoryReader::open(torn.as_bytes(), ReadOptions::default()).unwrap();
    assert_eq!(strict.by_ref().flatten().count(), 2);
    let (events, end) = read(torn.as_bytes());
    assert_eq!((events.len(), end.unwrap()), (2, Some(Torn { line: 4, bytes: 15 })));
    let whole = format!("{HEAD}{}", r#"{"t":5,"e":"quiet","d":0}"#);
    let (events, end) = read(whole.as_bytes());
    assert_eq!((events.len(), end.unwrap()), (3, None));
}

#[test]
fn an_endless_line_is_refused_in_bounded_memory() {
    let endless = HEAD.as_bytes().chain(std::io::repeat(b'x'));
    let mut reader = HistoryReader::open(BufReader::new(endless), ReadOptions { accept_torn: true }).unwrap();
    assert_eq!(reader.by_ref().flatten().count(), 2);
    assert!(reader.next().is_none(), "it ends after an error");
}

/// An output with room for so many bytes.
#[derive(Debug)]
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_reported_once() {
    let note = Event { at_ns: 0, what: What::Note { text: "x".repeat(1_000) } };
    let mut writer = HistoryWriter::new(Disk(100_000), &Header::default()).unwrap();
    let mut results = (0..200).map(|_| writer.append(&note)).filter_map(Result::err);
    assert_eq!(
        results.next().unwrap().to_string(),
        "cannot write the history behind event 64: no storage space\n\
         hint: no space is left; the file is valid up to its last whole line"
    );
    assert!(results.next().is_some() && results.all(|error| matches!(error, HistoryError::Stopped)));
    assert!(matches!(writer.flush(), Err(HistoryError::Stopped)));
    assert!(matches!(writer.finish(), Err(HistoryError::Stopped)));
}

#[test]
fn the_writer_refuses_what_a_reader_would_refuse() {
    let mut writer = HistoryWriter::new(Vec::new(), &Header::default()).unwrap();
    let quiet = Event { at_ns: 5, what: What::Quiet { device: Device(3) } };
    let error = writer.append(&quiet).unwrap_err().to_string();
    assert!(error.starts_with("event 1 cannot be written: device 3 is not declared\nhint: "), "{error}");
    let members = vec![User(0); limits::USERS_PER_LIST_MAX + 1];
    let name = String::new();
    let big = What::Conversation { conversation: Conversation(0), name, members };
    assert!(writer.append(&Event { at_ns: 5, what: big }).is_err());
    let long = What::Note { text: "é".repeat(limits::TEXT_BYTES_MAX) };
    writer.append(&Event { at_ns: 5, what: long }).unwrap();
    let (summary, bytes) = writer.finish().unwrap();
    let (events, end) = read(bytes.as_slice());
    assert!(end.is_ok());
    assert_eq!((summary.events, events.len()), (1, 1));
    let What::Note { text } = &events[0].what else { panic!("a note was written") };
    assert!(text.ends_with("é…") && text.len() <= limits::TEXT_BYTES_MAX);
}

#[test]
fn the_header_is_in_no_hash() {
    let event = Event { at_ns: 1, what: What::Note { text: "x".to_owned() } };
    let started = Header { started: Some("2026-01-01T00:00:00Z".to_owned()), ..Header::default() };
    let (one, _) = write(&Header::default(), std::slice::from_ref(&event));
    let (other, bytes) = write(&started, &[event]);
    assert_eq!(one.hash, other.hash);
    let mut with_blank_lines = bytes;
    with_blank_lines.extend_from_slice(b"\n\r\n");
    assert_eq!(history_hash(with_blank_lines.as_slice()).unwrap(), one.hash);
}

#[test]
fn a_header_says_how_the_guarantees_are_to_be_read() {
    let line =
        |reading: &str| format!(r#"{{"avouch_history":1,"run":{{"target":"x","reading":{reading}}}}}"#);
    let read = |reading: &str| {
        HistoryReader::open(line(reading).as_bytes(), ReadOptions { accept_torn: true })
            .map(|reader| reader.header().reading())
            .map_err(|error| error.to_string())
    };
    let said = Reading {
        catch_up: CatchUp::Session,
        redelivery: Redelivery::UntilAcknowledged { flagged: false },
        durable_rung: Rung::Accepted,
        ..Reading::default()
    };
    let text = r#"{"catch_up":"session","redelivery":"allowed","durable_rung":2}"#;
    assert_eq!(read(text), Ok(said.clone()));
    assert_eq!(read(&serde_json::to_string(&said).unwrap()), Ok(said), "it is written as it is read");
    assert_eq!(read("{}"), Ok(Reading::default()));
    assert_eq!(read("null"), Ok(Reading::default()));
    let check = |text: &str, wrong: &str| {
        let error = read(text).unwrap_err();
        assert!(error.contains(wrong), "{error}");
    };
    check(r#"{"catchup":"log"}"#, "catchup");
    check(r#"{"redelivery":"often"}"#, "often");
    check(r#"{"durable_rung":8}"#, "a rung is a number from 0 to 7");
    let of = |target: &str| Header { target: target.to_owned(), ..Header::default() }.reading();
    assert_eq!((of("reference"), of("x")), (Reading::reference(), Reading::default()));
}

#[test]
fn the_table_of_kinds_knows_each_kind_once() {
    let names: std::collections::BTreeSet<_> = decode::KINDS.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), decode::KINDS.len());
}
