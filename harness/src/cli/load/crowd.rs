//! Who is there, who sends, and who is in which conversation.

use avouch_reports::load::{PlannedSize, Shape, ShapeKind};
use avouch_scenarios::load::{Sender, SenderShare};
use avouch_scenarios::units::MemberMix;

use super::{Args, ShapeName};
use crate::subject::Subject;

/// Pairs and senders, unless somebody says how many.
const PAIRS: u32 = 8;
/// Groups, unless somebody says how many.
const GROUPS: u32 = 4;
/// Conversations of several sizes, unless somebody says how many.
const MIXED: u32 = 20;

/// Everybody who takes part.
pub(super) struct Crowd {
    /// How many.
    pub(super) users: u32,
    /// Members, per conversation.
    pub(super) conversations: Vec<Vec<u32>>,
    /// Who sends where.
    pub(super) senders: Vec<Sender>,
    /// Which of them say how much; empty = all as much.
    pub(super) shares: Vec<SenderShare>,
    /// Users from here on are silent; the storm's come last.
    pub(super) silent_from: u32,
    /// What the record says of it.
    pub(super) shape: Shape,
}

/// Those who take part, conversation by conversation.
#[derive(Default)]
struct Active {
    /// In a protocol in which somebody can send without being a member.
    publishers: bool,
    users: u32,
    conversations: Vec<Vec<u32>>,
    senders: Vec<Sender>,
}

impl Active {
    /// Two new ones, of whom the first sends.
    fn pair(&mut self) {
        let sender = self.users;
        self.users += 2;
        self.one_way(sender, sender + 1);
    }

    /// New ones, of whom all send.
    fn group(&mut self, size: u32) {
        let conversation = self.conversations.len() as u32;
        let members: Vec<u32> = (self.users..self.users + size).collect();
        self.users += size;
        self.senders.extend(members.iter().map(|device| Sender { device: *device, conversation }));
        self.conversations.push(members);
    }

    /// One more who sends to the first.
    fn many_to_one(&mut self) {
        self.users = self.users.max(1) + 1;
        self.one_way(self.users - 1, 0);
    }

    fn one_way(&mut self, sender: u32, recipient: u32) {
        let conversation = self.conversations.len() as u32;
        self.senders.push(Sender { device: sender, conversation });
        let mut members = if self.publishers { vec![recipient] } else { vec![sender, recipient] };
        members.sort_unstable();
        self.conversations.push(members);
    }
}

impl Crowd {
    pub(super) fn new(args: &Args, mix: Option<&MemberMix>, subject: &Subject) -> Result<Self, String> {
        let mut active = Active { publishers: subject.dialect.has_publishers(), ..Active::default() };
        let (kind, members, words, sizes) = if let Some(mix) = mix {
            let (sizes, words) = mixed(args, mix)?;
            let largest = sizes.iter().map(|size| size.members).max().unwrap_or(0);
            for size in &sizes {
                for _ in 0..size.conversations {
                    if size.members == 2 { active.pair() } else { active.group(size.members) }
                }
            }
            (ShapeKind::Mixed, largest, words, sizes)
        } else {
            let (kind, members, words) = of_one_size(args, &mut active);
            (kind, members, words, Vec::new())
        };
        let Active { users: silent_from, conversations, senders, .. } = active;
        let kind = match (args.storm, args.idle) {
            (1.., _) => ShapeKind::ConnectionStorm,
            (0, 1..) => ShapeKind::IdleCrowd,
            (0, 0) => kind,
        };
        let idle = if args.idle > 0 { format!(", {} idle sessions", args.idle) } else { String::new() };
        let storm = if args.storm > 0 {
            format!(", {} sessions connecting meanwhile", args.storm)
        } else {
            String::new()
        };
        let users = silent_from + args.idle + args.storm;
        let of_size = |size: &PlannedSize| {
            let each = if size.members == 2 { 1 } else { size.members };
            SenderShare { senders: size.conversations * each, ppm: size.share_ppm }
        };
        let shares = sizes.iter().map(of_size).collect();
        let shape = Shape {
            kind,
            conversations: conversations.len() as u64,
            members: u64::from(members),
            sizes,
            sessions: u64::from(users),
            idle_sessions: u64::from(args.idle + args.storm),
            words: format!("{words}{idle}{storm}"),
        };
        Ok(Self { users, conversations, senders, shares, silent_from, shape })
    }
}

fn of_one_size(args: &Args, active: &mut Active) -> (ShapeKind, u32, String) {
    let count = args.conversations.unwrap_or(if args.shape == ShapeName::Groups { GROUPS } else { PAIRS });
    for _ in 0..count {
        match args.shape {
            ShapeName::Pairs => active.pair(),
            ShapeName::FanIn => active.many_to_one(),
            ShapeName::Groups => active.group(args.members),
        }
    }
    match args.shape {
        ShapeName::Pairs => (ShapeKind::OneToOne, 2, format!("{count} pairs")),
        ShapeName::FanIn => (ShapeKind::FanIn, 2, format!("{count} senders to one recipient")),
        ShapeName::Groups => (ShapeKind::Groups, args.members, format!("{count} groups of {}", args.members)),
    }
}

/// Every size with its count, and the same in words.
fn mixed(args: &Args, mix: &MemberMix) -> Result<(Vec<PlannedSize>, String), String> {
    if let (Some(_), Some(counted)) = (args.conversations, mix.counted()) {
        return Err(format!(
            "--conversations: --sizes says itself how many there are, {counted}\nhint: leave out either"
        ));
    }
    let counts = mix.conversations(args.conversations.unwrap_or(MIXED));
    let planned = mix.sizes().iter().zip(&counts).map(|(size, count)| PlannedSize {
        members: size.members,
        conversations: *count,
        share_ppm: size.ppm,
    });
    let planned: Vec<PlannedSize> = planned.collect();
    let sessions: u64 =
        planned.iter().map(|size| u64::from(size.members) * u64::from(size.conversations)).sum();
    super::order::sessions_fit(sessions)?;
    let kinds =
        match (planned.iter().any(|size| size.members == 2), planned.iter().any(|size| size.members > 2)) {
            (true, true) => "pairs and groups",
            (true, false) => "pairs",
            (false, _) => "groups",
        };
    Ok((planned, format!("{kinds} {}", mix.with_counts(&counts))))
}
