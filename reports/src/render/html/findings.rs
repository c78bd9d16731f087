//! The findings: what was demanded, what happened, and the few events that show it, as many as a page can hold.

use std::collections::BTreeSet;

use super::diagram::diagram;
use super::markup::Markup;
use super::{promises, words};
use crate::history::{Conversation, Device, Names};
use crate::render::grouped;
use crate::verdict::{Finding, Judgement};

/// Findings take so many bytes of a page at most; the rest is counted. One is always shown.
const FINDINGS_BYTES_MAX: usize = 600 * 1_024;
/// Findings that are shown at most.
const FINDINGS_MAX: usize = 60;
/// Findings that are open when the page is.
const OPEN: usize = 3;

/// A finding of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub(super) guarantee: &'a str,
    pub(super) finding: &'a Finding,
    pub(super) names: &'a Names,
    /// Where it comes from, where the page is of several runs.
    pub(super) origin: &'a str,
}

/// The findings of a run, the first of every guarantee before the second of any.
pub(super) fn of_run<'a>(judgements: &'a [Judgement], names: &'a Names) -> Vec<Shown<'a>> {
    let most = judgements.iter().map(|judgement| judgement.findings.len()).max().unwrap_or(0);
    (0..most)
        .flat_map(|place| {
            judgements.iter().filter_map(move |judgement| Some((judgement, judgement.findings.get(place)?)))
        })
        .map(|(judgement, finding)| Shown { guarantee: &judgement.guarantee, finding, names, origin: "" })
        .collect()
}

