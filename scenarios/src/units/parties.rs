//! Who is meant: nodes, users, devices, conversations, and selections of them.

use std::borrow::Cow;
use std::fmt;

use super::{Complaint, Share, Unit, unit};
use crate::plan::LEADER;

/// Some clients, or the links to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// "clients": all of them.
    Clients,
    /// "u3": every device of one user.
    User(u32),
    /// "u3.d1": one device (devices of a user count from 1; here from 0).
    Device(u32, u32),
    /// "30%": that share of all devices, drawn from the seed, at least one.
    Share(Share),
}

/// One selection or a list of them; what is in any of them is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties(pub Vec<Party>);

/// Longest list of selections.
pub(crate) const PARTIES_MAX: usize = 1_000;

impl Parties {
    /// All clients.
    pub fn clients() -> Self {
        Self(vec![Party::Clients])
    }
}

unit!(Parties);
impl Unit for Parties {
    const NAME: &'static str = "parties";
    const EXAMPLES: &'static str = "\"clients\", \"u1\", \"u1.d2\", \"30%\", or a list of these";
    const PATTERN: &'static str = r"^(clients|u[0-9]+(\.d[0-9]+)?|[0-9.]+\s*%)$";
    const LISTS: bool = true;

    fn from_text(text: &str) -> Result<Self, Complaint> {
        party(text).map(|party| Self(vec![party]))
    }

    fn from_list(texts: &[Cow<'_, str>]) -> Result<Self, Complaint> {
        if texts.is_empty() {
            return Err(Complaint::new("the list is empty", format!("name somebody: {}", Self::EXAMPLES)));
        }
        if texts.len() > PARTIES_MAX {
            return Err(Complaint::new("the list is too long", format!("at most {PARTIES_MAX} entries")));
        }
        texts.iter().map(|text| party(text)).collect::<Result<_, _>>().map(Self)
    }

    fn to_list(&self) -> Vec<String> {
        self.0.iter().map(Party::to_string).collect()
    }
}

impl fmt::Display for Parties {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_list().join(", "))
    }
}

impl fmt::Display for Party {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients => formatter.write_str("clients"),
            Self::User(user) => write!(formatter, "u{user}"),
            Self::Device(user, device) => write!(formatter, "u{user}.d{}", device + 1),
            Self::Share(share) => share.fmt(formatter),
        }
    }
}

fn party(text: &str) -> Result<Party, Complaint> {
    if text == "clients" {
        return Ok(Party::Clients);
    }
    if text.ends_with('%') {
        return match Share::from_text(text)? {
            Share { ppm: 0 } => Err(Complaint::new("0% of the clients is nobody", "leave the entry out")),
            share => Ok(Party::Share(share)),
        };
    }
    let complaint =
        || Complaint::new(format!("`{text}` names no client"), format!("write {}", Parties::EXAMPLES));
    let (user, device) = match text.split_once('.') {
        None => (text, None),
        Some((user, device)) => (user, Some(device)),
    };
    let user = numbered("u", user).ok_or_else(complaint)?;
    match device {
        None => Ok(Party::User(user)),
        Some(device) => {
            let device = numbered("d", device).ok_or_else(complaint)?;
            let device = device.checked_sub(1).ok_or_else(|| {
                Complaint::new(format!("`{text}` names no device"), "the devices of a user are d1, d2, …")
            })?;
            Ok(Party::Device(user, device))
        }
    }
}

/// A server node: "n1", "n2", …, or "leader".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeName(
    /// Number from 0, or [`LEADER`].
    pub u32,
);

unit!(NodeName);
impl Unit for NodeName {
    const NAME: &'static str = "node";
    const EXAMPLES: &'static str = "\"n1\", \"leader\"";
    const PATTERN: &'static str = "^(leader|n[1-9][0-9]*)$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        if text == "leader" {
            return Ok(Self(LEADER));
        }
        let node = numbered("n", text).and_then(|node| node.checked_sub(1)).ok_or_else(|| {
            Complaint::new(
                format!("`{text}` names no node"),
                format!("nodes are n1, n2, …; write {}", Self::EXAMPLES),
            )
        })?;
        Ok(Self(node))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == LEADER { formatter.write_str("leader") } else { write!(formatter, "n{}", self.0 + 1) }
    }
}

/// One side of a partition: nodes, "rest" (everybody else, clients too), "clients".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeNames {
    /// Nodes.
    pub nodes: Vec<NodeName>,
    /// The clients too.
    pub clients: bool,
    /// Everything that is not on the other side.
    pub rest: bool,
}

unit!(NodeNames);
impl Unit for NodeNames {
    const NAME: &'static str = "nodes";
    const EXAMPLES: &'static str = "\"n1\", \"rest\", \"clients\", or a list of these";
    const PATTERN: &'static str = "^(leader|n[1-9][0-9]*|rest|clients)$";
    const LISTS: bool = true;

    fn from_text(text: &str) -> Result<Self, Complaint> {
        Self::from_list(&[Cow::Borrowed(text)])
    }

    fn from_list(texts: &[Cow<'_, str>]) -> Result<Self, Complaint> {
        if texts.is_empty() {
            return Err(Complaint::new("the list is empty", format!("write {}", Self::EXAMPLES)));
        }
        let mut side = Self::default();
        for text in texts {
            match text.as_ref() {
                "rest" => side.rest = true,
                "clients" => side.clients = true,
                node => side.nodes.push(NodeName::from_text(node)?),
            }
        }
        side.nodes.sort_unstable();
        side.nodes.dedup();
        Ok(side)
    }

    fn to_list(&self) -> Vec<String> {
        let mut list: Vec<String> = self.nodes.iter().map(NodeName::to_string).collect();
        list.extend(self.clients.then(|| "clients".to_owned()));
        list.extend(self.rest.then(|| "rest".to_owned()));
        list
    }
}

impl fmt::Display for NodeNames {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_list().join(", "))
    }
}

/// A user: "u0", "u1", …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserName(pub u32);

unit!(UserName);
impl Unit for UserName {
    const NAME: &'static str = "user";
    const EXAMPLES: &'static str = "\"u0\", \"u1\"";
    const PATTERN: &'static str = "^u[0-9]+$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let complaint = || Complaint::new(format!("`{text}` names no user"), "users are u0, u1, …");
        numbered("u", text).map(Self).ok_or_else(complaint)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "u{}", self.0)
    }
}

/// A conversation: "c0", "c1", …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ConversationName(pub u32);

unit!(ConversationName);
impl Unit for ConversationName {
    const NAME: &'static str = "conversation";
    const EXAMPLES: &'static str = "\"c0\", \"c1\"";
    const PATTERN: &'static str = "^c[0-9]+$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let complaint =
            || Complaint::new(format!("`{text}` names no conversation"), "conversations are c0, c1, …");
        numbered("c", text).map(Self).ok_or_else(complaint)
    }
}

impl fmt::Display for ConversationName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "c{}", self.0)
    }
}

/// The number in "u12". At most nine digits, so that every arithmetic on it stays in range.
fn numbered(prefix: &str, text: &str) -> Option<u32> {
    let digits = text.strip_prefix(prefix)?;
    let plain = !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}
