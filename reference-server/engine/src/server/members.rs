//! Who may see what: stays, and the positions that follow from them.

use super::state::{Conversation, ConversationIx, Server, Stay, UserIx};
use crate::codec::RejectCode;
use crate::defects::Defect;
use crate::ids::{Seq, UserId};
use crate::journal::Body;
use crate::limits;

impl Conversation {
    /// Whether the user belongs, counting what is proposed.
    pub(super) fn is_member_tentatively(&self, user: UserIx) -> bool {
        self.members.get(&user).and_then(|stays| stays.last()).is_some_and(|stay| stay.until.is_none())
    }

    /// Whether the user belongs, as of the committed log.
    pub(super) fn is_member(&self, user: UserIx) -> bool {
        self.stays(user).last().is_some_and(|stay| stay.until.is_none_or(|until| until > self.head))
    }

    /// The first entry after a position that the user may see.
    pub(super) fn next_visible(&self, user: UserIx, after: Seq) -> Option<Seq> {
        self.stays(user).find(|stay| self.last_of(*stay) > after).map(|stay| stay.from.max(after + 1))
    }

    /// The last entry that the user may see; 0 = none.
    pub(super) fn last_visible(&self, user: UserIx) -> Seq {
        self.stays(user).last().map_or(0, |stay| self.last_of(stay))
    }

    /// The last entry at or before a position that the user may see; 0 = none.
    pub(super) fn visible_floor(&self, user: UserIx, at: Seq) -> Seq {
        self.stays(user)
            .take_while(|stay| stay.from <= at)
            .last()
            .map_or(0, |stay| self.last_of(stay).min(at))
    }

    /// The entry before a visible one that the user may see; 0 = none.
    pub(super) fn prev_visible(&self, user: UserIx, seq: Seq) -> Seq {
        self.visible_floor(user, seq.saturating_sub(1))
    }

    /// The end of the stay that a visible position belongs to, as of the committed log.
    pub(super) fn stay_end(&self, user: UserIx, seq: Seq) -> Seq {
        self.stays(user).find(|stay| self.last_of(*stay) >= seq).map_or(seq, |stay| self.last_of(stay))
    }

    /// Whether the user belongs or belonged once so far; later stays may be proposed already.
    pub(super) fn is_first_stay(&self, user: UserIx) -> bool {
        self.stays(user).count() == 1
    }

    /// Committed stays, in order.
    fn stays(&self, user: UserIx) -> impl Iterator<Item = Stay> + '_ {
        self.members.get(&user).into_iter().flatten().copied().take_while(|stay| stay.from <= self.head)
    }

    fn last_of(&self, stay: Stay) -> Seq {
        stay.until.map_or(self.head, |until| until.min(self.head))
    }
}

impl Server {
    /// Whether a membership change may be proposed; the author belongs already, or makes the conversation.
    pub(super) fn check_members(
        &self,
        conversation: Option<ConversationIx>,
        author: UserId,
        added: &[UserId],
        removed: &[UserId],
    ) -> Result<(), RejectCode> {
        let named = added.len() + removed.len();
        let mut all: Vec<UserId> = added.iter().chain(removed).copied().collect();
        all.sort_unstable();
        all.dedup();
        if named == 0 || named > limits::MEMBERS_PER_CHANGE || all.len() != named {
            return Err(RejectCode::BadMembers);
        }
        let Some(conversation) = conversation.map(|ix| &self.conversations[ix]) else {
            let fits = removed.is_empty() && added.contains(&author);
            return if fits { self.check_joins(added) } else { Err(RejectCode::BadMembers) };
        };
        let stays = |user: &UserId| self.user_index.get(user).and_then(|ix| conversation.members.get(ix));
        let belongs =
            |user: &UserId| stays(user).and_then(|all| all.last()).is_some_and(|stay| stay.until.is_none());
        if added.iter().any(&belongs) || !removed.iter().all(&belongs) {
            return Err(RejectCode::BadMembers);
        }
        let too_often = |user: &UserId| stays(user).is_some_and(|all| all.len() >= limits::STAYS_PER_MEMBER);
        let members = conversation.members_tentative + added.len() - removed.len();
        if members > limits::MEMBERS_PER_CONVERSATION || added.iter().any(too_often) {
            return Err(RejectCode::BadMembers);
        }
        self.check_joins(added)
    }

    fn check_joins(&self, added: &[UserId]) -> Result<(), RejectCode> {
        let full = |user: &UserId| {
            let known = self.user_index.get(user).map(|ix| self.users[*ix].conversations.len());
            known.is_some_and(|count| count >= limits::CONVERSATIONS_PER_USER)
        };
        if added.iter().any(full) { Err(RejectCode::BadMembers) } else { Ok(()) }
    }

    /// Enters a proposed change into the stays.
    pub(super) fn enter_members(&mut self, conversation: ConversationIx, seq: Seq, body: &Body) {
        let Body::Members { added, removed } = body else {
            return;
        };
        for id in added {
            let user = self.user(*id);
            let state = &mut self.conversations[conversation];
            let from = seq - u64::from(seq > 1 && self.config.defects.has(Defect::JoinerSeesOneMore));
            state.members.entry(user).or_default().push(Stay { from, until: None });
            state.members_tentative += 1;
        }
        for id in removed {
            let user = self.user(*id);
            let state = &mut self.conversations[conversation];
            if let Some(stay) = state.members.get_mut(&user).and_then(|stays| stays.last_mut()) {
                let late = self.config.defects.has(Defect::DeliveryToRemoved);
                stay.until = Some(if late { Seq::MAX } else { seq });
                state.members_tentative -= 1;
            }
        }
    }

    /// Takes the newest proposed change back.
    pub(super) fn withdraw_members(&mut self, conversation: ConversationIx, body: &Body) {
        let Body::Members { added, removed } = body else {
            return;
        };
        for id in added {
            let user = self.user(*id);
            let state = &mut self.conversations[conversation];
            if let Some(stays) = state.members.get_mut(&user) {
                stays.pop();
                state.members_tentative -= 1;
                if stays.is_empty() {
                    state.members.remove(&user);
                }
            }
        }
        for id in removed {
            let user = self.user(*id);
            let state = &mut self.conversations[conversation];
            if let Some(stay) = state.members.get_mut(&user).and_then(|stays| stays.last_mut()) {
                stay.until = None;
                state.members_tentative += 1;
            }
        }
    }
}
