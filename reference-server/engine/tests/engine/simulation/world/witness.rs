//! What is watched: every frame that the server transmits, what is still owed, which mechanisms were reached.

use avouch_engine::client;
use avouch_engine::codec::{self, Frame};
use avouch_engine::ids::ConversationId;
use avouch_engine::journal::Body;
use avouch_engine::server::{self, ConnectionId};
use bytes::Bytes;
use sha2::Digest;

use super::World;
use crate::simulation::oracle::{is_member, visible};

impl World {
    pub(crate) fn server_stats(&self) -> server::Stats {
        *self.server.as_ref().expect("running").stats()
    }

    pub(crate) fn trace_digest(&self) -> String {
        format!("{:x?}", self.trace.clone().finalize())
    }

    pub(crate) fn mechanisms(&self) -> Vec<(&'static str, u64)> {
        let s = |field: fn(&server::Stats) -> u64| self.stats.iter().map(field).sum::<u64>();
        let c = |field: fn(&client::Stats) -> u64| self.client_stats.iter().map(field).sum::<u64>();
        vec![
            ("retry", s(|s| s.delivered_retry)),
            ("sweep", s(|s| s.delivered_sweep)),
            ("pull", s(|s| s.delivered_pull)),
            ("dedup", s(|s| s.dedup_hits)),
            ("takeover", s(|s| s.takeovers)),
            ("silent", s(|s| s.silent_closed)),
            ("client silent", c(|c| c.silent)),
            ("held", s(|s| s.held)),
            ("retry later", s(|s| s.retry_later)),
            ("rejected", s(|s| s.rejected)),
            ("refused", s(|s| s.proposals_refused)),
            ("new installation", s(|s| s.new_installations)),
            ("receipts retried", s(|s| s.receipts_retried)),
            ("checksum", s(|s| s.checksum_failures)),
            ("client checksum", c(|c| c.checksum_failures)),
            ("operations retried", c(|c| c.operations_retried)),
            ("marks retried", c(|c| c.marks_retried)),
            ("gaps", c(|c| c.gaps)),
            ("deferred", c(|c| c.deferred)),
            ("suppressed", c(|c| c.suppressed)),
            ("load failed", s(|s| s.pages_refused)),
            ("history pages", self.pages),
            ("stale id", self.stale),
            ("slow peer", s(|s| s.slow_closed)),
            ("login timeout", s(|s| s.login_timeouts)),
        ]
    }

    /// What is still owed, in words.
    pub(super) fn missing(&self) -> Option<String> {
        for node in &self.nodes {
            if !node.client.is_idle() {
                return Some(format!("{:?} is not idle: {:?}", node.key, node.client));
            }
            for conversation in (1..=self.options.conversations).map(ConversationId) {
                let log = self.journal.log(conversation);
                let owed = visible(log, node.key.user);
                let got = node.delivered.get(&conversation).cloned().unwrap_or_default();
                if owed != got {
                    return Some(format!("{:?} {conversation:?}: owed {owed:?}, got {got:?}", node.key));
                }
                if !is_member(log, node.key.user) {
                    continue;
                }
                for other in &self.nodes {
                    let has = other.client.cursor(conversation);
                    let read = other.read_confirmed.get(&conversation).copied().unwrap_or(0);
                    let told = node.receipts.get(&(conversation, other.key)).copied().unwrap_or((0, 0));
                    if other.key != node.key && (told.0 < has || told.1 < read) {
                        return Some(format!(
                            "{:?} {conversation:?}: of {:?} knows {told:?}, not {:?}",
                            node.key,
                            other.key,
                            (has, read)
                        ));
                    }
                }
            }
        }
        None
    }

    /// The redelivered flag says exactly whether this process transmitted the entry to this installation before.
    pub(super) fn check_transmit(&mut self, connection: ConnectionId, bytes: &Bytes) {
        let frame = codec::decode(bytes).expect("the server encodes what it can decode");
        let Some(conn) = self.conns.get_mut(&connection) else {
            return;
        };
        // Somebody who never says anything is told so, and nothing else.
        let Some(node) = conn.node else {
            assert!(matches!(frame, Frame::Error { .. } | Frame::Goodbye { .. }), "{frame:?}");
            return;
        };
        let key = self.nodes[node].key;
        match frame {
            Frame::Welcome(welcome) => conn.key = Some((key, welcome.installation)),
            Frame::Deliver { conversation, redelivered, entry, .. } => {
                let who = conn.key.expect("logged in");
                let fresh = self.transmitted.insert((who, conversation, entry.seq));
                assert_eq!(redelivered, !fresh, "flag of {key:?} {conversation:?} {}", entry.seq);
                let leaves =
                    matches!(&entry.body, Body::Members { removed, .. } if removed.contains(&key.user));
                let log = self.journal.log(conversation);
                assert!(leaves || is_member(&log[..entry.seq as usize], key.user), "misdelivered");
            }
            Frame::Page(page) if page.request >> 63 == 0 => {
                let who = conn.key.expect("logged in");
                for (_, entry) in page.entries {
                    let fresh = self.transmitted.insert((who, page.conversation, entry.seq));
                    let flagged = entry.seq <= page.redelivered_up_to;
                    assert_eq!(flagged, !fresh, "page flag of {key:?} {:?} {}", page.conversation, entry.seq);
                }
            }
            _ => {}
        }
    }
}
