//! What a person writes, and what it means: scenario files, the fault vocabulary, and the expansion
//! of a scenario and a seed into a [`plan::Plan`].
pub mod keyed;
pub mod plan;
