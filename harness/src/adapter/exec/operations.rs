//! What a person at the device wants, as lines for the program. All of it waits for a session.

use std::collections::VecDeque;

use avouch_reports::history::{Message, Rung, What};

use super::wire::{self, Request};
use super::{Asked, Exec, Stage};
use crate::adapter::{Change, Outgoing, Wish};

/// Something that is said once there is a session.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    Send(Outgoing),
    Members(Change),
    Read { conversation: u32, up_to: u64 },
    Page { conversation: u32, request: u64, after: u64 },
}

impl Exec {
    pub(super) fn operation(&mut self, wish: Wish) {
        match wish {
            Wish::Send(outgoing) => self.waiting.push_back(Waiting::Send(outgoing)),
            Wish::ChangeMembers(change) if self.settings.membership => {
                self.waiting.push_back(Waiting::Members(change));
            }
            Wish::ChangeMembers(change) => {
                // The program knows from `init` what there is to join.
                let (device, message) = (self.device(), change.message);
                self.saw(What::Accepted { device, message, seq: None, rung: Rung::Accepted });
            }
            Wish::GiveUp(message) => self.give_up(message),
            Wish::MarkRead { conversation, up_to } if self.settings.read_marks => {
                self.waiting.push_back(Waiting::Read { conversation, up_to });
            }
            Wish::Page { conversation, request, after } => {
                self.waiting.push_back(Waiting::Page { conversation, request, after });
            }
            Wish::Consumed(count) if self.settings.manual_acks && self.is_greeted() => {
                self.say(Request::Consumed { count });
            }
            Wish::Connect | Wish::Disconnect | Wish::MarkRead { .. } | Wish::Consumed(_) => {}
        }
        self.go_on();
    }

    /// Says what waits.
    pub(super) fn go_on(&mut self) {
        while self.stage == Stage::Up
            && let Some(waiting) = self.waiting.pop_front()
        {
            self.say_waiting(waiting);
        }
    }

    fn say_waiting(&mut self, waiting: Waiting) {
        let name = |of: &Self, number: u32| of.identity.conversations[number as usize].name.clone();
        match waiting {
            Waiting::Send(outgoing) => {
                let conversation = &name(self, outgoing.conversation);
                let (payload, reply_to_seq) = (wire::encoded(&outgoing.payload), outgoing.reply_to_seq);
                self.ask(
                    Request::Send { conversation, payload, reply_to_seq },
                    Asked::Operation(outgoing.message),
                );
            }
            Waiting::Members(change) => {
                let conversation = &name(self, change.conversation);
                let users = self.identity.users.clone();
                let names =
                    |numbers: &[u32]| numbers.iter().map(|user| users[*user as usize].as_str()).collect();
                let (added, removed) = (names(&change.added), names(&change.removed));
                self.ask(Request::Members { conversation, added, removed }, Asked::Operation(change.message));
            }
            Waiting::Read { conversation, up_to } => {
                let request = Request::Read { conversation: &name(self, conversation), up_to };
                self.ask(request, Asked::Read { conversation, up_to });
            }
            Waiting::Page { conversation, request, after } => {
                let line = Request::Page { conversation: &name(self, conversation), after };
                self.ask(line, Asked::Page { conversation, request, after });
            }
        }
    }

    /// Nobody waits for an operation any more. What the program does with it is its own affair.
    fn give_up(&mut self, message: Message) {
        let is_it = |waiting: &Waiting| match waiting {
            Waiting::Send(outgoing) => outgoing.message == message,
            Waiting::Members(change) => change.message == message,
            Waiting::Read { .. } | Waiting::Page { .. } => false,
        };
        let waiting: VecDeque<Waiting> = std::mem::take(&mut self.waiting);
        self.waiting = waiting.into_iter().filter(|waiting| !is_it(waiting)).collect();
        let asked = self.asked.iter().find(|(_, asked)| **asked == Asked::Operation(message));
        if let Some((&id, _)) = asked {
            self.asked.remove(&id);
            self.given_up.insert(id);
        }
    }
}
