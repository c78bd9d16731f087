//! What one run is like.

use avouch_engine::backoff::Backoff;
use avouch_engine::{client, server};
use bytes::Bytes;

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }
    pub(crate) fn chance(&mut self, ppm: u64) -> bool {
        self.below(1_000_000) < ppm
    }
    pub(crate) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// Longest time that a transport takes nothing, milliseconds.
pub(crate) const STALL_MS_MAX: u64 = 3_000;

/// Shares are in millionths; times in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) users: u64,
    pub(crate) devices: u64,
    pub(crate) conversations: u64,
    pub(crate) chaos_ms: u64,
    pub(crate) actions: u64,
    pub(crate) delay_ms: (u64, u64),
    pub(crate) fifo: bool,
    pub(crate) drop: u64,
    pub(crate) duplicate: u64,
    pub(crate) corrupt: u64,
    pub(crate) cut: u64,
    pub(crate) half_open: u64,
    pub(crate) cuts: u64,
    pub(crate) takeovers: u64,
    pub(crate) crashes: u64,
    pub(crate) reinstalls: u64,
    pub(crate) member_changes: u64,
    pub(crate) refuse: u64,
    pub(crate) load_fails: u64,
    pub(crate) commit_ms: u64,
    pub(crate) slow_ms: u64,
    /// Connections of somebody who never says anything.
    pub(crate) strangers: u64,
    /// Times that the transport of some connection takes nothing for up to `STALL_MS_MAX`.
    pub(crate) stalls: u64,
    /// Times that an application sends one of its oldest accepted operations once more.
    pub(crate) repeats: u64,
    pub(crate) consume_window: Option<usize>,
    pub(crate) server: server::Config,
    pub(crate) client: client::Config,
}

impl Options {
    pub(crate) fn clean(seed: u64) -> Self {
        Self {
            seed,
            users: 3,
            devices: 4,
            conversations: 2,
            chaos_ms: 10_000,
            actions: 300,
            delay_ms: (1, 1),
            fifo: true,
            drop: 0,
            duplicate: 0,
            corrupt: 0,
            cut: 0,
            half_open: 0,
            cuts: 0,
            takeovers: 0,
            crashes: 0,
            reinstalls: 0,
            member_changes: 0,
            refuse: 0,
            load_fails: 0,
            commit_ms: 2,
            slow_ms: 0,
            strangers: 0,
            stalls: 0,
            repeats: 0,
            consume_window: None,
            server: server::Config { secret: Bytes::from_static(b"test"), ..server::Config::default() },
            client: client::Config::default(),
        }
    }

    /// What a seed is like.
    pub(crate) fn of(seed: u64) -> Self {
        if seed % 20 == 7 { Self::long(seed) } else { Self::swarm(seed) }
    }

    /// So many operations of two devices that their oldest leave the dedup window, and come once more.
    fn long(seed: u64) -> Self {
        let mut options = Self::swarm(seed);
        let calm = Self::clean(seed);
        (options.users, options.devices, options.conversations) = (2, 2, 1);
        (options.actions, options.repeats, options.chaos_ms) = (2_600, 60, 10_000);
        options.delay_ms = calm.delay_ms;
        options.server.pending_max = calm.server.pending_max;
        options.server.operations_per_s = None;
        options
    }

    fn swarm(seed: u64) -> Self {
        let mut rng = Rng(seed ^ 0x5EED_0000);
        let mut on = |share: u64| if rng.chance(500_000) { rng.below(share) + 1 } else { 0 };
        let (drop, duplicate, corrupt) = (on(200_000), on(200_000), on(50_000));
        let (cut, half_open, cuts, takeovers) = (on(20_000), on(5_000), on(8), on(4));
        let (crashes, reinstalls, member_changes) = (on(4), on(3), on(12));
        let (refuse, load_fails, slow_ms) = (on(100_000), on(300_000), on(50));
        let (strangers, stalls, repeats) = (on(5), on(20), on(10));
        let users = 2 + rng.below(4);
        let tight = rng.chance(500_000);
        let mut server = server::Config { secret: Bytes::from_static(b"test"), ..server::Config::default() };
        server.redelivery = Backoff { first_ms: rng.one_of(&[50, 200, 500]), cap_ms: 2_000 };
        server.sweep_ms = rng.one_of(&[500, 3_000]);
        server.login_ms = rng.one_of(&[2_000, 10_000]);
        server.untaken_frames = rng.one_of(&[4, 1_024]);
        server.untaken_frames_max = server.untaken_frames * 4;
        if tight {
            server.window_entries = rng.one_of(&[1, 4, 16]);
            server.tail_entries = rng.one_of(&[1, 4, 32]);
            server.window_bytes = rng.one_of(&[200, 2_000]);
            server.tail_bytes = rng.one_of(&[400, 4_000]);
            server.pending_max = rng.one_of(&[1, 4, 100]);
            server.operations_per_s = rng.one_of(&[None, Some(20)]);
        }
        let client = client::Config {
            retry: Backoff { first_ms: rng.one_of(&[100, 500]), cap_ms: 2_000 },
            page_entries: rng.one_of(&[1, 3, 128]),
            ..client::Config::default()
        };
        Self {
            users,
            devices: users + rng.below(3),
            conversations: 1 + rng.below(3),
            actions: 20 + rng.below(200),
            chaos_ms: rng.one_of(&[2_000, 10_000]),
            delay_ms: rng.one_of(&[(0, 0), (1, 1), (1, 30), (5, 300)]),
            fifo: rng.chance(500_000),
            commit_ms: rng.one_of(&[0, 2, 40]),
            consume_window: if slow_ms > 0 { rng.one_of(&[Some(1), Some(5), Some(100)]) } else { None },
            drop,
            duplicate,
            corrupt,
            cut,
            half_open,
            cuts,
            takeovers,
            crashes,
            reinstalls,
            member_changes,
            refuse,
            load_fails,
            slow_ms,
            strangers,
            stalls,
            repeats,
            server,
            client,
            ..Self::clean(seed)
        }
    }
}
