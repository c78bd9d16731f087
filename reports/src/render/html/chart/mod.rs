//! Charts as SVG, drawn here: they stand without a script, print sharply, and follow the theme by classes. Nothing in a
//! chart is told by colour alone: lines have dashes and names, faults are hatched, and every value can be read as text.

mod axes;
mod heat;
mod knee;
mod lines;
mod percentile;
mod readout;
mod throughput;
mod windows;

pub(super) use axes::{seconds, shown};
pub(super) use heat::heat;
pub(super) use knee::knee;
pub(super) use lines::{Columns, Line, lines, per_second, plain};
pub(super) use percentile::{Curve, percentiles};
pub(super) use throughput::throughput;
pub(super) use windows::{Scene, fault_lanes};
