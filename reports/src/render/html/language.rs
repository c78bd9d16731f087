//! English and Chinese. Every word of a page is a pair, so none can lack the other language; a page holds both and shows one.

/// What a page is written in when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// As it stands in `lang` attributes.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }
}

/// The same in both; `{0}`, `{1}` and so on are places for arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// In English.
    pub(super) english: &'static str,
    /// In Chinese.
    pub(super) chinese: &'static str,
}

impl Words {
    /// Both languages with the arguments in their places.
    pub(super) fn filled_in(self, arguments: &[&str]) -> [String; 2] {
        [self.english, self.chinese].map(|template| fill_in(template, arguments))
    }

    /// One of them.
    pub(super) fn in_language(self, language: Language) -> &'static str {
        match language {
            Language::English => self.english,
            Language::Chinese => self.chinese,
        }
    }
}

/// Puts arguments into their places; an argument is never read as a template.
pub(super) fn fill_in(template: &str, arguments: &[&str]) -> String {
    let mut parts = template.split('{');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let argument = part.split_once('}').and_then(|(index, rest)| {
            let index: usize = index.parse().ok()?;
            Some((arguments.get(index)?, rest))
        });
        match argument {
            Some((argument, rest)) => out.extend([*argument, rest]),
            None => out.extend(["{", part]),
        }
    }
    out
}

/// Constants of [`Words`], and the list of all of them for the test.
macro_rules! words {
    ($($name:ident: $english:literal, $chinese:literal;)*) => {
        $(pub(in crate::render::html) const $name: Words = Words { english: $english, chinese: $chinese };)*

        #[cfg(test)]
        pub(in crate::render::html) const ALL: &[(&str, Words)] = &[$((stringify!($name), $name)),*];
    };
}
pub(super) use words;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Names of the places of a template.
    fn places(template: &str) -> Vec<&str> {
        let mut places: Vec<&str> =
            template.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0)).collect();
        places.sort_unstable();
        places
    }

    /// Neither language is missing, and both have the same places.
    pub(in crate::render::html) fn check_whole(name: &str, words: Words) {
        let Words { english, chinese } = words;
        assert!(!english.trim().is_empty() && !chinese.trim().is_empty(), "{name} lacks a language");
        assert_eq!(places(english), places(chinese), "{name}: the places differ");
        let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
        assert!(!english.chars().any(is_chinese), "{name}: Chinese in the English words");
        assert!(chinese.chars().any(is_chinese), "{name}: no Chinese in the Chinese words");
    }

    #[test]
    fn no_words_lack_a_language() {
        let all = super::super::words::ALL.iter().chain(super::super::event_words::ALL);
        let mut count = 0;
        for (name, words) in all {
            check_whole(name, *words);
            count += 1;
        }
        assert!(count > 100, "{count} words are not all of them");
    }

    #[test]
    fn arguments_are_filled_in_once() {
        let check = |template: &str, arguments: &[&str], expected: &str| {
            assert_eq!(fill_in(template, arguments), expected);
        };
        check("{0} of {1}", &["1", "2"], "1 of 2");
        check("{1}, {0}", &["{1}", "b"], "b, {1}");
        check("{2} {x} {", &["a"], "{2} {x} {");
    }
}
