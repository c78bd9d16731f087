//! `/metrics` and `/healthz` on a listener of their own: as little HTTP/1.1 as a scraper needs, one answer per connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::metrics::{MetricsHandle, prometheus};

/// Bytes of a request, headers included.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// Requests at one time.
const REQUESTS_MAX: usize = 16;
/// From accept to the end of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// After an accept failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, metrics: MetricsHandle) {
    let permits = Arc::new(Semaphore::new(REQUESTS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let metrics = metrics.clone();
                tokio::spawn(async move {
                    // A scraper that is too slow or gone has nothing to be told.
                    let _ = timeout(REQUEST_TIMEOUT, answer(stream, &metrics)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "a metrics connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, metrics: &MetricsHandle) -> std::io::Result<()> {
    let Some(request) = read_request(&mut stream).await? else {
        return respond(&mut stream, "431 Request Header Fields Too Large", "the request is too large\n")
            .await;
    };
    let mut words = request.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    match (method, path) {
        (b"GET", b"/metrics") => match metrics.snapshot().await {
            Some(snapshot) => respond(&mut stream, "200 OK", &prometheus(&snapshot)).await,
            None => respond(&mut stream, "503 Service Unavailable", "stopped\n").await,
        },
        (b"GET", b"/healthz") => match metrics.snapshot().await {
            Some(_) => respond(&mut stream, "200 OK", "ok\n").await,
            None => respond(&mut stream, "503 Service Unavailable", "stopped\n").await,
        },
        (b"GET", _) => respond(&mut stream, "404 Not Found", "there is /metrics and /healthz\n").await,
        _ => respond(&mut stream, "405 Method Not Allowed", "only GET\n").await,
    }
}

/// The request with its headers; `None` if it is larger than allowed.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut request = Vec::with_capacity(512);
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if request.len() >= REQUEST_BYTES_MAX {
            return Ok(None);
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(request))
}

async fn respond(stream: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
