//! Values as people write them ("30s", "200/s", "64..512 B"): one small type and one small parser per unit.
//!
//! Each type reads and prints itself exactly: what it prints, it reads back as the same value. Nothing here
//! rounds silently; what cannot be represented is refused with a hint.

mod amounts;
mod members;
mod parties;
mod times;

use std::borrow::Cow;

pub use amounts::{ByteRate, PerSecond, Share, Sizes};
pub use members::{MIXED_SIZES_MAX, MemberMix, MixedSize};
pub use parties::{ConversationName, NodeName, NodeNames, Parties, Party, UserName};
use serde::de::Error as _;
pub use times::{DelaySpec, SignedTime, Time};

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Complaint {
    /// What is wrong: a lowercase fragment.
    pub message: String,
    /// What to write instead; empty = nothing to add.
    pub hint: String,
}

impl Complaint {
    /// A complaint with a hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// A value that a person writes as text (some also as a number).
pub trait Unit: Sized + std::fmt::Display {
    /// Name of the unit in the JSON Schema (`x-unit`).
    const NAME: &'static str;
    /// What may be written, for hints: a few examples.
    const EXAMPLES: &'static str;
    /// Regular expression (ECMA 262) that all accepted texts match, for editors.
    const PATTERN: &'static str;
    /// Whether a bare number is accepted too.
    const NUMBERS: bool = false;
    /// Whether a list of such texts is accepted too.
    const LISTS: bool = false;

    /// Reads a text.
    fn from_text(text: &str) -> Result<Self, Complaint>;
    /// Reads a bare number.
    fn from_number(number: f64) -> Result<Self, Complaint> {
        Err(Complaint::new(format!("{number} has no unit"), format!("write it as text: {}", Self::EXAMPLES)))
    }
    /// Reads a list of texts.
    fn from_list(_: &[Cow<'_, str>]) -> Result<Self, Complaint> {
        Err(Complaint::new("a list cannot stand here", format!("write one value: {}", Self::EXAMPLES)))
    }
    /// How it is printed: one text, or a list of texts.
    fn to_list(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// Reads a unit from any TOML value that it accepts.
pub(crate) struct Reader<U>(pub(crate) std::marker::PhantomData<U>);

impl<'de, U: Unit> serde::de::Visitor<'de> for Reader<U> {
    type Value = U;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(U::EXAMPLES)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<U, E> {
        U::from_text(text).map_err(E::custom)
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<U, E> {
        U::from_number(number as f64).map_err(E::custom)
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<U, E> {
        U::from_number(number as f64).map_err(E::custom)
    }
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<U, E> {
        U::from_number(number).map_err(E::custom)
    }
    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<U, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            texts.push(Cow::Owned(text));
        }
        U::from_list(&texts).map_err(A::Error::custom)
    }
}

/// Makes a [`Unit`] readable, printable and part of the JSON Schema.
macro_rules! unit {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut texts = <Self as $crate::units::Unit>::to_list(self);
                match (texts.len(), texts.pop()) {
                    (1, Some(only)) => serializer.serialize_str(&only),
                    (_, last) => serializer.collect_seq(texts.into_iter().chain(last)),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($crate::units::Reader::<Self>(std::marker::PhantomData))
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                <Self as $crate::units::Unit>::NAME.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::units::schema_of::<Self>()
            }
        }
    };
}
pub(crate) use unit;

/// The JSON Schema of a unit: its pattern for editors, its name for our own reader of shapes.
pub(crate) fn schema_of<U: Unit>() -> schemars::Schema {
    let mut types = vec!["string"];
    if U::NUMBERS {
        types.push("number");
    }
    if U::LISTS {
        types.push("array");
    }
    let mut schema = schemars::json_schema!({ "pattern": U::PATTERN, "x-unit": U::NAME });
    let types = if types.len() == 1 { serde_json::json!("string") } else { serde_json::json!(types) };
    schema.insert("type".to_owned(), types);
    if U::LISTS {
        let items = serde_json::json!({ "type": "string", "pattern": U::PATTERN });
        schema.insert("items".to_owned(), items);
        schema.insert("minItems".to_owned(), 1.into());
    }
    schema
}

/// Digits after the point that a number may have.
const FRACTION_DIGITS_MAX: usize = 9;

/// `text` (a decimal number, `_` between digits allowed) times `factor`, exactly.
pub(crate) fn scaled(text: &str, factor: u64) -> Result<u64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit() || c == '_');
    let starts = whole.starts_with(|c: char| c.is_ascii_digit());
    if !starts || !digits(whole) || !digits(fraction) || text.ends_with(['.', '_']) {
        return Err(format!("`{text}` is not a number"));
    }
    let fraction = fraction.replace('_', "");
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > FRACTION_DIGITS_MAX {
        return Err(format!("`{text}` has more than {FRACTION_DIGITS_MAX} digits after the point"));
    }
    let too_large = || format!("`{text}` is too large");
    let whole: u64 = whole.replace('_', "").parse().map_err(|_| too_large())?;
    let whole = whole.checked_mul(factor).ok_or_else(too_large)?;
    let parts = 10_u128.pow(fraction.len() as u32);
    // At most nine digits: always fits.
    let numerator = fraction.parse::<u128>().unwrap_or(0) * u128::from(factor);
    if numerator % parts != 0 {
        return Err(format!("`{text}` is finer than what can be represented"));
    }
    whole.checked_add((numerator / parts) as u64).ok_or_else(too_large)
}

/// Splits "1.5 kB" into "1.5" and "kB".
pub(crate) fn number_and_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// The largest of the units that divides a value without a rest, as "number unit".
pub(crate) fn largest_unit(value: u64, units: &[(&'static str, u64)]) -> (u64, &'static str) {
    let fits = |(_, factor): &&(&str, u64)| value.is_multiple_of(*factor) && (value > 0 || *factor == 1);
    // The smallest unit has the factor 1 in every table.
    let (name, factor) = units.iter().filter(fits).max_by_key(|(_, factor)| *factor).unwrap_or(&("", 1));
    (value / factor, name)
}
