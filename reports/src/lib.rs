//! What was seen and what follows from it: histories, verdicts, latency records and their renderers.
//!
//! Data flows one way: [`history`] (events as they happened) → checkers (elsewhere) → [`verdict`] → [`run`] (the record)
//! → [`render`]. [`latency`] and [`run::RunFacts`] consume the same events on the side. No runtime, no clock.

pub mod agreement;
pub mod audit;
pub mod compare;
pub mod escape;
pub mod history;
pub mod latency;
pub mod load;
pub mod render;
pub mod run;
pub mod sweep;
pub mod timeline;
pub mod verdict;
