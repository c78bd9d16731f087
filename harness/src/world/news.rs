//! What links tell: recorded as it comes, and the triggers handed to the conductor. The same in every world.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use avouch_reports::history::{Device, What};
use avouch_scenarios::plan::Plan;
use tokio::sync::mpsc;

use super::Triggered;
use super::proxy::{Clock, Framing, Happened, Sink};
use crate::link::{Event, Settings};
use crate::recorder::Recorder;

/// The receiving end of all links of a run.
pub struct News {
    receiver: RefCell<mpsc::UnboundedReceiver<(u64, u32, Happened)>>,
    recorder: Recorder,
}

impl News {
    /// The sink for the links, and the end that reads it. Links may tell from any task; one task reads.
    pub fn new(clock: Clock, recorder: Recorder) -> (Sink, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let sink: Sink = Arc::new(move |device, happened| {
            // Nobody reads any more once the run is over.
            let _ = sender.send((clock(), device, happened));
        });
        (sink, Self { receiver: RefCell::new(receiver), recorder })
    }

    /// Records what comes until a trigger is among it.
    pub async fn triggered(&self) -> Triggered {
        loop {
            let news = poll_fn(|context| match self.receiver.borrow_mut().poll_recv(context) {
                Poll::Ready(Some(news)) => Poll::Ready(news),
                // All links are gone: the run is over, and so is whoever waits here.
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            });
            let (at_ns, device, happened) = news.await;
            if let Some(triggered) = self.take(at_ns, device, happened) {
                return triggered;
            }
        }
    }

    fn take(&self, at_ns: u64, device: u32, happened: Happened) -> Option<Triggered> {
        let note = |text: String| self.recorder.record(at_ns, What::Note { text });
        match happened {
            Happened::Fault(Event::Fired { fault, kind, frame, detail }) => self.recorder.record(
                at_ns,
                What::FaultFired { id: fault, kind: kind.to_owned(), device: Device(device), frame, detail },
            ),
            Happened::Fault(Event::Triggered { fault, .. }) => return Some(Triggered { fault }),
            Happened::Closed { unparsed_bytes, .. } if unparsed_bytes > 0 => {
                note(format!(
                    "{unparsed_bytes} bytes of device {device} were not understood; frame faults could not see them"
                ));
            }
            Happened::Failed { why } => self.recorder.fail(why),
            // No world has toxics.
            Happened::Toxic(_)
            | Happened::Fault(Event::Expired { .. })
            | Happened::Connected(_)
            | Happened::Refused(_)
            | Happened::Unreachable { .. }
            | Happened::Closed { .. } => {}
        }
        None
    }
}

/// The links of all devices of a plan, and whether the protocol survives faults on frames.
pub fn settings(plan: &Plan, survives_frame_faults: bool) -> Vec<Settings> {
    let faults: Arc<[_]> = plan.faults.clone().into();
    let one = |device| Settings {
        seed: plan.seed,
        device,
        network: plan.network.clone(),
        faults: Arc::clone(&faults),
        survives_frame_faults,
    };
    (0..plan.devices.len() as u32).map(one).collect()
}

/// How the reference protocol's frames are found: one per WebSocket message, its kind in the first byte.
pub const REFERENCE_FRAMING: Framing =
    Framing::WebSocket { up: avouch_engine::codec::kind_name_of, down: avouch_engine::codec::kind_name_of };
