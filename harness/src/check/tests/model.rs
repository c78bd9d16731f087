//! A tiny messaging server that keeps every promise, and the histories of its runs.

use avouch_reports::history::{Conversation, Device, Event, Message, PageItem, Phase, ReceiptKind, What};

use super::history::{History, digest, reference};

/// A sequence of choices (splitmix64).
pub(super) struct Choices(pub(super) u64);

impl Choices {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// One device: what it has, and what it told.
#[derive(Clone, Copy, Default)]
struct Client {
    id: u32,
    online: bool,
    cursor: usize,
    acked: usize,
    read: usize,
}

struct Model {
    h: Option<History>,
    choices: Choices,
    clients: Vec<Client>,
    /// (message, sender) by position - 1.
    log: Vec<(u64, usize)>,
    /// Sent and not committed.
    pending: Vec<(u64, usize)>,
    /// Committed and not acknowledged: (message, sender, position).
    unacked: Vec<(u64, usize, u64)>,
    /// told[s][by]: (delivered, read).
    told: Vec<Vec<(usize, usize)>>,
    next: u64,
    echo: bool,
}

/// A random run, all of whose promises are kept.
pub(super) fn run(seed: u64, steps: usize) -> History {
    let mut h = reference();
    let mut clients: Vec<Client> =
        (1..=3).map(|id| Client { id, online: true, ..Client::default() }).collect();
    for (id, user) in [(11, 1), (22, 2)] {
        h = h.device(id, user).anew(id);
        clients.push(Client { id, online: true, ..Client::default() });
    }
    let mut choices = Choices(seed);
    let echo = choices.below(2) == 0;
    let told = vec![vec![(0, 0); clients.len()]; clients.len()];
    let mut model = Model {
        h: Some(h),
        choices,
        clients,
        log: vec![],
        pending: vec![],
        unacked: vec![],
        told,
        next: 1,
        echo,
    };
    (0..steps).for_each(|_| model.step());
    model.end()
}

impl Model {
    fn say(&mut self, step: impl FnOnce(History) -> History) {
        self.h = self.h.take().map(step);
    }

    fn step(&mut self) {
        let at = self.choices.below(self.clients.len());
        let (id, online) = (self.clients[at].id, self.clients[at].online);
        match self.choices.below(24) {
            0..4 => self.send(at),
            4..7 => self.commit(),
            7..10 => self.acknowledge(),
            10..16 if online => self.deliver(at),
            16..18 if online => self.tell(at),
            18 if online => {
                self.clients[at].online = false;
                self.say(|h| h.cut(id));
            }
            18 | 19 if !online => {
                self.clients[at].online = true;
                self.say(|h| h.resume(id));
            }
            19 if online => self.read(at),
            20 if online => self.page(at),
            21 if !self.pending.is_empty() => self.refuse(),
            22 if online => self.copy(at),
            _ => self.give_up(),
        }
    }

    fn send(&mut self, at: usize) {
        let (m, id) = (self.next, self.clients[at].id);
        self.next += 1;
        let seen = self.log[..self.clients[at].cursor].last().map(|&(m, _)| m);
        self.pending.push((m, at));
        match seen.filter(|_| self.choices.below(2) == 0) {
            Some(to) => self.say(|h| h.reply(id, m, to)),
            None => self.say(|h| h.send(id, m)),
        }
    }

    fn commit(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let at = self.choices.below(self.pending.len());
        // One sender's messages are committed in their order.
        let (_, sender) = self.pending[at];
        let first = self.pending.iter().position(|&(_, s)| s == sender).unwrap();
        let (m, sender) = self.pending.remove(first);
        self.log.push((m, sender));
        self.unacked.push((m, sender, self.log.len() as u64));
    }

    fn acknowledge(&mut self) {
        let Some(at) = self.unacked.iter().position(|&(_, s, _)| self.clients[s].online) else { return };
        let (m, _, seq) = self.unacked.remove(at);
        if self.choices.below(3) == 0 {
            self.say(|h| h.retry(m));
        }
        self.say(|h| h.acc(m, seq));
    }

