//! What somebody still waits for: at the end of a run it never arrived.

use super::{LatencyRecorder, RECEIPT_CURSORS_MAX, Waiting};
use crate::latency::{LatencySummary, Series, Stage};

impl LatencyRecorder {
    /// What was recorded. Messages that are still waited for count as infinite; so this is for the end of a run.
    pub fn summary(&self) -> LatencySummary {
        LatencySummary::new(&self.totals, &self.never(), self.forgotten)
    }

    /// What is owed and has not arrived, per series.
    pub(in crate::latency) fn never(&self) -> Vec<u64> {
        let mut never = vec![0; Series::COUNT];
        self.owed(|waiting, stage, missing| {
            for (from, start_ns) in waiting.starts() {
                let window = self.window(start_ns);
                never[Series { stage, from, window }.index()] += missing;
            }
        });
        never
    }

    /// Tells of every message what is owed and has not arrived.
    pub(in crate::latency) fn owed(&self, mut tell: impl FnMut(&Waiting, Stage, u64)) {
        for waiting in self.order.iter().filter_map(|message| self.waiting.get(message)) {
            let missing = [
                (Stage::Accepted, u32::from(!waiting.accepted)),
                (Stage::Delivered, waiting.expected.saturating_sub(waiting.delivered)),
                (Stage::Receipt, waiting.receipts_expected.saturating_sub(waiting.receipts)),
            ];
            for (stage, missing) in missing {
                // Nobody is owed the delivery of what was never accepted, nor a receipt where there are none.
                let receipts = self.any_receipt && self.receipt_cursors < RECEIPT_CURSORS_MAX;
                let is_owed =
                    stage == Stage::Accepted || waiting.accepted && (stage != Stage::Receipt || receipts);
                if is_owed {
                    tell(waiting, stage, u64::from(missing));
                }
            }
        }
    }
}
