//! The page of a comparison of verdicts: how many agree, and each on which one side accuses and the other does not.

use std::io::{self, Write};

use super::language::{Language, Words};
use super::markup::Markup;
use super::page::{Frame, Tone};
use super::verdict::{Head, badge, tile};
use super::{promises, words};
use crate::agreement::{Agreements, Contrary};
use crate::escape::visible;
use crate::render::grouped;

/// Rows of the table; the others are counted.
const ROWS_MAX: usize = 500;

/// Writes the page.
pub fn write_agreement_page(agreed: &Agreements, language: Language, out: &mut dyn Write) -> io::Result<()> {
    let (outcome, tone) = outcome(agreed);
    let [one, other] = &agreed.names;
    let title = format!("{} ↔ {}", visible(one), visible(other));
    let mut body = Markup::default();
    Head { outcome, tone, title: [&title, &title], setting: "" }.write(&mut body, |markup| {
        let contrary = grouped(agreed.contrary.len() as u64);
        markup.raw("<p class=\"sentence\">");
        match (agreed.contrary.len(), agreed.same) {
            (0, 0) => markup.say(words::NOTHING_AGREED, &[]),
            (0, _) => markup.say(words::ALL_AGREED, &[]),
            _ => markup.say(words::SOME_CONTRARY, &[&contrary]),
        };
        markup.raw("</p>");
    });
    tiles(agreed, &mut body);
    contrary(&agreed.contrary, &mut body);
    let sections = [("verdict", words::SUMMARY), ("contrary", words::CONTRARY)];
    Frame { language, tone, outcome, title: &title, sections: &sections, tool: "avouch" }.write(&body, out)
}

fn outcome(agreed: &Agreements) -> (Words, Tone) {
    match (agreed.contrary.len(), agreed.same) {
        (1.., _) => (words::CONTRARY, Tone::Bad),
        (0, 0) => (words::INCONCLUSIVE, Tone::Unsure),
        (0, _) => (words::AGREED, Tone::Good),
    }
}

fn tiles(agreed: &Agreements, markup: &mut Markup) {
    markup.raw("<dl class=\"tiles\">");
    tile(words::RUNS_COMPARED, &grouped(agreed.runs), markup, |markup| {
        markup.say(words::RUNS_ALONE, &[&grouped(agreed.alone)]);
    });
    let counts = [agreed.untested, agreed.undecided].map(grouped);
    tile(words::SAME_VERDICTS, &grouped(agreed.same), markup, |markup| {
        markup.say(words::NOT_BOTH, &[&counts[0], &counts[1]]);
    });
    tile(words::CONTRARY, &grouped(agreed.contrary.len() as u64), markup, |markup| {
        markup.say(words::CONTRARY_MEANS, &[]);
    });
    markup.raw("</dl>");
}

fn contrary(rows: &[Contrary], markup: &mut Markup) {
    if rows.is_empty() {
        return;
    }
    markup.raw("<section id=\"contrary\" aria-labelledby=\"h-contrary\"><h2 id=\"h-contrary\">");
    markup.say(words::CONTRARY, &[]).raw("</h2><div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
    for title in [words::SCENARIO, words::SEED, words::GUARANTEE] {
        markup.raw("<th scope=\"col\">").say(title, &[]).raw("</th>");
    }
    markup.raw("<th scope=\"col\">A</th><th scope=\"col\">B</th></tr></thead><tbody>");
    for row in rows.iter().take(ROWS_MAX) {
        let seed = row.seed.map_or_else(|| "–".to_owned(), |seed| seed.to_string());
        markup.raw("<tr><th scope=\"row\">").code(&row.scenario).raw("</th><td class=\"n\">").text(&seed);
        markup.raw("</td><td>").code(&row.pair.guarantee);
        if let Some(promise) = promises::promise(&row.pair.guarantee) {
            markup.raw("<br><small>").say(promise, &[]).raw("</small>");
        }
        markup.raw("</td>");
        for (world, (verdict, observed)) in row.worlds.iter().zip(&row.pair.said) {
            markup.raw("<td>");
            badge(*verdict, true, markup);
            markup.raw(" ").code(world).raw("<br>").told(observed).raw("</td>");
        }
        markup.raw("</tr>");
    }
    markup.raw("</tbody></table></div>");
    let more = rows.len().saturating_sub(ROWS_MAX) as u64;
    if more > 0 {
        markup.raw("<p class=\"note\">").say(words::MORE_ROWS, &[&grouped(more)]).raw("</p>");
    }
    markup.raw("</section>");
}
