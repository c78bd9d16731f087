//! The ids of the guarantees that a scenario may expect and a target may claim. What each means, formally, stands
//! in the header of its checker.

use std::fmt;

use crate::names::nearest_hint;
use crate::units::{Complaint, Unit, unit};

/// Every guarantee: id and promise in one line.
pub const GUARANTEES: [(&str, &str); 27] = [
    ("no-loss", "every acked message reaches every eligible device"),
    ("no-duplicates", "each device is given each message once"),
    ("no-phantoms", "only what was sent arrives"),
    ("intact", "what arrives is what was sent, byte for byte"),
    ("isolation", "only members get a conversation's messages"),
    ("errors-truthful", "what was definitely refused never takes effect"),
    ("idempotent-send", "a retry with the same id gets the same position"),
    ("fifo-order", "the messages of one sender arrive in the order of sending"),
    ("causal-order", "a reply arrives after what it answers"),
    ("total-order", "all devices agree on one order"),
    ("real-time-order", "what was acked before another was sent stands before it"),
    ("seq-sane", "positions are unique, rising, without gaps, never reused"),
    ("offline-complete", "nothing is missing for who was away"),
    ("inflight-redelivered", "delivered, not acked, cut, resumed: delivered again, in order"),
    ("resume-truthful", "`resumed` means no gap, and a lost session is told"),
    ("receipts-truthful", "delivered means a device has it, read means delivered"),
    ("receipts-complete", "no receipt is lost for good"),
    ("redelivery-flag-truthful", "set exactly when it was delivered before"),
    ("gap-visible", "a missed range can be known before later messages are shown as complete"),
    ("read-your-writes", "a device finds its own acked messages in the history"),
    ("monotonic-reads", "what a page of history has shown does not vanish or move"),
    ("history-agrees", "once quiet, every device reads the same history"),
    ("membership-boundary", "members at commit time get it, nobody after removal"),
    ("durable-ack", "what was acked survives the death of the process"),
    ("durable-ack-power", "what was acked survives a loss of power"),
    ("chain-valid", "nothing was rewritten or left out"),
    ("send-live", "after the heal every send is answered"),
];

/// A guarantee that a budget in `expect` demands, beside those that are named.
pub const RECOVERS_WITHIN: (&str, &str) =
    ("recovers-within", "after the heal everything owed arrives in time");

/// A guarantee by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuaranteeId(pub &'static str);

unit!(GuaranteeId);
impl Unit for GuaranteeId {
    const NAME: &'static str = "guarantee";
    const EXAMPLES: &'static str = "\"no-loss\", \"total-order\"";
    const PATTERN: &'static str = "^[a-z]+(-[a-z]+)+$|^intact$|^isolation$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        if text == RECOVERS_WITHIN.0 {
            let hint = "give its budget instead: recovers_within = \"3s\" in [expect]";
            return Err(Complaint::new("`recovers-within` needs a budget", hint));
        }
        let known = GUARANTEES.iter().map(|(id, _)| *id);
        known.clone().find(|id| *id == text).map(Self).ok_or_else(|| {
            let hint = nearest_hint(text, known, "see `avouch list guarantees`");
            Complaint::new(format!("`{text}` is not a guarantee"), hint)
        })
    }
}

impl fmt::Display for GuaranteeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}
