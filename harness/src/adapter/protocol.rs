//! Protocols by name, and what the rest of the tool has to know of one: how its bytes travel, what its frames are called,
//! in which handshakes they come, how its promises are to be read.
//!
//! A new protocol is an entry of [`PROTOCOLS`] and a [`Dialect`]; nothing else has to learn its name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use avouch_scenarios::plan::{Do, Fault, Plan, When};
use avouch_scenarios::scenario::Setting;
use bytes::Bytes;

use crate::check::Options;
use crate::client::Carrier;
use crate::conductor::Installer;
use crate::link::Way;
use crate::payload::Nonce;
use crate::perform;
use crate::world::live::effort;
use crate::world::news::REFERENCE_FRAMING;
use crate::world::proxy::Framing;

/// Options of a mode, as a target file has them.
pub type ProtocolOptions = BTreeMap<String, Setting>;

/// One protocol.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Its name in target files.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Reads the options of a mode; an error names the option and says what it may be.
    pub configure: fn(&ProtocolOptions) -> Result<Arc<dyn Dialect>, String>,
}

/// Every protocol that this tool speaks.
pub const PROTOCOLS: &[Protocol] = &[
    Protocol {
        name: "avouch",
        about: "the reference protocol, over WebSocket",
        configure: |options| {
            no_options(options)?;
            Ok(Arc::new(Reference::default()))
        },
    },
    super::exec::PROTOCOL,
    super::mqtt::PROTOCOL,
    super::nats::PROTOCOL,
];

/// The protocol of a name.
pub fn find(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().find(|protocol| protocol.name == name)
}

/// A protocol with its options: how it is spoken in one mode of a target.
pub trait Dialect: Send + Sync {
    /// In a few words, for tables: "MQTT 3.1.1, `QoS` 1, persistent session".
    fn words(&self) -> String;
    /// How frames travel.
    fn carrier(&self) -> Carrier;
    /// How the proxy finds frames.
    fn framing(&self) -> Framing;
    /// Whether the protocol survives frames that are lost, repeated, reordered or damaged in a live connection. Over a
    /// stream it does not: there a lost frame is a cut before that frame.
    fn survives_frame_faults(&self) -> bool;
    /// The protocol's words for its frames, for faults on frames.
    fn frame_kinds(&self) -> Vec<&'static str>;
    /// The frames of its handshakes, in the order in which a message meets them.
    fn steps(&self) -> Vec<Step>;
    /// What it has beside sending and receiving.
    fn features(&self) -> Features;
    /// How the promises of a server are to be read in a run of a plan.
    fn check_options(&self, plan: &Plan) -> Options;
    /// Changes what of a plan depends on the protocol: limits of phases, never what is done or goes wrong.
    fn prepare(&self, plan: &mut Plan);
    /// Makes the devices' adapters, whose names and payloads are of this one run.
    fn installer(&self, plan: Rc<Plan>, nonce: Nonce) -> Installer;
    /// The same, for adapters that have to know where each device finds its server: what is at the other end dials by itself.
    fn installer_at(&self, plan: Rc<Plan>, nonce: Nonce, _addresses: Vec<Option<SocketAddr>>) -> Installer {
        self.installer(plan, nonce)
    }
    /// Whether each device is a program of its own, which the target has to name.
    fn is_spoken_by_programs(&self) -> bool {
        false
    }
    /// Whether somebody can send to a conversation who is no member of it, and gets nothing from it (a publisher).
    fn has_publishers(&self) -> bool {
        false
    }
    /// What a server that goes on running is to be sent when a run is over, each on a connection of its own, so that it keeps nothing
    /// for the run's devices.
    fn farewells(&self, _plan: &Plan, _nonce: Nonce) -> Vec<Bytes> {
        Vec::new()
    }
    /// Why a fault cannot be done to its devices; `None` = it can.
    fn lacks(&self, _fault: &Fault) -> Option<&'static str> {
        None
    }
}

/// One frame of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whose connection it passes.
    pub party: Party,
    /// Which way.
    pub way: Way,
    /// Its kind, in the protocol's own word.
    pub kind: &'static str,
}

/// A role in the way of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// Who sends it.
    Sender,
    /// Who gets it.
    Recipient,
}

/// What a protocol has beside sending and receiving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Members can be added and removed while messages flow.
    pub membership: bool,
    /// A device can ask for history.
    pub history: bool,
    /// A device can say that it read something.
    pub read_marks: bool,
    /// The server keeps something for a device that is away.
    pub sessions: bool,
}

