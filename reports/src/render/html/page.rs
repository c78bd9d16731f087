//! The frame of every page: one file that loads nothing. A content security policy allows this program's style and script by
//! their hashes and nothing else, so that even markup that got in by a mistake here could not run.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::language::{Language, Words};
use super::markup::Markup;
use super::words;
use crate::latency::base64;

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

/// How a page is meant: for colours and symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Unsure,
}

impl Tone {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unsure => "unsure",
        }
    }

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Bad => "✗",
            Self::Unsure => "?",
        }
    }

    /// An icon for the tab, as a `data:` address.
    fn icon(self) -> &'static str {
        match self {
            Self::Good => {
                "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%23187a3c'/%3E%3Cpath d='M4 8.5l3 3 5-6.5' fill='none' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E"
            }
            Self::Bad => {
                "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%23b3261e'/%3E%3Cpath d='M4.500 4.500l7 7m0-7l-7 7' fill='none' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E"
            }
            Self::Unsure => {
                "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%23946200'/%3E%3Cpath d='M8 3v6m0 2v2' fill='none' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E"
            }
        }
    }
}

/// What a page is called, and what it has.
pub(super) struct Frame<'a> {
    pub(super) language: Language,
    pub(super) tone: Tone,
    /// The outcome; it stands first in the title.
    pub(super) outcome: Words,
    pub(super) title: &'a str,
    /// Sections for the list of contents: id and title. Those that the body lacks are left out.
    pub(super) sections: &'a [(&'static str, Words)],
    pub(super) tool: &'a str,
}

impl Frame<'_> {
    /// Writes the whole page.
    pub(super) fn write(&self, body: &Markup, out: &mut dyn Write) -> io::Result<()> {
        let mut page = Markup::default();
        let code = self.language.code();
        page.raw("<!doctype html>\n<html").attribute("lang", code).attribute("data-lang", code);
        page.raw("><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\"");
        page.attribute("content", &policy()).raw("><meta name=\"viewport\" content=\"width=device-width, ");
        page.raw(
            "initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" ",
        );
        page.raw("content=\"no-referrer\"><meta name=\"robots\" content=\"noindex\"><title>");
        page.text(self.outcome.in_language(self.language))
            .raw(": ")
            .text(self.title)
            .raw(" – Avouch</title>");
        page.raw("<link rel=\"icon\"").attribute("href", self.tone.icon()).raw("><style>").raw(STYLE);
        page.raw("</style></head><body><a class=\"skip\" href=\"#verdict\">")
            .say(words::SKIP, &[])
            .raw("</a>");
        self.bar(body, &mut page);
        page.raw("<main>").append(body).raw("</main><footer><p>").say(words::MADE_BY, &[self.tool]);
        page.raw("</p><noscript><p>").say(words::NO_SCRIPT, &[]).raw("</p></noscript></footer><script>");
        page.raw(SCRIPT).raw("</script></body></html>\n");
        out.write_all(page.as_str().as_bytes())
    }

    fn bar(&self, body: &Markup, page: &mut Markup) {
        page.raw("<nav class=\"bar\"").say_attribute("aria-label", words::CONTENTS).raw("><b>avouch</b><ul>");
        for (id, title) in self.sections {
            if body.as_str().contains(&format!("id=\"{id}\"")) {
                page.raw("<li><a")
                    .attribute("href", &format!("#{id}"))
                    .raw(">")
                    .say(*title, &[])
                    .raw("</a></li>");
            }
        }
        page.raw("</ul><div class=\"switches\"><label><span class=\"hidden\">").say(words::LANGUAGE, &[]);
        page.raw("</span><select id=\"language\" autocomplete=\"off\"><option value=\"en\"");
        page.raw(if self.language == Language::English { " selected" } else { "" }).raw(">English</option>");
        page.raw("<option value=\"zh\"").raw(if self.language == Language::Chinese {
            " selected"
        } else {
            ""
        });
        page.raw(">中文</option></select></label><label><span class=\"hidden\">").say(words::THEME, &[]);
        page.raw("</span><select id=\"theme\" autocomplete=\"off\">");
        for (value, name) in
            [("auto", words::THEME_AUTO), ("light", words::THEME_LIGHT), ("dark", words::THEME_DARK)]
        {
            page.raw("<option").attribute("value", value).say_attribute("label", name).raw("></option>");
        }
        page.raw("</select></label></div></nav>");
    }
}

fn policy() -> String {
    let hash = |asset: &str| {
        let mut text = String::new();
        base64(&Sha256::digest(asset.as_bytes()), &mut text);
        text
    };
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}
