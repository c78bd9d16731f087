//! Network profiles by name. Delays and rates are published figures, and each profile names its source.
//!
//! A published round trip is split evenly over both directions. The sources give one figure per delay; the spread
//! (normal, a tenth of the mean as deviation) is ours, so that frames do not march in step. Loss is not part of a
//! profile: the reference link is a stream, on which a lost packet shows as delay.

use std::fmt;

use crate::names::nearest_hint;
use crate::plan::{Delay, LinkShape, Network};
use crate::units::{Complaint, Unit, unit};

/// One profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name in scenario files.
    pub name: &'static str,
    /// What it stands for, in one line.
    pub about: &'static str,
    /// Who published the figures.
    pub source: &'static str,
    /// Round trip, in microseconds.
    pub round_trip_us: u64,
    /// Device to server, in kbit/s.
    pub up_kbit_per_s: u64,
    /// Server to device, in kbit/s.
    pub down_kbit_per_s: u64,
}

/// Every profile.
pub const PROFILES: [Profile; 7] = [
    Profile {
        name: "lan",
        about: "one building, gigabit Ethernet",
        source: "IEEE 802.3ab (1 Gbit/s); round trip 0.5 ms: our choice for a switched network",
        round_trip_us: 500,
        up_kbit_per_s: 1_000_000,
        down_kbit_per_s: 1_000_000,
    },
    Profile {
        name: "wifi",
        about: "a wireless network at home or in an office",
        source: "Firefox DevTools, throttling profile \"Wi-Fi\": 30 / 15 Mbit/s, 2 ms",
        round_trip_us: 2_000,
        up_kbit_per_s: 15_000,
        down_kbit_per_s: 30_000,
    },
    Profile {
        name: "5g",
        about: "a fifth-generation mobile network",
        source: "Ookla Speedtest, January to June 2024, T-Mobile US, medians: 265.80 / 14.56 Mbit/s, 47 ms",
        round_trip_us: 47_000,
        up_kbit_per_s: 14_560,
        down_kbit_per_s: 265_800,
    },
    Profile {
        name: "4g",
        about: "a fourth-generation mobile network",
        source: "WebPageTest, connectivity profile \"4G\": 9 / 9 Mbit/s, 170 ms",
        round_trip_us: 170_000,
        up_kbit_per_s: 9_000,
        down_kbit_per_s: 9_000,
    },
    Profile {
        name: "3g",
        about: "a third-generation mobile network, a good one",
        source: "Lighthouse mobile preset = WebPageTest \"Mobile 3G - Fast\": 1.6 Mbit/s / 750 kbit/s, 150 ms",
        round_trip_us: 150_000,
        up_kbit_per_s: 750,
        down_kbit_per_s: 1_600,
    },
    Profile {
        name: "satellite",
        about: "a geostationary satellite",
        source: "Ookla Speedtest, Q2 2021, Viasat in the US, medians: 18.13 / 3.38 Mbit/s, 630 ms",
        round_trip_us: 630_000,
        up_kbit_per_s: 3_380,
        down_kbit_per_s: 18_130,
    },
    Profile {
        name: "edge",
        about: "a second-generation mobile network",
        source: "WebPageTest, connectivity profile \"Mobile Edge\": 240 / 200 kbit/s, 840 ms",
        round_trip_us: 840_000,
        up_kbit_per_s: 200,
        down_kbit_per_s: 240,
    },
];

impl Profile {
    /// Both directions of a link with this profile.
    pub fn network(&self) -> Network {
        let mean_ns = self.round_trip_us * 1_000 / 2;
        let delay = Delay::Normal { mean_ns, deviation_ns: mean_ns / 10 };
        let shape = |kbit: u64| LinkShape { delay, rate_bytes_per_s: Some(kbit * 125) };
        Network {
            profile: self.name.to_owned(),
            up: shape(self.up_kbit_per_s),
            down: shape(self.down_kbit_per_s),
        }
    }
}

/// A profile by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileName(pub &'static Profile);

unit!(ProfileName);
impl Unit for ProfileName {
    const NAME: &'static str = "profile";
    const EXAMPLES: &'static str = "\"lan\", \"wifi\", \"5g\", \"4g\", \"3g\", \"satellite\", \"edge\"";
    const PATTERN: &'static str = "^(lan|wifi|5g|4g|3g|satellite|edge)$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        PROFILES.iter().find(|profile| profile.name == text).map(Self).ok_or_else(|| {
            let known = PROFILES.iter().map(|profile| profile.name);
            let hint = nearest_hint(text, known, &format!("profiles are {}", Self::EXAMPLES));
            Complaint::new(format!("`{text}` is not a network profile"), hint)
        })
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.name)
    }
}