/// Writes the section; nothing if there are none. `total` counts those, too, that nobody kept whole. Gives back how many of them,
/// from the first on, are on the page.
pub(super) fn section(shown: &[Shown<'_>], total: u64, markup: &mut Markup) -> usize {
    if shown.is_empty() {
        return 0;
    }
    markup.raw("<section id=\"findings\" aria-labelledby=\"h-findings\"><h2 id=\"h-findings\">");
    markup.say(words::FINDINGS, &[]).raw("</h2>");
    filters(shown, markup);
    key(markup);
    let begin = markup.len();
    let mut count = 0;
    for one in shown.iter().take(FINDINGS_MAX) {
        if count > 0 && markup.len() - begin > FINDINGS_BYTES_MAX {
            break;
        }
        card(one, count, markup);
        count += 1;
    }
    markup.raw("<p class=\"note\" id=\"none-matches\" hidden>").say(words::NONE_MATCHES, &[]).raw("</p>");
    let more = total.max(shown.len() as u64).saturating_sub(count as u64);
    if more > 0 {
        let [english, chinese] = words::MORE_WHERE.filled_in(&[]);
        let count = grouped(more);
        let [english, chinese] = [
            words::MORE_FINDINGS.filled_in(&[&count, &english])[0].clone(),
            words::MORE_FINDINGS.filled_in(&[&count, &chinese])[1].clone(),
        ];
        markup.raw("<p class=\"note\">").both_texts(&english, &chinese).raw("</p>");
    }
    markup.raw("</section>");
    count
}

fn card(shown: &Shown<'_>, number: usize, markup: &mut Markup) {
    let Shown { guarantee, finding, names, origin } = shown;
    markup.raw("<details class=\"finding\"").attribute("data-guarantee", guarantee);
    if !origin.is_empty() {
        markup.attribute("data-origin", origin);
    }
    if let Some(conversation) = finding.conversation {
        markup.attribute("data-conversation", &conversation.0.to_string());
    }
    let devices: Vec<String> = devices_of(finding).iter().map(|device| device.0.to_string()).collect();
    markup.attribute("data-devices", &devices.join(" ")).attribute("id", &format!("finding-{}", number + 1));
    markup.raw(if number < OPEN { " open><summary>" } else { "><summary>" });
    markup.raw("<span class=\"badge bad\">✗ ");
    match promises::anomaly(&finding.anomaly) {
        Some(words) => markup.say(words, &[]),
        None => markup.text(&finding.anomaly),
    };
    markup.raw("</span> ").code(guarantee);
    if let Some(message) = finding.message {
        markup.raw(" <span class=\"fact\">").text(&format!("m{}", message.0)).raw("</span>");
    }
    if let Some(conversation) = finding.conversation {
        markup.raw(" <span class=\"fact\">").text(&names.conversation(conversation)).raw("</span>");
    }
    if let Some(device) = finding.device {
        markup.raw(" <span class=\"fact\">").text(&names.device(device)).raw("</span>");
    }
    if !origin.is_empty() {
        markup.raw(" <small>").say(words::EXCERPT_FROM, &[origin]).raw("</small>");
    }
    markup.raw("</summary><dl class=\"claim\"><dt>").say(words::EXPECTED, &[]).raw("</dt><dd>");
    markup.told(&finding.expected).raw("</dd><dt>").say(words::ACTUAL, &[]).raw("</dt><dd>");
    markup.told(&finding.actual).raw("</dd></dl>");
    if !finding.timeline.is_empty() {
        markup.raw("<div class=\"tools\"><button type=\"button\" class=\"zoom\" data-zoom=\"1.25\"");
        markup
            .say_attribute("aria-label", words::ZOOM_IN)
            .raw(">+</button><button type=\"button\" class=\"zoom\"");
        markup
            .raw(" data-zoom=\"0.8\"")
            .say_attribute("aria-label", words::ZOOM_OUT)
            .raw(">−</button></div>");
        markup.raw("<div class=\"scroll\" tabindex=\"0\">");
        diagram(finding, names, markup);
        markup.raw("</div>");
    }
    markup.raw("</details>");
}

fn devices_of(finding: &Finding) -> BTreeSet<Device> {
    let seen = finding.timeline.iter().filter_map(|event| event.what.device());
    seen.chain(finding.device).collect()
}

/// What findings can be chosen by.
fn filters(shown: &[Shown<'_>], markup: &mut Markup) {
    let guarantees: BTreeSet<&str> = shown.iter().map(|one| one.guarantee).collect();
    let guarantees: Vec<(String, String)> =
        guarantees.into_iter().map(|id| (id.to_owned(), id.to_owned())).collect();
    markup.raw("<form class=\"filters\" id=\"finding-filters\">");
    choice("guarantee", words::FILTER_GUARANTEE, &guarantees, markup);
    let origins: BTreeSet<&str> = shown.iter().map(|one| one.origin).filter(|it| !it.is_empty()).collect();
    if !origins.is_empty() {
        let origins: Vec<(String, String)> =
            origins.into_iter().map(|it| (it.to_owned(), it.to_owned())).collect();
        choice("origin", words::FILTER_ORIGIN, &origins, markup);
    }
    // Numbers of different runs mean different devices.
    if shown.iter().all(|one| one.origin.is_empty()) {
        let conversations: BTreeSet<Conversation> =
            shown.iter().filter_map(|one| one.finding.conversation).collect();
        let devices: BTreeSet<Device> = shown.iter().flat_map(|one| devices_of(one.finding)).collect();
        let names = shown[0].names;
        let conversations: Vec<(String, String)> =
            conversations.into_iter().map(|it| (it.0.to_string(), names.conversation(it))).collect();
        let devices: Vec<(String, String)> =
            devices.into_iter().map(|it| (it.0.to_string(), names.device(it))).collect();
        choice("conversation", words::FILTER_CONVERSATION, &conversations, markup);
        choice("device", words::FILTER_DEVICE, &devices, markup);
    }
    markup.raw("</form>");
}

/// Most entries of a choice.
const CHOICES_MAX: usize = 200;

fn choice(
    name: &'static str,
    label: super::language::Words,
    options: &[(String, String)],
    markup: &mut Markup,
) {
    markup.raw("<label>").say(label, &[]).raw(" <select").attribute("name", name).raw("><option value=\"\"");
    markup.say_attribute("label", words::ALL_OF_THEM).raw("></option>");
    for (value, shown) in options.iter().take(CHOICES_MAX) {
        markup.raw("<option").attribute("value", value).raw(">").text(shown).raw("</option>");
    }
    markup.raw("</select></label>");
}

fn key(markup: &mut Markup) {
    markup.raw("<p class=\"key\"><b>").say(words::KEY, &[]).raw("</b> <span>→ ").say(words::KEY_ARROW, &[]);
    markup.raw("</span> <span>┊ ").say(words::KEY_DOWN, &[]).raw("</span> <span><i class=\"hatch\"></i> ");
    markup
        .say(words::KEY_FAULT, &[])
        .raw("</span> <span>⇢✖ ")
        .say(words::KEY_MISSING, &[])
        .raw("</span></p>");
}