/// Whether the protocol has what a plan asks for; `Err` names the first thing that it lacks.
pub fn check_plan(dialect: &dyn Dialect, plan: &Plan) -> Result<(), String> {
    let kinds = dialect.frame_kinds();
    for fault in &plan.faults {
        let trigger = match &fault.when {
            When::OnFrame(trigger) => Some(trigger.kind.as_str()),
            When::At { .. } => None,
        };
        let filter = match &fault.fault {
            Fault::Link(link) => link.kind.as_deref(),
            Fault::Node(_) | Fault::Client(_) => None,
        };
        if let Some(kind) = trigger.into_iter().chain(filter).find(|kind| !kinds.contains(kind)) {
            let known = match &kinds[..] {
                [] => {
                    "what travels there is not known; name its protocol, as in framing = \"mqtt\"".to_owned()
                }
                kinds => format!("it has {}", kinds.join(", ")),
            };
            return Err(format!("{} has no frame `{kind}`\nhint: {known}", dialect.words()));
        }
    }
    let features = dialect.features();
    let lacks = |what: &str| {
        let hint = "hint: leave that out of the scenario, or put another target to the test";
        Err(format!("{} has no {what}\n{hint}", dialect.words()))
    };
    let does = |is_it: fn(&Do) -> bool| plan.actions.iter().any(|action| is_it(&action.what));
    if !features.membership && does(|what| matches!(what, Do::ChangeMembers { .. })) {
        return lacks("membership changes");
    }
    if !features.history && does(|what| matches!(what, Do::ReadHistory { .. })) {
        return lacks("history to read");
    }
    Ok(())
}

/// For protocols without options.
fn no_options(options: &ProtocolOptions) -> Result<(), String> {
    match options.keys().next() {
        Some(name) => Err(format!("there is no option `{name}`; this protocol has none")),
        None => Ok(()),
    }
}

/// The reference protocol.
#[derive(Clone, Default)]
pub struct Reference {
    /// What a server that runs already knows its clients by; `None` = it is the run's own.
    pub secret: Option<Arc<str>>,
}

impl Dialect for Reference {
    fn words(&self) -> String {
        "the reference protocol".to_owned()
    }

    fn carrier(&self) -> Carrier {
        Carrier::WebSocket
    }

    fn framing(&self) -> Framing {
        REFERENCE_FRAMING
    }

    fn survives_frame_faults(&self) -> bool {
        true
    }

    fn frame_kinds(&self) -> Vec<&'static str> {
        super::reference::frame_kinds().collect()
    }

    fn steps(&self) -> Vec<Step> {
        use Party::{Recipient, Sender};
        use Way::{Down, Up};
        let step = |party, way, kind| Step { party, way, kind };
        vec![
            step(Sender, Up, "send"),
            step(Sender, Down, "accepted"),
            step(Recipient, Down, "deliver"),
            step(Recipient, Up, "ack"),
            step(Sender, Down, "receipts"),
            step(Sender, Up, "receipt-ack"),
        ]
    }

    fn features(&self) -> Features {
        Features { membership: true, history: true, read_marks: true, sessions: true }
    }

    fn check_options(&self, plan: &Plan) -> Options {
        perform::check_options(plan)
    }

    fn prepare(&self, _plan: &mut Plan) {}

    fn installer(&self, plan: Rc<Plan>, nonce: Nonce) -> Installer {
        match &self.secret {
            None => perform::installer(plan, nonce),
            // Nobody knows what it holds already, so nobody is who anybody was before.
            Some(secret) => perform::installer_at((plan, nonce), secret.clone(), effort::fresh_ids()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_are_made_of_frames_that_there_are() {
        for protocol in PROTOCOLS {
            let dialect = (protocol.configure)(&BTreeMap::new()).unwrap();
            let kinds = dialect.frame_kinds();
            assert_eq!(dialect.steps().is_empty(), kinds.is_empty(), "{}", protocol.name);
            for step in dialect.steps() {
                assert!(kinds.contains(&step.kind), "{}: {}", protocol.name, step.kind);
            }
        }
    }

    #[test]
    fn an_option_that_there_is_not_is_refused_by_name() {
        for protocol in PROTOCOLS {
            let options = [("colour".to_owned(), Setting::Count(1))].into();
            let words = (protocol.configure)(&options).err().unwrap();
            assert!(words.contains("`colour`"), "{}: {words}", protocol.name);
        }
    }
}
