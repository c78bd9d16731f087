//! `--metrics ADDR`: live figures for Prometheus, over the least HTTP that a scraper needs. One request at a time: whoever is
//! slow makes the next scraper wait, never the test.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::load::{Live, exposition};

/// A scraper must have asked, and must have taken its answer, within this.
const WITHIN: Duration = Duration::from_secs(2);
/// Longest request that is read. Bytes.
const REQUEST_BYTES_MAX: u64 = 8 * 1024;

/// Serves until the process ends; where it listens.
pub(super) fn serve(address: &str, live: Live) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let listens = listener.local_addr()?;
    thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever hangs up in the middle loses nothing but their answer.
            let _ = answer(stream, &live);
        }
    })?;
    Ok(listens)
}

fn answer(mut stream: TcpStream, live: &Live) -> io::Result<()> {
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    let mut request = String::new();
    let mut lines = BufReader::new((&stream).take(REQUEST_BYTES_MAX));
    lines.read_line(&mut request)?;
    let mut header = String::new();
    while lines.read_line(&mut header)? > 2 {
        header.clear();
    }
    let (status, body) = if request.starts_with("GET /metrics") || request.starts_with("GET / ") {
        ("200 OK", exposition(&live.now()))
    } else {
        ("404 Not Found", "the figures are at /metrics\n".to_owned())
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_scraper_gets_its_figures_and_others_are_told_where_they_are() {
        let address = serve("127.0.0.1:0", Live::default()).unwrap();
        let answer = ask(address, "/metrics");
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("avouch_load_messages_sent_total 0")
        );
        assert!(ask(address, "/else").starts_with("HTTP/1.1 404"));
        assert!(serve("nowhere", Live::default()).is_err());
    }
}
