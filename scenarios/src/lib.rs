//! What a person writes, and what it means: scenario files, the fault vocabulary, and the expansion
//! of a scenario and a seed into a [`plan::Plan`].
//!
//! The way of a scenario: text → [`parse_scenario`] (syntax, shape, sense: each with every error at its place) →
//! [`scenario::Scenario`] → [`scenario::Scenario::plan`] → [`plan::Plan`]. Carrying a plan out is somebody else's
//! part: nothing here runs, waits, or reads a clock.

pub mod catalog;
pub mod diagnostic;
pub mod expand;
pub mod fault;
pub mod gates;
pub mod guarantees;
pub mod keyed;
pub mod load;
mod names;
mod parse;
mod places;
pub mod plan;
pub mod profiles;
pub mod scenario;
pub mod schedule;
mod sense;
mod shape;
pub mod shrink;
pub mod target;
pub mod units;
mod verbs;
mod write;

pub use diagnostic::{Diagnostic, Refused};
pub use names::nearest;
pub use parse::{SCENARIO_BYTES_MAX, parse_scenario, schema, schema_text};
pub use scenario::Scenario;
pub use verbs::{FAULT_KINDS, FaultKind};

#[cfg(test)]
mod tests;
