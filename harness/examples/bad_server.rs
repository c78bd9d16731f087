//! Servers that are of no use, for tests: `bad_server HOW PORT`. Each misbehaves in one way towards whoever speaks MQTT to it.
#![allow(clippy::print_stderr, reason = "a server's log is what it writes to standard error")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

/// CONNACK: accepted, no session.
const WELCOME: &[u8] = &[0x20, 2, 0, 0];
/// As a PUBLISH announces 100 MB.
const HUGE_HEAD: &[u8] = &[0x30, 0x80, 0xC2, 0xD7, 0x2F];
const HUGE_BYTES: usize = 100_000_000;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [how, port] = &words[..] else { panic!("bad_server HOW PORT") };
    eprintln!("a bad server that {how}");
    match how.as_str() {
        "exits" => std::process::exit(3),
        "hangs" => forever(),
        _ => {}
    }
    let port = port.parse().expect("a port is a number");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    for stream in listener.incoming().flatten() {
        let how = how.clone();
        // Whoever is gone does not read the rest.
        thread::spawn(move || misbehave(&how, stream).ok());
    }
}

fn misbehave(how: &str, mut stream: TcpStream) -> std::io::Result<()> {
    if how == "closes" {
        return Ok(());
    }
    let mut asked = [0; 4096];
    let _connect = stream.read(&mut asked)?;
    match how {
        "is silent" => forever(),
        "speaks another protocol" => stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "sends garbage" => stream.write_all(&[WELCOME, &[0xFF; 64]].concat()),
        "sends too much" => {
            stream.write_all(&[WELCOME, HUGE_HEAD].concat())?;
            stream.write_all(&vec![0; HUGE_BYTES])
        }
        "refuses logins" => stream.write_all(&[0x20, 2, 0, 4]),
        "refuses subscriptions" => {
            stream.write_all(WELCOME)?;
            let read = stream.read(&mut asked)?;
            if read > 3 {
                stream.write_all(&[0x90, 3, asked[2], asked[3], 0x80])?;
            }
            Ok(())
        }
        "dies" => {
            eprintln!("out of luck");
            std::process::exit(139)
        }
        other => panic!("nobody knows how a server {other}"),
    }
}

fn forever() -> ! {
    loop {
        thread::park();
    }
}
