//! What was seen and what follows from it: histories, verdicts, latency records and their renderers.
pub mod escape;
pub mod history;
pub mod latency;
pub mod run;
pub mod verdict;
