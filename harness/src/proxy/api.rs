//! Toxiproxy's HTTP API: which request does what, with the original's paths, status codes and error words.
//!
//! Of HTTP it knows no more than method, path and body; [`super::http`] has the rest.

use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Collection;
use super::metrics;
use super::wire::ProxyInput;

/// The version of Toxiproxy whose API this is.
pub const API_VERSION: &str = "2.6.0";

/// What a client asks.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// GET, POST, …
    pub method: &'a str,
    /// The path, as it came.
    pub path: &'a str,
    /// The header of that name; empty without.
    pub user_agent: &'a str,
    /// The whole body.
    pub body: &'a [u8],
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// What the body is.
    pub media_type: &'static str,
    /// JSON, or text for Prometheus; empty where there is nothing to say.
    pub body: String,
}

const JSON: &str = "application/json";

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    error: std::borrow::Cow<'static, str>,
    status: u16,
}

impl Refusal {
    pub(super) const NO_PROXY: Self = Self::fixed("proxy not found", 404);
    pub(super) const PROXY_EXISTS: Self = Self::fixed("proxy already exists", 409);
    pub(super) const NO_TOXIC: Self = Self::fixed("toxic not found", 404);
    pub(super) const TOXIC_EXISTS: Self = Self::fixed("toxic already exists", 409);
    pub(super) const TYPE: Self = Self::fixed("invalid toxic type", 400);
    pub(super) const STREAM: Self =
        Self::fixed("stream was invalid, can be either upstream or downstream", 400);
    /// Browsers are kept out: a page on the internet could make one ask this for things.
    const BROWSER: Self = Self::fixed("User agent not allowed", 403);
    const NO_PATH: Self = Self::fixed("404 page not found", 404);
    const NO_METHOD: Self = Self::fixed("405 method not allowed", 405);

    const fn fixed(error: &'static str, status: u16) -> Self {
        Self { error: std::borrow::Cow::Borrowed(error), status }
    }

    /// The body cannot be used.
    pub(super) fn body(why: impl std::fmt::Display) -> Self {
        Self { error: format!("bad request body: {why}").into(), status: 400 }
    }

    pub(super) fn missing(field: &str) -> Self {
        Self { error: format!("missing required field: {field}").into(), status: 400 }
    }

    /// It should have worked.
    pub(super) fn failed(why: String) -> Self {
        Self { error: why.into(), status: 500 }
    }

    /// The same as an answer.
    pub(super) fn answer(&self) -> Answer {
        answer(self.status, self)
    }

    /// More was sent than is read.
    pub(super) fn too_large(most_bytes: usize) -> Self {
        Self {
            error: format!("request body too large: at most {most_bytes} bytes are read").into(),
            status: 413,
        }
    }

    /// The body did not come, or not in time.
    pub(super) fn broken(why: String) -> Self {
        Self { error: why.into(), status: 400 }
    }
}

/// Does what is asked.
pub async fn respond(collection: &mut Collection, request: Request<'_>) -> Answer {
    if request.user_agent.starts_with("Mozilla/") {
        return Refusal::BROWSER.answer();
    }
    let path = request.path.split('?').next().unwrap_or_default();
    let parts: Vec<String> = path
        .trim_start_matches('/')
        .split('/')
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let responded = match parts[..] {
        ["version"] => version(request),
        ["metrics"] => metrics(collection, request),
        ["reset"] => reset(collection, request).await,
        ["populate"] => return populate(collection, request).await,
        ["proxies"] => proxies(collection, request).await,
        ["proxies", name] if !name.is_empty() => proxy(collection, request, name).await,
        ["proxies", name, "toxics"] => toxics(collection, request, name),
        ["proxies", name, "toxics", toxic] if !toxic.is_empty() => {
            one_toxic(collection, request, name, toxic)
        }
        _ => Err(Refusal::NO_PATH),
    };
    responded.unwrap_or_else(|refusal| refusal.answer())
}

fn version(request: Request<'_>) -> Result<Answer, Refusal> {
    match request.method {
        "GET" => Ok(answer(200, &json!({ "version": API_VERSION }))),
        _ => Err(Refusal::NO_METHOD),
    }
}

/// The original has it behind a flag of its command line.
fn metrics(collection: &Collection, request: Request<'_>) -> Result<Answer, Refusal> {
    match request.method {
        "GET" => Ok(Answer { status: 200, media_type: metrics::MEDIA_TYPE, body: collection.metrics() }),
        _ => Err(Refusal::NO_METHOD),
    }
}

async fn reset(collection: &mut Collection, request: Request<'_>) -> Result<Answer, Refusal> {
    match request.method {
        "POST" => collection.reset().await.map(|()| nothing()),
        _ => Err(Refusal::NO_METHOD),
    }
}

/// An error is told beside the proxies, of which there are none then.
async fn populate(collection: &mut Collection, request: Request<'_>) -> Answer {
    let populated = match request.method {
        "POST" => match read::<Vec<ProxyInput>>(request) {
            Ok(inputs) => collection.populate(&inputs).await,
            Err(refusal) => Err(refusal),
        },
        _ => return Refusal::NO_METHOD.answer(),
    };
    match populated {
        Ok(proxies) => answer(201, &json!({ "proxies": proxies })),
        Err(Refusal { error, status }) => {
            answer(status, &json!({ "error": error, "status": status, "proxies": null }))
        }
    }
}

async fn proxies(collection: &mut Collection, request: Request<'_>) -> Result<Answer, Refusal> {
    match request.method {
        "GET" => Ok(answer(200, &collection.list())),
        "POST" => Ok(answer(201, &collection.create(&read(request)?).await?)),
        _ => Err(Refusal::NO_METHOD),
    }
}

async fn proxy(collection: &mut Collection, request: Request<'_>, name: &str) -> Result<Answer, Refusal> {
    match request.method {
        "GET" => Ok(answer(200, &collection.show(name)?)),
        "POST" | "PATCH" => {
            collection.show(name)?; // That there is none comes before what is wrong with the body.
            Ok(answer(200, &collection.update(name, &read(request)?).await?))
        }
        "DELETE" => collection.delete(name).await.map(|()| nothing()),
        _ => Err(Refusal::NO_METHOD),
    }
}

fn toxics(collection: &mut Collection, request: Request<'_>, proxy: &str) -> Result<Answer, Refusal> {
    match request.method {
        "GET" => Ok(answer(200, &collection.toxics(proxy)?)),
        "POST" => Ok(answer(200, &collection.add_toxic(proxy, request.body)?)),
        _ => Err(Refusal::NO_METHOD),
    }
}

fn one_toxic(
    collection: &mut Collection,
    request: Request<'_>,
    proxy: &str,
    name: &str,
) -> Result<Answer, Refusal> {
    match request.method {
        "GET" => Ok(answer(200, &collection.toxic(proxy, name)?)),
        "POST" | "PATCH" => Ok(answer(200, &collection.change_toxic(proxy, name, request.body)?)),
        "DELETE" => collection.remove_toxic(proxy, name).map(|()| nothing()),
        _ => Err(Refusal::NO_METHOD),
    }
}

fn read<T: DeserializeOwned>(request: Request<'_>) -> Result<T, Refusal> {
    serde_json::from_slice(request.body).map_err(Refusal::body)
}

fn answer(status: u16, body: &impl Serialize) -> Answer {
    // Strings, numbers and lists of these always have a text.
    let body = serde_json::to_string(body).unwrap_or_default() + "\n";
    Answer { status, media_type: JSON, body }
}

fn nothing() -> Answer {
    Answer { status: 204, media_type: JSON, body: String::new() }
}
