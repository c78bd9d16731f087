//! Text from a target is hostile: it may hold control characters, terminal codes, markup, or marks that turn
//! the reading direction. This module says what is hostile, and makes it visible. Each renderer escapes its
//! own markup on top.

use std::fmt::Write as _;

/// Whether a character may not reach a terminal, a page or a summary as it is: control characters (C0, DEL, C1),
/// line and paragraph separators, direction marks and overrides, the byte order mark, tag characters and
/// noncharacters. Joiners stay: scripts and emoji need them.
pub fn is_hostile(character: char) -> bool {
    matches!(character,
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
        || u32::from(character) & 0xfffe == 0xfffe
}

/// One line of plain text: hostile characters stand as `\u{1b}` and the like, a backslash stays.
pub fn visible(text: &str) -> String {
    if !text.chars().any(is_hostile) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        push_visible(character, &mut out);
    }
    out
}

/// Appends a character as [`visible`] shows it.
pub(crate) fn push_visible(character: char, out: &mut String) {
    if is_hostile(character) {
        write!(out, "\\u{{{:x}}}", u32::from(character)).expect("writing to a string never fails");
    } else {
        out.push(character);
    }
}

/// At most `bytes_max` bytes of a text, cut at a character, with an ellipsis where something is missing.
pub fn shortened(text: &str, bytes_max: usize) -> std::borrow::Cow<'_, str> {
    const ELLIPSIS: char = '…';
    if text.len() <= bytes_max {
        return text.into();
    }
    let mut end = bytes_max.saturating_sub(ELLIPSIS.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut cut = text[..end].to_owned();
    if bytes_max >= ELLIPSIS.len_utf8() {
        cut.push(ELLIPSIS);
    }
    cut.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_characters_become_visible_and_all_else_stays() {
        let check = |input: &str, expected: &str| assert_eq!(visible(input), expected);
        check("plain, ünïcode, 中文, 👩‍💻", "plain, ünïcode, 中文, 👩‍💻");
        check("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}");
        check("a\r\nb\u{85}", "a\\u{d}\\u{a}b\\u{85}");
        check("\u{202e}gpj.exe\u{2066}", "\\u{202e}gpj.exe\\u{2066}");
        check("\u{ffff}\u{1fffe}\u{feff}", "\\u{ffff}\\u{1fffe}\\u{feff}");
        check("\u{e0041}", "\\u{e0041}");
    }

    #[test]
    fn shortening_keeps_whole_characters() {
        let check = |input: &str, max: usize, expected: &str| assert_eq!(shortened(input, max), expected);
        check("abc", 3, "abc");
        check("abcdef", 5, "ab…");
        check("中文字", 8, "中…");
        check("abc", 2, "");
    }
}
