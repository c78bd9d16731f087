//! What went wrong on purpose, where it ran, and how to run it again.

use super::chart::{Scene, fault_lanes};
use super::language::Words;
use super::latency::figure;
use super::markup::Markup;
use super::words;
use crate::latency::OverTime;
use crate::render::grouped;
use crate::run::{FaultRecord, FaultState, Run};

/// Faults in the table; the others are counted.
const FAULTS_MAX: usize = 200;

/// The faults, in time and as a table.
pub(super) fn faults(run: &Run, over_time: Option<&OverTime>, markup: &mut Markup) {
    markup.raw("<section id=\"faults\" aria-labelledby=\"h-faults\"><h2 id=\"h-faults\">");
    markup.say(words::FAULTS, &[]).raw("</h2>");
    if !run.phases.is_empty() {
        let empty = OverTime::default();
        let scene = Scene { run, over_time: over_time.unwrap_or(&empty) };
        figure(words::FAULTS_OVER_TIME, markup, |markup| fault_lanes(&scene, markup));
    }
    if run.faults.is_empty() {
        markup.raw("<p class=\"note\">").say(words::NO_FAULTS, &[]).raw("</p></section>");
        return;
    }
    markup.raw("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
    let titles = [
        words::NUMBER,
        words::KIND,
        words::TARGET,
        words::STATE,
        words::BEGAN,
        words::ENDED,
        words::FRAMES,
        words::IN_FLIGHT,
        words::EVIDENCE,
    ];
    for title in titles {
        markup.raw("<th scope=\"col\">").say(title, &[]).raw("</th>");
    }
    markup.raw("</tr></thead><tbody>");
    run.faults.iter().take(FAULTS_MAX).for_each(|fault| fault_row(fault, markup));
    markup.raw("</tbody></table></div>");
    let more = run.faults.len().saturating_sub(FAULTS_MAX) as u64;
    if more > 0 {
        markup.raw("<p class=\"note\">").say(words::MORE_FAULTS, &[&grouped(more)]).raw("</p>");
    }
    markup.raw("</section>");
}

fn fault_row(fault: &FaultRecord, markup: &mut Markup) {
    let (state, symbol, class) = match fault.state {
        FaultState::Fired => (words::STATE_FIRED, "✓", "good"),
        FaultState::NoEffectSeen => (words::STATE_NO_EFFECT, "?", "unsure"),
        FaultState::NeverFired => (words::STATE_NEVER, "?", "unsure"),
        FaultState::Skipped => (words::STATE_SKIPPED, "–", "idle"),
    };
    let when =
        |at_ns: Option<u64>| at_ns.map_or("–".to_owned(), |at_ns| format!("{:.3} s", at_ns as f64 / 1e9));
    markup.raw("<tr><th scope=\"row\">F").number(f64::from(fault.id)).raw("</th><td>").code(&fault.kind);
    markup.raw("</td><td>").text(&fault.target).raw("</td><td><span class=\"badge ").raw(class).raw("\">");
    markup
        .raw(symbol)
        .raw(" ")
        .say(state, &[])
        .raw("</span></td><td class=\"n\">")
        .text(&when(fault.started_ns));
    markup.raw("</td><td class=\"n\">").text(&when(fault.ended_ns)).raw("</td><td class=\"n\">");
    markup.text(&grouped(fault.frames)).raw("</td><td class=\"n\">").text(&grouped(fault.operations));
    markup.raw("</td><td>").told(&fault.evidence).raw("</td></tr>");
}

/// Where it ran, on what, with which seed; and the command that repeats it.
pub(super) fn environment(run: &Run, markup: &mut Markup) {
    markup.raw("<section id=\"environment\" aria-labelledby=\"h-environment\"><h2 id=\"h-environment\">");
    markup.say(words::ENVIRONMENT, &[]).raw("</h2>");
    repeat(&run.header.repeat, markup);
    markup.raw("<dl class=\"facts\">");
    let header = &run.header;
    let mut fact = |name: Words, value: &str| {
        if !value.is_empty() {
            markup.raw("<div><dt>").say(name, &[]).raw("</dt><dd>").text(value).raw("</dd></div>");
        }
    };
    fact(words::SCENARIO, &header.scenario);
    fact(words::TARGET, &header.target);
    fact(words::WORLD, &header.world);
    fact(words::SEED, &header.seed.map_or(String::new(), |seed| seed.to_string()));
    fact(words::TOOL, &header.tool);
    fact(words::STARTED, header.started.as_deref().unwrap_or_default());
    fact(words::EVENTS, &grouped(run.counts.events));
    fact(words::HISTORY_HASH, run.history_hash.as_deref().unwrap_or_default());
    for note in &header.notes {
        fact(words::NOTES, note);
    }
    if let Some(drain) = &run.drain {
        markup.raw("<div><dt>").say(words::DRAINED, &[]).raw("</dt><dd>");
        if drain.converged {
            markup.say(words::CONVERGED, &[]);
        } else {
            markup.told(&drain.missing);
        }
        markup.raw("</dd></div>");
    }
    for (name, value) in &run.environment {
        markup.raw("<div><dt>").text(name).raw("</dt><dd>").text(value).raw("</dd></div>");
    }
    markup.raw("</dl></section>");
}

/// The command, with a button that copies it.
pub(super) fn repeat(command: &str, markup: &mut Markup) {
    if command.is_empty() {
        return;
    }
    markup.raw("<div class=\"repeat\"><p>").say(words::REPEAT, &[]).raw("</p><pre tabindex=\"0\"><code>");
    markup.text(command).raw("</code></pre><button type=\"button\" class=\"copy\">").say(words::COPY, &[]);
    markup.raw("</button><p class=\"note\">").say(words::REPEAT_NOTE, &[]).raw("</p></div>");
}
