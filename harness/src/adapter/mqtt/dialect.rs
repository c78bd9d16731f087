//! What the rest of the tool has to know of MQTT.

use std::rc::Rc;
use std::sync::Arc;

use avouch_scenarios::keyed::{Purpose, draw};
use avouch_scenarios::plan::{Do, Plan};
use bytes::{Bytes, BytesMut};

use super::codec::{self, Connect, KINDS, Qos};
use super::{Identity, Mqtt, Settings, is_acknowledged};
use crate::adapter::Adapter;
use crate::adapter::protocol::{Dialect, Features, Party, Protocol, Step};
use crate::check::{CatchUp, Fifo, Options, Redelivery};
use crate::client::Carrier;
use crate::conductor::Installer;
use crate::link::Way;
use crate::payload::Nonce;
use crate::world::proxy::{Framing, MQTT_FRAMING};

/// Connections in the drain, at most, until they bring nothing new.
const RECONNECTS_MAX: u32 = 8;
const CLIENT: Purpose = Purpose::named("mqtt-client");

/// MQTT's entry in the registry.
pub const PROTOCOL: Protocol = Protocol {
    name: "mqtt",
    about: "MQTT 3.1.1 and 5.0 over TCP",
    configure: |options| Ok(Arc::new(Spoken(Settings::read(options)?))),
};

/// MQTT as it is spoken in one mode.
#[derive(Clone, Debug)]
pub struct Spoken(Settings);

impl Dialect for Spoken {
    fn words(&self) -> String {
        self.0.words()
    }

    fn carrier(&self) -> Carrier {
        Carrier::Bytes
    }

    fn framing(&self) -> Framing {
        MQTT_FRAMING
    }

    fn survives_frame_faults(&self) -> bool {
        false
    }

    fn frame_kinds(&self) -> Vec<&'static str> {
        KINDS.to_vec()
    }

    fn steps(&self) -> Vec<Step> {
        use Way::{Down, Up};
        let kinds: &[(&str, Way)] = match self.0.qos {
            Qos::Zero => &[("PUBLISH", Up)],
            Qos::One => &[("PUBLISH", Up), ("PUBACK", Down)],
            Qos::Two => &[("PUBLISH", Up), ("PUBREC", Down), ("PUBREL", Up), ("PUBCOMP", Down)],
        };
        let sender = kinds.iter().map(|(kind, way)| Step { party: Party::Sender, way: *way, kind });
        // The server is to a recipient what the sender is to it.
        let recipient =
            kinds.iter().map(|(kind, way)| Step { party: Party::Recipient, way: way.opposite(), kind });
        sender.chain(recipient).collect()
    }

    fn features(&self) -> Features {
        Features { membership: false, history: false, read_marks: false, sessions: self.0.is_persistent }
    }

    fn has_publishers(&self) -> bool {
        true
    }

    fn check_options(&self, plan: &Plan) -> Options {
        let is_kept = self.0.is_persistent && is_acknowledged(self.0.qos);
        Options {
            catch_up: if self.0.is_persistent { CatchUp::Subscription } else { CatchUp::Session },
            redelivery: match self.0.qos {
                Qos::One => Redelivery::UntilAcknowledged { flagged: true },
                Qos::Zero | Qos::Two => Redelivery::Never,
            },
            // MQTT 4.6: in the order in which they were received from one client.
            fifo: Fifo::Invoked,
            idempotent: self.0.qos == Qos::Two,
            own_echo: true,
            client_keeps_cursor: !is_kept,
            durable_rung: avouch_reports::history::Rung::Accepted,
            death_forgets: true,
            recovers_within_ns: plan.expect.recovers_within_ns,
            planned_faults: plan.faults.iter().map(|fault| fault.id).collect(),
            ..Options::default()
        }
    }

    fn prepare(&self, plan: &mut Plan) {
        plan.phases.reconnects_max = RECONNECTS_MAX;
    }

    fn installer(&self, plan: Rc<Plan>, nonce: Nonce) -> Installer {
        let settings = self.0.clone();
        Rc::new(move |device| {
            let (plan, settings) = (plan.clone(), settings.clone());
            Box::new(move |installation| -> Box<dyn Adapter> {
                let identity = identity(&plan, (&settings, nonce), device, installation);
                Box::new(Mqtt::new(settings.clone(), identity))
            })
        })
    }

    /// A clean session in the place of each that is kept: "the Client and Server discard any previous Session" [MQTT-3.1.2-6].
    fn farewells(&self, plan: &Plan, nonce: Nonce) -> Vec<Bytes> {
        let Spoken(settings) = self;
        if !settings.is_persistent {
            return Vec::new();
        }
        let installations = |device: u32| {
            let its = plan.actions.iter().filter(move |action| action.device == device);
            0..=its.filter(|action| matches!(action.what, Do::Reinstall)).count() as u32
        };
        let all = (0..plan.devices.len() as u32)
            .flat_map(|device| installations(device).map(move |installation| (device, installation)));
        all.map(|(device, installation)| {
            let identity = identity(plan, (settings, nonce), device, installation);
            let login = settings.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
            let connect = Connect {
                client_id: &identity.client_id,
                is_clean: true,
                keep_alive_s: settings.keep_alive_s,
                session_expiry_s: 0,
                receive_maximum: None,
                login,
            };
            let mut packets = BytesMut::from(codec::connect(settings.version, &connect).as_ref());
            packets.extend_from_slice(&codec::DISCONNECT);
            packets.freeze()
        })
        .collect()
    }
}

/// Client ids and topics carry the run's mark, so that no other run's sessions and messages are met on a server that both
/// use, also at the same time.
fn identity(plan: &Plan, (settings, nonce): (&Settings, Nonce), device: u32, installation: u32) -> Identity {
    let salt = nonce.salt(plan.seed);
    let run = nonce.mark((plan.seed, &plan.scenario), &settings.words());
    let user = plan.devices[device as usize].user;
    let conversations = plan.conversations.iter().enumerate();
    let subscribed = conversations.filter(|(_, it)| it.members.contains(&user));
    Identity {
        device,
        // Letters and digits, and no more than 23 of them: what every server has to take [MQTT-3.1.3-5].
        client_id: format!("av{:012x}d{device}i{installation}", run >> 16),
        salt,
        seed: draw(plan.seed, CLIENT, &[u64::from(device), u64::from(installation)]),
        topics: (0..plan.conversations.len()).map(|number| format!("avouch/{run:016x}/c{number}")).collect(),
        subscribed: subscribed.map(|(number, _)| number as u32).collect(),
    }
}
