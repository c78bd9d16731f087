//! The pages of `explore`: a sweep with what it found, and the scoreboard of planted defects.

use std::io::{self, Write};

use super::language::{Language, Words};
use super::markup::Markup;
use super::page::{Frame, Tone};
use super::verdict::{Head, tile};
use super::{promises, setting, words};
use crate::render::grouped;
use crate::sweep::{Find, ScoreLine, Scoreboard, Size, Sweep, SweepOutcome};

/// Finds, states and defects with a row of their own; the records themselves are bounded far below.
const ROWS_MAX: usize = 2_000;

/// Writes the page of a sweep. Run folders of finds are linked as they lie beside it: `runs/NAME-explore`.
pub fn write_sweep_page(sweep: &Sweep, language: Language, out: &mut dyn Write) -> io::Result<()> {
    let (outcome, tone) = match sweep.outcome() {
        SweepOutcome::Passed => (words::PASSED, Tone::Good),
        SweepOutcome::Inconclusive => (words::INCONCLUSIVE, Tone::Unsure),
        SweepOutcome::Violated => (words::VIOLATED, Tone::Bad),
    };
    let runs = grouped(sweep.runs);
    let titles = words::SWEEP.filled_in(&[&runs]);
    let title = titles[usize::from(language == Language::Chinese)].as_str();
    let mut body = Markup::default();
    let seed = format!("seed {}", sweep.seed);
    Head { outcome, tone, title: [&titles[0], &titles[1]], setting: &seed }
        .write(&mut body, |markup| sentence(sweep, markup));
    tiles(sweep, &mut body);
    finds(sweep, &mut body);
    unsure(sweep, &mut body);
    states(sweep, &mut body);
    environment(sweep, &mut body);
    let sections = [
        ("verdict", words::SUMMARY),
        ("found", words::FOUND),
        ("unsure", words::INCONCLUSIVE_COUNT),
        ("states", words::RARE_STATES),
        ("environment", words::ENVIRONMENT),
    ];
    Frame { language, tone, outcome, title, sections: &sections, tool: "avouch" }.write(&body, out)
}

fn sentence(sweep: &Sweep, markup: &mut Markup) {
    let runs = grouped(sweep.runs);
    markup.raw("<p class=\"sentence\">");
    match sweep.outcome() {
        SweepOutcome::Passed => markup.say(words::SWEEP_GOOD, &[&runs]),
        SweepOutcome::Inconclusive => markup.say(words::TOO_LITTLE, &[]),
        SweepOutcome::Violated => {
            markup.say(words::SWEEP_BAD, &[&grouped(sweep.broken), &runs, &grouped(sweep.finds.len() as u64)])
        }
    };
    markup.raw("</p>");
    let reasons = sweep.reasons();
    if !reasons.is_empty() {
        markup.raw("<ul class=\"reasons\">");
        for reason in reasons {
            markup.raw("<li>").told(&reason).raw("</li>");
        }
        markup.raw("</ul>");
    }
}

fn tiles(sweep: &Sweep, markup: &mut Markup) {
    let unsure: u64 = sweep.inconclusive.values().sum();
    markup.raw("<dl class=\"tiles\">");
    tile(words::SCHEDULES, &grouped(sweep.runs), markup, |markup| {
        markup.say(words::SCHEDULES_ASKED, &[&grouped(sweep.runs_asked)]);
    });
    for (title, count) in [
        (words::PASSED_COUNT, sweep.passed),
        (words::BROKEN_COUNT, sweep.broken),
        (words::INCONCLUSIVE_COUNT, unsure),
    ] {
        tile(title, &grouped(count), markup, |markup| {
            let part = if sweep.runs == 0 { 0.0 } else { count as f64 * 100.0 / sweep.runs as f64 };
            markup.text(&format!("{part:.1} %"));
        });
    }
    tile(words::CPU_TIME, &format!("{:.1} s", sweep.cpu_s), markup, |markup| {
        let speed = if sweep.cpu_s > 0.0 { sweep.runs as f64 / sweep.cpu_s } else { 0.0 };
        markup.say(words::PER_CPU_SECOND, &[&grouped(speed as u64)]);
    });
    markup.raw("</dl>");
}

fn finds(sweep: &Sweep, markup: &mut Markup) {
    if sweep.finds.is_empty() {
        return;
    }
    markup
        .raw("<section id=\"found\" aria-labelledby=\"h-found\"><h2 id=\"h-found\">")
        .say(words::FOUND, &[]);
    markup.raw("</h2>");
    sweep.finds.iter().take(ROWS_MAX).for_each(|find| card(find, markup));
    markup.raw("</section>");
}

