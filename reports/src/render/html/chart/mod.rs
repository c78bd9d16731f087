//! Charts as SVG, drawn here: they stand without a script, print sharply, and follow the theme by classes. Nothing in a
//! chart is told by colour alone: lines have dashes and names, faults are hatched, and every value can be read as text.

mod axes;
mod heat;
mod knee;
mod lines;
mod overlaid;
mod percentile;
mod ratio;
mod readout;
mod throughput;
mod windows;

pub(super) use axes::{seconds, shown};
pub(super) use heat::heat;
pub(super) use knee::knee;
pub(super) use lines::{Columns, Line, lines, per_second, plain};
pub(super) use overlaid::overlaid;
pub(super) use percentile::{Curve, percentiles};
pub(super) use ratio::{ratio_bar, ratio_reach};
pub(super) use throughput::throughput;
pub(super) use windows::{Scene, Window, fault_lanes};
