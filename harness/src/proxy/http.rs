//! HTTP for the API: hyper reads and writes it, this bounds it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Collection;
use super::api::{Answer, Refusal, Request, respond};

/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a request's line and headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Connections to the API at once; more wait.
const CLIENTS_MAX: usize = 64;
/// In which a request's headers, and then its body, have to be there.
const READ_WITHIN: Duration = Duration::from_secs(15);
/// After an accept failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, collection: Arc<Mutex<Collection>>) {
    let permits = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut clients = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        while clients.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // A client that left has nothing to be told.
        let _gone = stream.set_nodelay(true);
        let collection = Arc::clone(&collection);
        clients.spawn(async move {
            let service = service_fn(|request| one(request, &collection));
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(READ_WITHIN).max_buf_size(HEAD_BYTES_MAX);
            // What is no HTTP was answered by hyper with a 400; a client that left has nothing to be told.
            let _over = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

async fn one(
    request: hyper::Request<Incoming>,
    collection: &Mutex<Collection>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let answer = match timeout(READ_WITHIN, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Err(_elapsed) => {
            Refusal::broken(format!("the request's body was not there within {READ_WITHIN:?}")).answer()
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => Refusal::too_large(BODY_BYTES_MAX).answer(),
        Ok(Err(error)) => Refusal::broken(format!("the request's body cannot be read: {error}")).answer(),
        Ok(Ok(body)) => {
            let user_agent = head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
            let request = Request {
                method: head.method.as_str(),
                path: head.uri.path(),
                user_agent: user_agent.unwrap_or_default(),
                body: &body.to_bytes(),
            };
            respond(&mut *collection.lock().await, request).await
        }
    };
    Ok(response(answer))
}

fn response(answer: Answer) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() =
        hyper::StatusCode::from_u16(answer.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let media_type = hyper::header::HeaderValue::from_static(answer.media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