fn card(find: &Find, markup: &mut Markup) {
    markup.raw("<details class=\"finding\" open><summary><span class=\"badge bad\">✗ ");
    match promises::anomaly(&find.anomaly) {
        Some(words) => markup.say(words, &[]),
        None => markup.text(&find.anomaly),
    };
    markup.raw("</span> ").code(&find.guarantee);
    if let Some(promise) = promises::promise(&find.guarantee) {
        markup.raw(" <small>").say(promise, &[]).raw("</small>");
    }
    markup.raw("</summary><dl class=\"claim\">");
    row(words::EXPECTED, markup, |markup| {
        markup.told(&find.expected);
    });
    row(words::ACTUAL, markup, |markup| {
        markup.told(&find.actual);
    });
    row(words::FIRST_RUN, markup, |markup| {
        markup.text(&format!("{} (seed {})", grouped(find.run), find.seed));
    });
    row(words::SEEN_IN, markup, |markup| {
        markup.text(&grouped(find.runs));
    });
    row(words::AS_DRAWN, markup, |markup| size(find.before, markup));
    row(words::SHRUNK, markup, |markup| match find.after {
        Some(after) => size(after, markup),
        None => {
            markup.say(words::NOT_SHRUNK, &[]);
        }
    });
    row(words::SCENARIO_FILE, markup, |markup| {
        markup.code(&find.file);
        if let Some(link) = run_page(&find.file) {
            markup.raw(" <a").attribute("href", &link).raw(">").say(words::RUN_PAGE, &[]).raw("</a>");
        }
    });
    row(words::REPEAT, markup, |markup| {
        markup.code(&find.repeat);
    });
    markup.raw("</dl>");
    for remark in &find.remarks {
        markup.raw("<p class=\"note\">").text(remark).raw("</p>");
    }
    if let Some(is_in_sim) = find.in_sim {
        markup.raw("<p class=\"note\">").say(if is_in_sim { words::IN_SIM } else { words::NOT_IN_SIM }, &[]);
        markup.raw("</p>");
    }
    markup.raw("</details>");
}

fn row(title: Words, markup: &mut Markup, fill: impl FnOnce(&mut Markup)) {
    markup.raw("<dt>").say(title, &[]).raw("</dt><dd>");
    fill(markup);
    markup.raw("</dd>");
}

fn size(size: Size, markup: &mut Markup) {
    markup.say(words::SIZE, &[&grouped(size.clients), &grouped(size.messages), &grouped(size.faults)]);
}

/// Where the page of a find's run is, relative to the sweep's.
fn run_page(file: &str) -> Option<String> {
    let name = file.rsplit('/').next()?.strip_suffix(".toml")?;
    Some(super::index::address(&format!("runs/{name}-explore/report.html")))
}

fn unsure(sweep: &Sweep, markup: &mut Markup) {
    if sweep.inconclusive.is_empty() {
        return;
    }
    markup.raw("<section id=\"unsure\" aria-labelledby=\"h-unsure\"><h2 id=\"h-unsure\">");
    markup.say(words::WHY_UNSURE, &[]).raw("</h2>");
    table(&[words::WHY, words::COUNT], markup);
    for (reason, count) in sweep.inconclusive.iter().take(ROWS_MAX) {
        markup.raw("<tr><th scope=\"row\">").told(reason).raw("</th><td class=\"n\">").text(&grouped(*count));
        markup.raw("</td></tr>");
    }
    markup.raw("</tbody></table></div></section>");
}

