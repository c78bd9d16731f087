//! The first line of a history: what was run. Facts of the run only; nothing that a checker sees in the events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::Problem;
use super::limits::{HEADER_LIST_MAX, TEXT_BYTES_MAX};
use super::reading::Reading;

/// Version of the format that this tool writes, and the newest that it reads.
pub const FORMAT_VERSION: u64 = 1;

/// What was run. Everything may be left out by other tools; `claims` decides what is punished.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Header {
    /// Who wrote it: name and version ("avouch 0.1.0").
    pub tool: String,
    /// Name of the scenario.
    pub scenario: String,
    /// The seed, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// `sim`, `explore`, `live`, or a word of another tool.
    pub world: String,
    /// What was tested ("reference", "mosquitto 2.0.22").
    pub target: String,
    /// Ids of the guarantees that the target claims.
    pub claims: Vec<String>,
    /// Ids of the guarantees that the scenario expects on top.
    pub expected: Vec<String>,
    /// How the guarantees are to be read for the target. Left out: as for our own server where `target` is `reference` or an
    /// `avouch://` address, by the defaults otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// The command that repeats the run.
    pub repeat: String,
    /// Wall-clock start (RFC 3339). Informative; in no hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// Free words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine<H> {
    avouch_history: u64,
    run: H,
}

/// Enough to know a header of any version.
#[derive(Deserialize)]
struct AnyVersion {
    avouch_history: u64,
}

impl Header {
    /// How the guarantees are to be read.
    pub fn reading(&self) -> Reading {
        self.reading.clone().unwrap_or_else(|| Reading::of_target(&self.target))
    }

    /// Appends the header's line, without a line feed.
    pub(super) fn to_line(&self, line: &mut Vec<u8>) -> Result<(), Problem> {
        self.check()?;
        let whole = HeaderLine { avouch_history: FORMAT_VERSION, run: self };
        serde_json::to_writer(line, &whole).map_err(|error| Problem::Header(error.to_string()))
    }

    pub(super) fn from_line(line: &[u8]) -> Result<Self, Problem> {
        let any: AnyVersion = serde_json::from_slice(line).map_err(|_| Problem::NotAHistory)?;
        let found = any.avouch_history;
        if found > FORMAT_VERSION {
            return Err(Problem::Future { found, known: FORMAT_VERSION });
        }
        if found == 0 {
            return Err(Problem::Header("there is no format version 0".to_owned()));
        }
        let line: HeaderLine<Self> = serde_json::from_slice(line)
            .map_err(|error| Problem::Header(error.to_string().escape_debug().to_string()))?;
        line.run.check()?;
        Ok(line.run)
    }

    fn check(&self) -> Result<(), Problem> {
        let lists = [("claims", &self.claims), ("expected", &self.expected), ("notes", &self.notes)];
        for (key, list) in lists {
            if list.len() > HEADER_LIST_MAX {
                return Err(Problem::TooMuch { key, max: HEADER_LIST_MAX });
            }
        }
        let single = [&self.tool, &self.scenario, &self.world, &self.target, &self.repeat];
        let texts =
            single.into_iter().chain(&self.started).chain(lists.into_iter().flat_map(|(_, list)| list));
        match texts.into_iter().find(|text| text.len() > TEXT_BYTES_MAX) {
            Some(_) => Err(Problem::TooMuch { key: "run", max: TEXT_BYTES_MAX }),
            None => Ok(()),
        }
    }
}
