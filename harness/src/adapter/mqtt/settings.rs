//! How MQTT is spoken in one mode of a target, from the options of its file.

use super::codec::{Qos, Version};
use crate::adapter::options::Reader;
use crate::adapter::protocol::ProtocolOptions;

/// Names of the options, with what each may be.
const OPTIONS: [(&str, &str); 9] = [
    ("version", "\"3.1.1\" or \"5.0\""),
    ("qos", "0, 1 or 2"),
    ("session", "\"persistent\" or \"clean\""),
    ("keep_alive_s", "1 to 65535"),
    ("inflight", "1 to 65535"),
    ("receive_maximum", "1 to 65535 (5.0 only)"),
    ("session_expiry_s", "1 to 4294967295 (5.0 only)"),
    ("user", "a text"),
    ("password", "a text"),
];

/// How MQTT is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which version. Option `version`, default 3.1.1.
    pub version: Version,
    /// How surely messages travel, both published and subscribed. Option `qos`, default 1.
    pub qos: Qos,
    /// The server keeps the session of a client that is away. Option `session`, default persistent.
    pub is_persistent: bool,
    /// Longest silence before the client asks whether the server is there. Option, default 2. Seconds.
    pub keep_alive_s: u16,
    /// Messages in flight to the server at most; a server of 5.0 may allow fewer. Option, default 20, as many clients have it.
    pub inflight: u16,
    /// Messages in flight from the server at most (5.0). Option, default: not said.
    pub receive_maximum: Option<u16>,
    /// How long a persistent session is kept (5.0). Option, default 3,600. Seconds.
    pub session_expiry_s: u32,
    /// User name and password. Options, default: none.
    pub login: Option<(String, String)>,
}

impl Settings {
    /// Reads the options of a mode.
    pub fn read(options: &ProtocolOptions) -> Result<Self, String> {
        let read = Reader::new("MQTT", &OPTIONS, options)?;
        let version = match read.text("version")?.as_deref() {
            None | Some("3.1.1") => Version::V311,
            Some("5.0" | "5") => Version::V5,
            Some(_) => return Err(read.wrong("version")),
        };
        let qos = match read.count("qos", 0, 2)? {
            Some(0) => Qos::Zero,
            Some(2) => Qos::Two,
            _ => Qos::One,
        };
        let is_persistent = match read.text("session")?.as_deref() {
            None | Some("persistent") => true,
            Some("clean") => false,
            Some(_) => return Err(read.wrong("session")),
        };
        let of_v5 = read.first_of(&["receive_maximum", "session_expiry_s"]);
        if let Some(name) = of_v5.filter(|_| version == Version::V311) {
            return Err(format!(
                "option `{name}` is of MQTT 5.0\nhint: write version = \"5.0\", or leave it out"
            ));
        }
        let word = |name, default| {
            Ok::<u16, String>(read.count(name, 1, 65_535)?.map_or(default, |count| count as u16))
        };
        Ok(Self {
            version,
            qos,
            is_persistent,
            keep_alive_s: word("keep_alive_s", 2)?,
            inflight: word("inflight", 20)?,
            receive_maximum: read.count("receive_maximum", 1, 65_535)?.map(|count| count as u16),
            session_expiry_s: read
                .count("session_expiry_s", 1, 4_294_967_295)?
                .map_or(3_600, |count| count as u32),
            login: read.login()?,
        })
    }

    /// In a few words.
    pub fn words(&self) -> String {
        let version = if self.version == Version::V5 { "5.0" } else { "3.1.1" };
        let session = if self.is_persistent { "persistent session" } else { "clean session" };
        format!("MQTT {version}, QoS {}, {session}", self.qos as u8)
    }
}

#[cfg(test)]
mod tests {
    use avouch_scenarios::scenario::Setting;

    use super::*;

    fn read(options: &[(&str, Setting)]) -> Result<Settings, String> {
        Settings::read(&options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    #[test]
    fn defaults_are_what_a_plain_client_does() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.words(), "MQTT 3.1.1, QoS 1, persistent session");
        assert_eq!((settings.keep_alive_s, settings.inflight, settings.receive_maximum), (2, 20, None));
    }

    #[test]
    fn options_are_taken_and_wrong_ones_are_refused_with_what_they_may_be() {
        let text = |text: &str| Setting::Text(text.to_owned());
        let all = [("version", text("5.0")), ("qos", Setting::Count(2)), ("session", text("clean"))];
        assert_eq!(read(&all).unwrap().words(), "MQTT 5.0, QoS 2, clean session");
        for (option, words) in [
            (("qos", Setting::Count(3)), "0, 1 or 2"),
            (("qos", text("1")), "0, 1 or 2"),
            (("version", text("4")), "\"3.1.1\" or \"5.0\""),
            (("sesion", text("clean")), "there is session, ".trim_end_matches(", ")),
            (("receive_maximum", Setting::Count(5)), "is of MQTT 5.0"),
            (("password", text("x")), "without a user"),
        ] {
            let refused = read(std::slice::from_ref(&option)).unwrap_err();
            let words = if option.0 == "sesion" { "there is no option `sesion`" } else { words };
            assert!(refused.contains(words), "{refused}");
        }
    }
}
