//! What the rest of the tool has to know of client programs.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use avouch_scenarios::keyed::{Purpose, draw};
use avouch_scenarios::plan::{ClientVerb, Fault, Plan};

use super::{Exec, Identity, NAME, NamedConversation, Settings};
use crate::adapter::Adapter;
use crate::adapter::protocol::{Dialect, Features, Protocol, Step};
use crate::check::Options;
use crate::client::Carrier;
use crate::conductor::Installer;
use crate::payload::Nonce;
use crate::world::proxy::Framing;

/// Connections in the drain, at most, until they bring nothing new: some servers send again only then.
const RECONNECTS_MAX: u32 = 3;
const CLIENT: Purpose = Purpose::named("exec-client");

const NO_TAKEOVER: &str =
    "a client program is one process per device; two of one device would fight for its session";
const NO_SLOW_CONSUMER: &str = "the client program acknowledges by itself (option manual_acks), so that its server cannot feel a slow consumer";

/// The entry in the registry.
pub const PROTOCOL: Protocol = Protocol {
    name: NAME,
    about: "client programs in any language that speak newline JSON (docs/exec.md)",
    configure: |options| Ok(Arc::new(Spoken(Settings::read(options)?))),
};

/// Client programs in one mode of a target.
#[derive(Clone)]
pub struct Spoken(Settings);

impl Dialect for Spoken {
    fn words(&self) -> String {
        match &self.0.framing {
            Some(inner) => format!("a client program that speaks {}", inner.words()),
            None => "a client program".to_owned(),
        }
    }

    fn carrier(&self) -> Carrier {
        Carrier::Bytes
    }

    fn framing(&self) -> Framing {
        self.0.framing.as_ref().map_or(Framing::Raw, |inner| inner.framing())
    }

    fn survives_frame_faults(&self) -> bool {
        self.0.framing.as_ref().is_some_and(|inner| inner.survives_frame_faults())
    }

    fn frame_kinds(&self) -> Vec<&'static str> {
        self.0.framing.as_ref().map_or_else(Vec::new, |inner| inner.frame_kinds())
    }

    fn steps(&self) -> Vec<Step> {
        self.0.framing.as_ref().map_or_else(Vec::new, |inner| inner.steps())
    }

    fn features(&self) -> Features {
        Features {
            membership: self.0.membership,
            history: self.0.history,
            read_marks: self.0.read_marks,
            sessions: true,
        }
    }

    fn check_options(&self, plan: &Plan) -> Options {
        Options {
            catch_up: self.0.catch_up,
            redelivery: self.0.redelivery,
            fifo: self.0.order,
            idempotent: self.0.idempotent,
            own_echo: self.0.own_echo,
            senders_left_out: !self.0.own_echo,
            death_forgets: true,
            contiguous: self.0.contiguous,
            recovers_within_ns: plan.expect.recovers_within_ns,
            planned_faults: plan.faults.iter().map(|fault| fault.id).collect(),
            ..Options::default()
        }
    }

    fn prepare(&self, plan: &mut Plan) {
        plan.phases.reconnects_max = RECONNECTS_MAX;
    }

    fn installer(&self, plan: Rc<Plan>, nonce: Nonce) -> Installer {
        self.installer_at(plan, nonce, Vec::new())
    }

    fn installer_at(&self, plan: Rc<Plan>, nonce: Nonce, addresses: Vec<Option<SocketAddr>>) -> Installer {
        let (settings, addresses) = (self.0.clone(), Rc::new(addresses));
        Rc::new(move |device| {
            let (plan, settings, addresses) = (plan.clone(), settings.clone(), addresses.clone());
            Box::new(move |installation| -> Box<dyn Adapter> {
                let address = addresses.get(device as usize).copied().flatten();
                let identity = identity(&plan, nonce, (device, installation), address);
                Box::new(Exec::new(settings.clone(), identity))
            })
        })
    }

    fn is_spoken_by_programs(&self) -> bool {
        true
    }

    fn lacks(&self, fault: &Fault) -> Option<&'static str> {
        let Fault::Client(client) = fault else { return None };
        match client.verb {
            ClientVerb::Takeover => Some(NO_TAKEOVER),
            ClientVerb::SlowConsumer { .. } if !self.0.manual_acks => Some(NO_SLOW_CONSUMER),
            ClientVerb::SlowConsumer { .. } | ClientVerb::Offline | ClientVerb::ReconnectStorm => None,
        }
    }
}

/// Conversations carry the run's salt, so that no other run's messages are met on a server that both use.
fn identity(
    plan: &Plan,
    nonce: Nonce,
    (device, installation): (u32, u32),
    address: Option<SocketAddr>,
) -> Identity {
    let salt = nonce.salt(plan.seed);
    let user = plan.devices[device as usize].user;
    let conversation = |planned: &avouch_scenarios::plan::Conversation| NamedConversation {
        name: format!("avouch-{salt:08x}-{}", planned.name),
        members: planned.members.clone(),
        is_member: planned.members.contains(&user),
    };
    Identity {
        device,
        installation,
        user,
        address,
        salt,
        seed: draw(plan.seed, CLIENT, &[u64::from(device), u64::from(installation)]),
        users: (0..plan.users).map(|user| format!("u{user}")).collect(),
        devices: plan.devices.iter().map(|device| device.name.clone()).collect(),
        conversations: plan.conversations.iter().map(conversation).collect(),
    }
}
