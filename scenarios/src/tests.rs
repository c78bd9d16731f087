//! Tests of the crate as a whole; those of one part stand beside it.

mod errors;
mod properties;
mod registries;
mod schema;
mod stability;