fn table(titles: &[Words], markup: &mut Markup) {
    markup.raw("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
    for title in titles {
        markup.raw("<th scope=\"col\">").say(*title, &[]).raw("</th>");
    }
    markup.raw("</tr></thead><tbody>");
}

fn states(sweep: &Sweep, markup: &mut Markup) {
    if sweep.states.is_empty() {
        return;
    }
    markup.raw("<section id=\"states\" aria-labelledby=\"h-states\"><h2 id=\"h-states\">");
    markup.say(words::RARE_STATES, &[]).raw("</h2><p class=\"note\">").say(words::RARE_NOTE, &[]).raw("</p>");
    table(&[words::STATE, words::REACHED_IN], markup);
    for hits in sweep.states.iter().take(ROWS_MAX) {
        let class = if hits.runs == 0 { "is-unsure" } else { "" };
        markup.raw("<tr class=\"").raw(class).raw("\"><th scope=\"row\">").text(&hits.state);
        markup.raw("</th><td class=\"n\">");
        match hits.runs {
            0 => markup.say(words::NEVER_REACHED, &[]),
            runs => markup.text(&grouped(runs)),
        };
        markup.raw("</td></tr>");
    }
    markup.raw("</tbody></table></div></section>");
}

fn environment(sweep: &Sweep, markup: &mut Markup) {
    markup.raw("<section id=\"environment\" aria-labelledby=\"h-environment\"><h2 id=\"h-environment\">");
    markup.say(words::ENVIRONMENT, &[]).raw("</h2>");
    let words_of = |list: &[String], before: &str| -> String {
        list.iter().flat_map(|it| [before, it.as_str()]).collect()
    };
    let (bases, defects) = (words_of(&sweep.bases, " "), words_of(&sweep.defects, " --defect "));
    let command = format!("avouch explore{bases} --runs {} --seed {}{defects}", sweep.runs_asked, sweep.seed);
    setting::repeat(&command, markup);
    markup.raw("<dl class=\"facts\">");
    for (title, list) in [(words::BASES, &sweep.bases), (words::DEFECTS, &sweep.defects)] {
        if !list.is_empty() {
            markup
                .raw("<div><dt>")
                .say(title, &[])
                .raw("</dt><dd>")
                .text(&list.join(", "))
                .raw("</dd></div>");
        }
    }
    markup.raw("</dl></section>");
}

/// Writes the page of a scoreboard.
pub fn write_scoreboard_page(board: &Scoreboard, language: Language, out: &mut dyn Write) -> io::Result<()> {
    let missed = board.missed().count() as u64;
    let is_whole = missed == 0 && !board.interrupted;
    let (outcome, tone) =
        if is_whole { (words::PASSED, Tone::Good) } else { (words::INCONCLUSIVE, Tone::Unsure) };
    let title = words::SCOREBOARD.in_language(language);
    let mut body = Markup::default();
    let seeds = format!("seeds {}–{}", board.seed, board.seed.saturating_add(board.seeds.saturating_sub(1)));
    Head { outcome, tone, title: [words::SCOREBOARD.english, words::SCOREBOARD.chinese], setting: &seeds }
        .write(&mut body, |markup| {
            markup.raw("<p class=\"sentence\">");
            let total = grouped(board.lines.len() as u64);
            match missed {
                0 => markup.say(words::ALL_FOUND, &[]),
                missed => markup.say(words::SOME_MISSED, &[&grouped(missed), &total]),
            };
            if board.interrupted {
                markup.raw(" ").say(words::INTERRUPTED, &[]);
            }
            markup.raw("</p>");
        });
    body.raw("<section id=\"found\">");
    let titles = [
        words::DEFECT,
        words::BREAKS,
        words::WORLD,
        words::FOUND_WITH,
        words::FOUND_BY,
        words::MEDIAN_RUNS,
        words::MEDIAN_CPU,
        words::AS_DRAWN,
        words::SHRUNK,
    ];
    table(&titles, &mut body);
    board.lines.iter().take(ROWS_MAX).for_each(|line| score(line, board.seeds, &mut body));
    body.raw("</tbody></table></div></section>");
    let sections = [("verdict", words::SUMMARY), ("found", words::SCOREBOARD)];
    Frame { language, tone, outcome, title, sections: &sections, tool: "avouch" }.write(&body, out)
}

fn score(line: &ScoreLine, seeds: u64, markup: &mut Markup) {
    let (class, symbol) = if line.found >= seeds { ("good", "✓") } else { ("unsure", "✗") };
    markup
        .raw("<tr><th scope=\"row\">")
        .code(&line.defect)
        .raw("</th><td>")
        .code(&line.breaks)
        .raw("</td><td>");
    markup.text(&line.world).raw("</td><td><span class=\"badge ").raw(class).raw("\">").raw(symbol).raw(" ");
    markup.text(&format!("{} / {seeds}", line.found)).raw("</span></td><td>");
    let by: Vec<String> = line.by.iter().map(|(guarantee, count)| format!("{guarantee} {count}")).collect();
    markup.text(&by.join(", ")).raw("</td><td class=\"n\">");
    markup.text(&line.runs.map_or("–".to_owned(), grouped)).raw("</td><td class=\"n\">");
    markup.text(&line.cpu_s.map_or("–".to_owned(), |cpu_s| format!("{cpu_s:.2} s"))).raw("</td>");
    for it in [line.before, line.after] {
        markup.raw("<td>");
        match it {
            Some(it) => size(it, markup),
            None => {
                markup.text("–");
            }
        }
        markup.raw("</td>");
    }
    markup.raw("</tr>");
}
