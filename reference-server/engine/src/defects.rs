//! Planted defects: deliberate, named bugs of the reference server and client, which the toolkit must find.
//!
//! Each is a line at its site, `if config.defects.has(Defect::…)`, and an entry in the registry below. Most sites are in this
//! crate; those of the server's journal and of its group commit are in the server's. Which ones are
//! planted is data in a configuration ([`Defects`], empty by default), so that runs stay reproducible. Only a build with the
//! feature `defects`, or a test of this crate, can plant any: otherwise [`Defects`] holds nothing and [`Defects::has`] is `false`,
//! so the compiler takes the lines out. The registry itself is there in every build, for those who want to read it.

use thiserror::Error;

mod registry;

pub use registry::{DEFECTS, Defect};

/// The command that makes a binary in which defects can be planted.
pub const BUILD_COMMAND: &str = "cargo build --release --features defects";

/// One line of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planted {
    /// Which one.
    pub defect: Defect,
    /// Its name everywhere.
    pub name: &'static str,
    /// Where its line is: a file, from the folder `reference-server`.
    pub lives: &'static str,
    /// The guarantee whose checker must find it; `latency` stands for the gates.
    pub breaks: &'static str,
    /// What goes wrong.
    pub about: &'static str,
    /// The published bug that it copies; empty where there is none.
    pub copies: &'static str,
}

/// Why a defect cannot be planted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlantError {
    /// Nobody knows it.
    #[error("there is no planted defect `{0}`{1}")]
    Unknown(String, String),
    /// This build has none.
    #[error(
        "`{0}` cannot be planted: this binary was built without planted defects\nhint: build one with them: {BUILD_COMMAND}"
    )]
    NotBuilt(&'static str),
}

/// Which defects are planted. None by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defects {
    #[cfg(any(test, feature = "defects"))]
    bits: u64,
}

impl Defect {
    /// The defect of a name.
    pub fn find(name: &str) -> Result<Self, PlantError> {
        let found = DEFECTS.iter().find(|planted| planted.name == name);
        found.map(|planted| planted.defect).ok_or_else(|| {
            let near = nearest(name).map(|near| format!("\nhint: did you mean `{near}`?"));
            let all = || "\nhint: `avouch list defects` shows all".to_owned();
            PlantError::Unknown(name.to_owned(), near.unwrap_or_else(all))
        })
    }

    /// Its line of the registry.
    pub fn entry(self) -> &'static Planted {
        &DEFECTS[self as usize]
    }
}

impl Defects {
    /// Nothing is planted.
    pub const NONE: Self = Self {
        #[cfg(any(test, feature = "defects"))]
        bits: 0,
    };

    /// Whether this build can plant any.
    pub const ARE_BUILT: bool = cfg!(any(test, feature = "defects"));

    /// Whether a defect is planted. Constantly `false` in a build without the feature.
    #[inline]
    pub const fn has(self, defect: Defect) -> bool {
        #[cfg(any(test, feature = "defects"))]
        return self.bits >> (defect as u64) & 1 == 1;
        #[cfg(not(any(test, feature = "defects")))]
        return {
            let _ = defect;
            false
        };
    }

    /// The same and one more.
    pub fn with(self, defect: Defect) -> Result<Self, PlantError> {
        #[cfg(any(test, feature = "defects"))]
        return Ok(Self { bits: self.bits | 1 << (defect as u64) });
        #[cfg(not(any(test, feature = "defects")))]
        return Err(PlantError::NotBuilt(defect.entry().name));
    }

    /// The defects of these names.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, PlantError> {
        names.into_iter().try_fold(Self::default(), |planted, name| planted.with(Defect::find(name)?))
    }
}

/// A known name that shares most of its words with this one.
fn nearest(name: &str) -> Option<&'static str> {
    let words: Vec<&str> = name.split(['-', '_', ' ']).collect();
    let shared = |known: &str| known.split('-').filter(|word| words.contains(word)).count();
    let best = DEFECTS.iter().max_by_key(|planted| shared(planted.name))?;
    (shared(best.name) > words.len() / 2).then_some(best.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_defects_and_only_these() {
        for planted in DEFECTS {
            assert_eq!(Defect::find(planted.name), Ok(planted.defect));
            assert_eq!(planted.defect.entry(), planted);
        }
        let error = Defect::find("ack-before-sync").expect_err("there is none of that name").to_string();
        assert_eq!(
            error,
            "there is no planted defect `ack-before-sync`\nhint: did you mean `ack-before-commit`?"
        );
        assert!(Defect::find("nonsense").is_err());
    }

    #[test]
    fn what_is_planted_is_there_and_nothing_else() {
        let none = Defects::default();
        assert!(DEFECTS.iter().all(|planted| !none.has(planted.defect)));
        for planted in DEFECTS {
            let one = none.with(planted.defect).expect("the engine's own tests can plant");
            let has: Vec<_> = DEFECTS.iter().filter(|other| one.has(other.defect)).collect();
            assert_eq!(has, [planted]);
        }
    }

    /// The registry says where each line is; a line that moved, or was lost, would leave it telling tales.
    #[test]
    fn every_defect_lives_where_the_registry_says() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for planted in DEFECTS {
            let path = root.join(planted.lives);
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let site = format!("has(Defect::{:?})", planted.defect);
            assert!(text.contains(&site), "{} has no {site}", planted.lives);
            assert!(planted.about.ends_with('.') && !planted.breaks.is_empty(), "{}", planted.name);
        }
    }
}
