//! Where text becomes HTML. Markup is either written in this program (`&'static str`), or a number, or text that is escaped:
//! there is no way to add anything else, so nothing that a target said can become markup.

use std::fmt::Write as _;

use super::language::Words;
use super::told;
use crate::escape::visible;

/// A piece of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Markup {
    text: String,
}

impl Markup {
    /// Markup as it stands in this program.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.text.push_str(markup);
        self
    }

    /// Text, from wherever; hostile characters are shown as `\u{…}`.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        escape(text, &mut self.text);
        self
    }

    /// Text in `<code>`.
    pub(super) fn code(&mut self, text: &str) -> &mut Self {
        self.raw("<code>").text(text).raw("</code>")
    }

    /// ` name="value"`, for an open tag.
    pub(super) fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// ` name="number"`, for an open tag.
    pub(super) fn number_attribute(&mut self, name: &'static str, number: f64) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").number(number).raw("\"")
    }

    /// A coordinate: one decimal, as short as can be.
    pub(super) fn number(&mut self, number: f64) -> &mut Self {
        let rounded = if number.is_finite() { (number * 10.0).round() / 10.0 } else { 0.0 };
        // Minus zero would be written with its sign.
        write!(self.text, "{}", rounded + 0.0).expect("writing to a string never fails");
        self
    }

    /// Words in both languages, of which the page shows one; `{0}` and so on are filled in.
    pub(super) fn say(&mut self, words: Words, arguments: &[&str]) -> &mut Self {
        self.both("span", &words.filled_in(arguments))
    }

    /// The same inside of SVG.
    pub(super) fn say_in_svg(&mut self, words: Words, arguments: &[&str]) -> &mut Self {
        self.both("tspan", &words.filled_in(arguments))
    }

    /// What a part of this tool said in English, with its translation where there is one.
    pub(super) fn told(&mut self, text: &str) -> &mut Self {
        match told::chinese(text) {
            Some(chinese) => self.both("span", &[text.to_owned(), chinese]),
            // No words of a language, as in `4.2 ms`; or nobody translated it, which `.ci/run pages` looks for.
            None if !has_words(text) => self.text(text),
            None => self.raw("<span class=\"untold\">").text(text).raw("</span>"),
        }
    }

    /// A text in English and the same in Chinese.
    pub(super) fn both_texts(&mut self, english: &str, chinese: &str) -> &mut Self {
        self.both("span", &[english.to_owned(), chinese.to_owned()])
    }

    /// An attribute in both languages, for an open tag: the script puts the other one in when the language is switched.
    pub(super) fn say_attribute(&mut self, name: &'static str, words: Words) -> &mut Self {
        self.attribute(name, words.english);
        self.raw(" data-zh-").raw(name).raw("=\"").text(words.chinese).raw("\"")
    }

    /// Appends another piece.
    pub(super) fn append(&mut self, other: &Self) -> &mut Self {
        self.text.push_str(&other.text);
        self
    }

    /// Data for the script, as the content of a `<script type="application/json">`.
    pub(super) fn data(&mut self, value: &impl serde::Serialize) -> &mut Self {
        let json = serde_json::to_string(value).expect("data of this program is plain JSON");
        for character in json.chars() {
            match character {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    write!(self.text, "\\u{:04x}", u32::from(character))
                        .expect("writing to a string never fails");
                }
                other => self.text.push(other),
            }
        }
        self
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// As text.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    fn both(&mut self, element: &'static str, [english, chinese]: &[String; 2]) -> &mut Self {
        if english == chinese {
            return self.text(english);
        }
        for (language, text) in [("en", english), ("zh", chinese)] {
            self.raw("<").raw(element).raw(" lang=\"").raw(language).raw("\">").text(text);
            self.raw("</").raw(element).raw(">");
        }
        self
    }
}

/// Whether some word of a text is longer than a unit.
fn has_words(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word.len() > 3)
}

fn escape(text: &str, out: &mut String) {
    for character in visible(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Markup::default().text(text).as_str(), expected);
            assert_eq!(Markup::default().attribute("a", text).as_str(), format!(" a=\"{expected}\""));
        };
        check("<script>a && 'b'</script>", "&lt;script&gt;a &amp;&amp; &#39;b&#39;&lt;/script&gt;");
        check("\" onload=\"x", "&quot; onload=&quot;x");
        check("\u{202e}a\nb\0", "\\u{202e}a\\u{a}b\\u{0}");
    }

    #[test]
    fn data_cannot_end_its_element() {
        let found = Markup::default().data(&["</script><!--\u{2028}&"]).clone();
        assert_eq!(found.as_str(), "[\"\\u003c/script\\u003e\\u003c!--\\u2028\\u0026\"]");
    }

    #[test]
    fn numbers_are_short_and_always_numbers() {
        let check =
            |number: f64, expected: &str| assert_eq!(Markup::default().number(number).as_str(), expected);
        check(1.0, "1");
        check(1.25, "1.3");
        check(-0.01, "0");
        check(f64::NAN, "0");
        check(f64::INFINITY, "0");
    }
}