    fn deliver(&mut self, at: usize) {
        let client = self.clients[at];
        let Some(&(m, sender)) = self.log.get(client.cursor) else { return };
        self.clients[at].cursor += 1;
        let seq = self.clients[at].cursor as u64;
        if sender != at || self.echo {
            self.say(|h| h.del(client.id, m, seq));
        }
        if self.choices.below(2) == 0 {
            self.ack(at);
        }
    }

    fn ack(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if client.cursor > client.acked {
            client.acked = client.cursor;
            let (id, up_to) = (client.id, client.acked as u64);
            self.say(|h| h.ack(id, up_to));
        }
    }

    fn tell(&mut self, at: usize) {
        for by in 0..self.clients.len() {
            let (to, from) = (self.clients[at].id, self.clients[by]);
            let told = self.told[at][by];
            if by == at || told == (from.acked, from.read) {
                continue;
            }
            self.told[at][by] = (from.acked, from.read);
            if from.acked > told.0 {
                self.say(|h| h.receipt(to, from.id, ReceiptKind::Delivered, from.acked as u64));
            }
            if from.read > told.1 {
                self.say(|h| h.receipt(to, from.id, ReceiptKind::Read, from.read as u64));
            }
        }
    }

    fn read(&mut self, at: usize) {
        self.ack(at);
        let client = &mut self.clients[at];
        if client.cursor > client.read {
            client.read = client.cursor;
            let (id, up_to) = (client.id, client.read as u64);
            self.say(|h| h.read(id, up_to).read_ok(id, up_to));
        }
    }

    fn page(&mut self, at: usize) {
        let id = self.clients[at].id;
        let after = self.choices.below(self.log.len() + 1);
        let until = (after + self.choices.below(8) + 1).min(self.log.len());
        self.page_of(id, after, until);
    }

    fn page_of(&mut self, d: u32, after: usize, until: usize) {
        let item = |at: usize| PageItem {
            seq: Some(at as u64 + 1),
            message: Some(Message(self.log[at].0)),
            digest: digest(self.log[at].0),
        };
        let items = (after..until).map(item).collect();
        let complete = until == self.log.len();
        let request = self.h.as_ref().unwrap().events.len() as u64;
        let page = What::Page { device: Device(d), conversation: Conversation(1), request, items, complete };
        self.say(|h| h.ask(d, request, after as u64).say(page));
    }

    fn refuse(&mut self) {
        let at = self.choices.below(self.pending.len());
        let (m, sender) = self.pending[at];
        if self.clients[sender].online {
            self.pending.remove(at);
            self.say(|h| h.rej(m));
        }
    }

    /// A copy that the client recognises.
    fn copy(&mut self, at: usize) {
        let client = self.clients[at];
        if client.cursor > 0 {
            let old = self.choices.below(client.cursor);
            let (m, _) = self.log[old];
            self.say(|h| h.sup(client.id, m, old as u64 + 1, true));
        }
    }

    /// A send is given up; it may have been committed, or may be later, or not.
    fn give_up(&mut self) {
        if self.choices.below(3) == 0 && !self.unacked.is_empty() {
            let (m, ..) = self.unacked.remove(0);
            self.say(|h| h.unknown(m));
        }
    }

    fn end(mut self) -> History {
        for at in 0..self.clients.len() {
            let client = self.clients[at];
            if !client.online {
                self.clients[at].online = true;
                self.say(|h| h.resume(client.id));
            }
        }
        self.say(|h| h.phase(Phase::Heal).phase(Phase::Drain));
        while !self.pending.is_empty() {
            self.commit();
        }
        while !self.unacked.is_empty() {
            self.acknowledge();
        }
        for at in 0..self.clients.len() {
            while self.clients[at].cursor < self.log.len() {
                self.deliver(at);
            }
            self.ack(at);
        }
        (0..self.clients.len()).for_each(|at| self.tell(at));
        self.say(|h| h.wait(3_000).end());
        for at in 0..self.clients.len() {
            self.page_of(self.clients[at].id, 0, self.log.len());
        }
        self.h.unwrap()
    }
}

/// Positions of the events that are of a kind.
pub(super) fn places(events: &[Event], is: impl Fn(&What) -> bool) -> Vec<usize> {
    events.iter().enumerate().filter(|(_, e)| is(&e.what)).map(|(at, _)| at).collect()
}
