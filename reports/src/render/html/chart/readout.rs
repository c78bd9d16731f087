//! Values of a chart as text: what the script shows beside the pointer, and reads out at the arrow keys.

use serde::Serialize;

use super::super::language::Words;
use super::super::markup::Markup;

/// One line of a chart.
#[derive(Clone, Debug, Serialize)]
pub(in super::super) struct Reading {
    /// Its name in both languages.
    #[serde(rename = "n")]
    name: [String; 2],
    /// One value per place.
    #[serde(rename = "v")]
    values: Vec<String>,
}

/// All lines of a chart.
#[derive(Clone, Debug, Default, Serialize)]
pub(in super::super) struct Readout {
    /// Places on the horizontal axis, in the chart's units.
    #[serde(rename = "x")]
    pub(in super::super) places: Vec<f64>,
    /// What each place is.
    #[serde(rename = "t")]
    pub(in super::super) titles: Vec<String>,
    #[serde(rename = "s")]
    pub(in super::super) lines: Vec<Reading>,
    /// From where to where a marking line is drawn.
    #[serde(rename = "y")]
    pub(in super::super) span: (f64, f64),
}

impl Readout {
    /// Adds a line.
    pub(in super::super) fn line(&mut self, name: Words, values: Vec<String>) {
        self.lines.push(Reading { name: name.filled_in(&[]), values });
    }

    /// The element that the script finds beside the chart.
    pub(in super::super) fn write(&self, markup: &mut Markup) {
        let rounded = Self {
            places: self.places.iter().map(|place| (place * 10.0).round() / 10.0).collect(),
            ..self.clone()
        };
        markup.raw("<script type=\"application/json\" class=\"values\">").data(&rounded).raw("</script>");
    }
}
