//! Errors as a person reads them: file, line, the source line, a caret under the place, and a hint.
//!
//! The source may be hostile or huge: control characters are made visible as `?`, long lines are cut around the
//! caret, and the number of errors that are shown is limited.

use std::fmt;
use std::ops::Range;

/// Errors of one file that are shown; the rest is counted.
pub const DIAGNOSTICS_SHOWN_MAX: usize = 20;

/// Widest part of a source line that is shown, in columns.
const LINE_COLUMNS_MAX: usize = 120;

/// Longest message or hint, in characters.
const WORDS_CHARS_MAX: usize = 300;

/// One error at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it was named by the caller.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The source line as shown (made harmless, cut if long); without its line ending.
    pub source: String,
    /// Where the marker starts below `source`, in terminal columns from 0.
    pub marker_start: usize,
    /// How long the marker is, in terminal columns, at least 1.
    pub marker_length: usize,
    /// What is wrong: a lowercase fragment.
    pub message: String,
    /// What to do about it; empty = nothing to add.
    pub hint: String,
}

/// Why a file was refused: at least one error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// What was found, in the order of the file; at most [`DIAGNOSTICS_SHOWN_MAX`].
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there are.
    pub more: usize,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(formatter, "error: {}", self.message)?;
        writeln!(formatter, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(formatter, "{margin} |")?;
        writeln!(formatter, "{}", format!("{number} | {}", self.source).trim_end())?;
        let (indent, marker) = (" ".repeat(self.marker_start), "^".repeat(self.marker_length));
        write!(formatter, "{margin} | {indent}{marker}")?;
        if !self.hint.is_empty() {
            write!(formatter, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n\n")?;
            }
            diagnostic.fmt(formatter)?;
        }
        if self.more > 0 {
            write!(formatter, "\n\n… and {} more", self.more)?;
        }
        Ok(())
    }
}

/// Collects the errors of one file.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<(usize, Diagnostic)>,
    more: usize,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, found: Vec::new(), more: 0 }
    }

    /// Adds an error at a byte range of the text.
    pub(crate) fn add(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        if self.found.len() == DIAGNOSTICS_SHOWN_MAX {
            self.more += 1;
            return;
        }
        let start = span.start.min(self.text.len());
        let diagnostic = locate(self.file, self.text, span, (short(&message.into()), short(&hint.into())));
        self.found.push((start, diagnostic));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What was found, in the order of the file.
    pub(crate) fn refused(mut self) -> Refused {
        self.found.sort_by_key(|(start, _)| *start);
        let diagnostics = self.found.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        Refused { diagnostics, more: self.more }
    }
}

fn locate(file: &str, text: &str, span: Range<usize>, words: (String, String)) -> Diagnostic {
    let start = floor(text, span.start);
    let end = floor(text, span.end.max(span.start));
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let line = text[line_start..line_end].trim_end_matches('\r');
    let before = text[line_start..start].trim_end_matches('\r');
    let marked = &text[start..end.min(line_start + line.len()).max(start)];
    let (source, marker_start) = window(line, before);
    Diagnostic {
        file: harmless(file),
        line: text[..start].matches('\n').count() + 1,
        column: before.chars().count() + 1,
        marker_length: columns(marked).clamp(1, (LINE_COLUMNS_MAX + 1).saturating_sub(marker_start).max(1)),
        source,
        marker_start,
        message: words.0,
        hint: words.1,
    }
}

/// The part of a line that is shown, and where the marker starts in it.
fn window(line: &str, before: &str) -> (String, usize) {
    let marker_start = columns(before);
    if columns(line) <= LINE_COLUMNS_MAX {
        return (harmless(line), marker_start);
    }
    // Keep the marker in view: up to a third of the width stands before it.
    let keep_before = (LINE_COLUMNS_MAX / 3).min(marker_start);
    let mut skipped = 0;
    let mut rest = line.chars();
    while skipped + keep_before < marker_start {
        match rest.next() {
            Some(character) => skipped += width(character),
            None => break,
        }
    }
    let mut shown = String::new();
    let mut used = 0;
    for character in rest {
        used += width(character);
        if used > LINE_COLUMNS_MAX {
            shown.push('…');
            break;
        }
        shown.push(character);
    }
    if skipped == 0 {
        return (harmless(&shown), marker_start);
    }
    (format!("…{}", harmless(&shown)), marker_start - skipped + 1)
}

/// Largest character boundary at or below.
fn floor(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// Words that quote a huge value stay readable.
fn short(text: &str) -> String {
    let mut letters = text.chars();
    let shown: String = letters.by_ref().take(WORDS_CHARS_MAX).collect();
    let more = if letters.next().is_some() { "…" } else { "" };
    harmless(&shown) + more
}

/// A control character could rewrite the terminal: shown as `?`. A tab is one column.
fn harmless(text: &str) -> String {
    let visible = |character: char| match character {
        '\t' => ' ',
        // Marks that turn the reading direction can make a line read as something else; separators can break it.
        '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => '?',
        character if character.is_control() => '?',
        character => character,
    };
    text.chars().map(visible).collect()
}

fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Columns of a character on a terminal: 2 for the wide East Asian ranges (Unicode UAX 11, coarsely), else 1.
fn width(character: char) -> usize {
    match character {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}
