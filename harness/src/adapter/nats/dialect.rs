//! What the rest of the tool has to know of NATS.

use std::rc::Rc;
use std::sync::Arc;

use avouch_reports::history::Rung;
use avouch_scenarios::plan::{ClientVerb, Fault, Plan};

use super::kinds::kinds;
use super::{Identity, Nats, Settings, Streams};
use crate::adapter::Adapter;
use crate::adapter::protocol::{Dialect, Features, Party, Protocol, Step};
use crate::check::{CatchUp, Fifo, Options, Redelivery};
use crate::client::Carrier;
use crate::conductor::Installer;
use crate::link::Way;
use crate::payload::Nonce;
use crate::world::proxy::{Framing, NATS_FRAMING};

/// A drain may take this long, if it has to: with one message at a time, each synced before the next, a backlog is not quick. Nanoseconds.
const DRAIN_NS_MIN: u64 = 90_000_000_000;
const NO_TAKEOVER: &str = "NATS knows no takeover: two connections of one client live side by side";

/// NATS' entry in the registry.
pub const PROTOCOL: Protocol = Protocol {
    name: "nats",
    about: "NATS over TCP: core, and JetStream with durable pull consumers",
    configure: |options| Ok(Arc::new(Spoken(Settings::read(options)?))),
};

/// NATS as it is spoken in one mode.
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
        NATS_FRAMING
    }

    fn survives_frame_faults(&self) -> bool {
        false
    }

    fn frame_kinds(&self) -> Vec<&'static str> {
        kinds()
    }

    fn steps(&self) -> Vec<Step> {
        use Party::{Recipient, Sender};
        use Way::{Down, Up};
        let step = |party, way, kind| Step { party, way, kind };
        let Some(jetstream) = &self.0.jetstream else {
            return vec![step(Sender, Up, "PUB"), step(Recipient, Down, "MSG")];
        };
        let mut steps = vec![
            step(Sender, Up, "HPUB"),
            step(Sender, Down, "pub_ack"),
            step(Recipient, Up, "next"),
            step(Recipient, Down, "deliver"),
            step(Recipient, Up, "ack"),
        ];
        if jetstream.is_confirmed {
            steps.push(step(Recipient, Down, "ack_confirm"));
        }
        steps
    }

    fn features(&self) -> Features {
        Features {
            membership: false,
            history: false,
            read_marks: false,
            sessions: self.0.jetstream.is_some(),
        }
    }

    fn check_options(&self, plan: &Plan) -> Options {
        let common = Options {
            own_echo: true,
            recovers_within_ns: plan.expect.recovers_within_ns,
            planned_faults: plan.faults.iter().map(|fault| fault.id).collect(),
            ..Options::default()
        };
        let Some(jetstream) = &self.0.jetstream else {
            return Options {
                catch_up: CatchUp::Session,
                redelivery: Redelivery::Never,
                fifo: Fifo::Invoked,
                idempotent: false,
                ..common
            };
        };
        Options {
            // A consumer begins at the beginning of its stream.
            catch_up: CatchUp::Log,
            redelivery: if jetstream.is_confirmed {
                Redelivery::Never
            } else {
                Redelivery::UntilAcknowledged { flagged: true }
            },
            // Of what is pipelined, one message may be refused for now and come later.
            fifo: Fifo::Acknowledged,
            idempotent: true,
            client_keeps_cursor: false,
            copies_in_order: false,
            answers_prove_acks: false,
            durable_rung: Rung::Stored,
            death_forgets: !jetstream.is_confirmed,
            ..common
        }
    }

    fn prepare(&self, plan: &mut Plan) {
        let Some(jetstream) = &self.0.jetstream else { return };
        plan.phases.lost_after_ns = Some(jetstream.patience_ns());
        plan.phases.drain_ns_max = plan.phases.drain_ns_max.max(DRAIN_NS_MIN);
    }

    fn lacks(&self, fault: &Fault) -> Option<&'static str> {
        match fault {
            Fault::Client(client) if matches!(client.verb, ClientVerb::Takeover) => Some(NO_TAKEOVER),
            Fault::Client(_) | Fault::Link(_) | Fault::Node(_) => None,
        }
    }

    fn installer(&self, plan: Rc<Plan>, nonce: Nonce) -> Installer {
        let settings = self.0.clone();
        let streams = Rc::new(Streams::default());
        Rc::new(move |device| {
            let (plan, settings, streams) = (plan.clone(), settings.clone(), streams.clone());
            Box::new(move |installation| -> Box<dyn Adapter> {
                let identity = Identity::new(&plan, (&settings, nonce), device, installation);
                Box::new(Nats::new(settings.clone(), identity, streams.clone()))
            })
        })
    }
}
