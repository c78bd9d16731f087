//! How NATS is spoken in one mode of a target, from the options of its file.

use super::jetstream::ASKED_NS;
use crate::adapter::options::Reader;
use crate::adapter::protocol::ProtocolOptions;

/// Names of the options, with what each may be.
const OPTIONS: [(&str, &str); 11] = [
    ("layer", "\"core\" or \"jetstream\""),
    ("storage", "\"file\" or \"memory\" (JetStream only)"),
    ("acks", "\"simple\" or \"confirmed\" (JetStream only)"),
    ("ack_wait_ms", "100 to 3600000 (JetStream only)"),
    ("max_ack_pending", "1 to 65535 (JetStream only)"),
    ("window", "1 to 256 (JetStream only)"),
    ("inflight", "1 to 65535 (JetStream only)"),
    ("keep_alive_s", "1 to 65535"),
    ("user", "a text"),
    ("password", "a text"),
    ("token", "a text"),
];

/// Options that say nothing of core NATS.
const OF_JETSTREAM: [&str; 6] = ["storage", "acks", "ack_wait_ms", "max_ack_pending", "window", "inflight"];

/// How NATS is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// With JetStream, and how. Option `layer`, default core.
    pub jetstream: Option<JetStream>,
    /// Longest silence before the client asks whether the server is there. Option, default 2. Seconds.
    pub keep_alive_s: u16,
    /// User name and password. Options, default: none.
    pub login: Option<(String, String)>,
    /// A token instead. Option, default: none.
    pub token: Option<String>,
}

/// How JetStream is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStream {
    /// Where streams are kept. Option `storage`, default file.
    pub storage: Storage,
    /// The server confirms acknowledgements. Option `acks`, default no.
    pub is_confirmed: bool,
    /// What is not acknowledged comes again after this. Option `ack_wait_ms`, default 2,000 (NATS' own default is 30,000, which is longer than
    /// a run). Nanoseconds.
    pub ack_wait_ns: u64,
    /// Deliveries without an acknowledgement at most. Option, default 1,000 as NATS has it; with 1, messages come strictly in order.
    pub max_ack_pending: u32,
    /// Messages that are asked for ahead, each by a request of its own. Option, default 20.
    pub window: u32,
    /// Messages in flight to the server at most. Option, default 20.
    pub inflight: u16,
}

/// Where a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In files.
    File,
    /// Nowhere else than in memory.
    Memory,
}

impl Storage {
    /// NATS' word.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

impl JetStream {
    /// What is not acknowledged comes again after the server's wait. It may go to a connection that is over, as long as the requests
    /// of that one last, and then it comes after another wait. What did not come within this is not late. Nanoseconds.
    pub fn patience_ns(&self) -> u64 {
        ASKED_NS + 2 * self.ack_wait_ns + 1_000_000_000
    }
}

impl Settings {
    /// Reads the options of a mode.
    pub fn read(options: &ProtocolOptions) -> Result<Self, String> {
        let read = Reader::new("NATS", &OPTIONS, options)?;
        let is_jetstream = match read.text("layer")?.as_deref() {
            None | Some("core") => false,
            Some("jetstream") => true,
            Some(_) => return Err(read.wrong("layer")),
        };
        if let Some(name) = read.first_of(&OF_JETSTREAM).filter(|_| !is_jetstream) {
            return Err(format!(
                "option `{name}` is of JetStream\nhint: write layer = \"jetstream\", or leave it out"
            ));
        }
        let (login, token) = (read.login()?, read.text("token")?);
        if login.is_some() && token.is_some() {
            return Err("a token and a user\nhint: keep one of the two".to_owned());
        }
        Ok(Self {
            jetstream: if is_jetstream { Some(jetstream(&read)?) } else { None },
            keep_alive_s: read.count("keep_alive_s", 1, 65_535)?.map_or(2, |count| count as u16),
            login,
            token,
        })
    }

    /// In a few words.
    pub fn words(&self) -> String {
        let Some(jetstream) = &self.jetstream else { return "core NATS".to_owned() };
        let acks = if jetstream.is_confirmed { "acks confirmed" } else { "explicit acks" };
        let pending = if jetstream.max_ack_pending == 1 { ", one unacknowledged at a time" } else { "" };
        format!("JetStream, {} storage, {acks}{pending}", jetstream.storage.name())
    }
}

fn jetstream(read: &Reader<'_>) -> Result<JetStream, String> {
    Ok(JetStream {
        storage: match read.text("storage")?.as_deref() {
            None | Some("file") => Storage::File,
            Some("memory") => Storage::Memory,
            Some(_) => return Err(read.wrong("storage")),
        },
        is_confirmed: match read.text("acks")?.as_deref() {
            None | Some("simple") => false,
            Some("confirmed") => true,
            Some(_) => return Err(read.wrong("acks")),
        },
        ack_wait_ns: read.count("ack_wait_ms", 100, 3_600_000)?.unwrap_or(2_000) as u64 * 1_000_000,
        max_ack_pending: read.count("max_ack_pending", 1, 65_535)?.unwrap_or(1_000) as u32,
        window: read.count("window", 1, 256)?.unwrap_or(20) as u32,
        inflight: read.count("inflight", 1, 65_535)?.unwrap_or(20) as u16,
    })
}

#[cfg(test)]
mod tests {
    use avouch_scenarios::scenario::Setting;

    use super::*;

    fn read(options: &[(&str, Setting)]) -> Result<Settings, String> {
        Settings::read(&options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    fn text(text: &str) -> Setting {
        Setting::Text(text.to_owned())
    }

    #[test]
    fn defaults_are_what_a_plain_client_does() {
        assert_eq!(read(&[]).unwrap().words(), "core NATS");
        let settings = read(&[("layer", text("jetstream"))]).unwrap();
        assert_eq!(settings.words(), "JetStream, file storage, explicit acks");
        let jetstream = settings.jetstream.unwrap();
        assert_eq!((jetstream.window, jetstream.inflight, jetstream.max_ack_pending), (20, 20, 1_000));
        assert_eq!(jetstream.ack_wait_ns, 2_000_000_000);
    }

    #[test]
    fn options_are_taken_and_wrong_ones_are_refused_with_what_they_may_be() {
        let layer = || ("layer", text("jetstream"));
        let all = [layer(), ("acks", text("confirmed")), ("max_ack_pending", Setting::Count(1))];
        let words = "JetStream, file storage, acks confirmed, one unacknowledged at a time";
        assert_eq!(read(&all).unwrap().words(), words);
        for (options, words) in [
            (&[("layer", text("streaming"))][..], "\"core\" or \"jetstream\""),
            (&[("acks", text("simple"))], "is of JetStream"),
            (&[layer(), ("acks", Setting::Count(1))], "\"simple\" or \"confirmed\""),
            (&[layer(), ("storage", text("disk"))], "\"file\" or \"memory\""),
            (&[layer(), ("window", Setting::Count(0))], "1 to 256"),
            (&[("ack_wait", Setting::Count(5))], "there is no option `ack_wait`"),
            (&[("user", text("a")), ("token", text("b"))], "keep one of the two"),
            (&[("password", text("b"))], "without a user"),
        ] {
            let refused = read(options).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
