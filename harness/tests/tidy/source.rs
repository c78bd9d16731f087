//! The files of the repository, and Rust text with everything blanked out that is not code.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Folders that hold what was built or found, not what was written.
const NOT_OURS: [&str; 6] = [".git", "target", "avouch-out", "corpus", "artifacts", "node_modules"];

/// Whatever folder holds this is a run's, under any name that its maker gave it; the README's commands leave some.
const RUN_RECORD: &str = "run.json";

/// Every text file of the repository, by rising path.
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<File>,
}

/// One text file.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Tree {
    /// Reads the repository that this crate belongs to.
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the harness lies in the workspace")
            .to_owned();
        let mut files = Vec::new();
        walk(&root, "", &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { root, files }
    }

    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Files whose name ends in `.ending`.
    pub(crate) fn with_ending(&self, ending: &str) -> impl Iterator<Item = &File> {
        let has_ending = move |path: &str| path.rsplit_once('.').is_some_and(|(_, found)| found == ending);
        self.files.iter().filter(move |file| has_ending(&file.path))
    }

    /// All Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.with_ending("rs")
    }
}

impl File {
    /// Whether the whole file is test code: by its name, or by its folder.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts: Vec<&str> = self.path.split('/').collect();
        let name = parts.pop().unwrap_or_default();
        matches!(name, "tests.rs" | "arbitrary.rs" | "proptests.rs")
            || parts.iter().any(|folder| matches!(*folder, "tests" | "benches" | "examples"))
    }

    /// The file's code: comments and literals are blank.
    pub(crate) fn code(&self) -> String {
        blank_text(&self.text)
    }

    /// The same without test code. A test file has none.
    pub(crate) fn code_outside_tests(&self) -> String {
        if self.is_test() { String::new() } else { blank_tests(&self.code()) }
    }

    /// String literals outside of test code, as they are written but for line ends that are escaped.
    pub(crate) fn literals(&self) -> Vec<String> {
        let tests = test_items(&self.code());
        let mut literals = Vec::new();
        each_text(&self.text, &mut |range| {
            let text = &self.text[range.clone()];
            if text.starts_with('"') && !tests.iter().any(|test| test.contains(&range.start)) {
                let lines = text[1..text.len() - 1].split("\\\n").enumerate();
                literals
                    .push(lines.map(|(at, line)| if at == 0 { line } else { line.trim_start() }).collect());
            }
        });
        literals
    }

    /// Lines that are not test code.
    pub(crate) fn lines_outside_tests(&self) -> usize {
        let code = self.code();
        let test_lines: usize =
            test_items(&code).iter().map(|range| code[range.clone()].matches('\n').count() + 1).sum();
        self.text.lines().count() - test_lines
    }
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("a listed entry can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        if NOT_OURS.contains(&name.as_str()) || name.starts_with("target-") || name.ends_with(".profraw") {
            continue;
        }
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("a listed entry has a type");
        if kind.is_dir() {
            if entry.path().join(RUN_RECORD).is_file() {
                continue;
            }
            walk(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(File { path, text });
        }
    }
}

/// Replaces comments, strings and characters by blanks; lines and columns stay.
fn blank_text(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    each_text(text, &mut |range| {
        for byte in &mut out[range] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    });
    String::from_utf8_lossy(&out).into_owned()
}

/// Every comment, string and character, one after the other.
fn each_text(text: &str, tell: &mut dyn FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => find(bytes, at, b"\n").unwrap_or(bytes.len()),
            b'/' if bytes.get(at + 1) == Some(&b'*') => end_of_block_comment(bytes, at),
            b'"' => end_of_string(bytes, at),
            b'r' if !is_word_before(bytes, at) => end_of_raw_string(bytes, at),
            b'\'' => end_of_character(bytes, at),
            _ => at,
        };
        if end > at {
            tell(at..end);
        }
        at = end.max(at + 1);
    }
}

fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(wanted.len()).position(|window| window == wanted).map(|found| from + found)
}

/// A letter before makes `r` part of a name; `br"…"` is a literal all the same.
fn is_word_before(bytes: &[u8], at: usize) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match at.checked_sub(1).map(|before| bytes[before]) {
        Some(b'b' | b'c') => at >= 2 && is_word(bytes[at - 2]),
        Some(before) => is_word(before),
        None => false,
    }
}

fn end_of_block_comment(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at < bytes.len() {
        match &bytes[at..(at + 2).min(bytes.len())] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `from` itself when it is no raw string.
fn end_of_raw_string(bytes: &[u8], from: usize) -> usize {
    let hashes = bytes[from + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = from + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return from;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    find(bytes, open + 1, &close).map_or(bytes.len(), |at| at + close.len())
}

/// `from` itself when it is a lifetime.
fn end_of_character(bytes: &[u8], from: usize) -> usize {
    let rest = &bytes[from + 1..];
    if rest.first() == Some(&b'\\') {
        return find(bytes, from + 3, b"'").map_or(bytes.len(), |at| at + 1);
    }
    let first = std::str::from_utf8(&rest[..rest.len().min(4)]).map_or_else(|e| e.valid_up_to(), str::len);
    let width =
        std::str::from_utf8(&rest[..first]).ok().and_then(|s| s.chars().next()).map_or(1, char::len_utf8);
    if rest.get(width) == Some(&b'\'') { from + width + 2 } else { from }
}

/// Replaces `#[cfg(test)]` items by blanks; lines stay. Takes code without text.
fn blank_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    for range in test_items(code) {
        for byte in &mut out[range] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// From each `#[cfg(test)]` to the end of its item: the closing brace, or the semicolon before any brace.
fn test_items(code: &str) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let begin = from + found;
        from = end_of_item(code.as_bytes(), begin + "#[cfg(test)]".len());
        ranges.push(begin..from);
    }
    ranges
}

fn end_of_item(code: &[u8], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::{File, blank_tests, blank_text};

    fn check(text: &str, code: &str) {
        let squeezed: Vec<String> = blank_text(text)
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(squeezed.join("\n"), code, "{text}");
    }

    #[test]
    fn only_code_is_left() {
        check("a // b \"\nc", "a\nc");
        check("a /* b /* c */ \" */ d", "a d");
        check(r#"a("b // \" c") d"#, "a( ) d");
        check(r##"a(r"b\") c(br#" " "#) d"##, "a( ) c(b ) d");
        check(
            "fn a<'b>(c: &'b str) { '\\'' ; '\"' ; 'é' ; '\\u{1F600}' ; d }",
            "fn a<'b>(c: &'b str) { ; ; ; ; d }",
        );
        check("for r in bar {}", "for r in bar {}");
        check("\"a\nb\" c", "\nc");
    }

    #[test]
    fn whatever_is_not_closed_ends_the_text() {
        for text in ["/* a", "\"a", "r#\"a", "'\\", "\"\\", "r", "'", "/"] {
            assert_eq!(blank_text(text).len(), text.len());
        }
    }

    #[test]
    fn tests_are_told_from_the_rest() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}\n";
        let left: String = blank_tests(code).split_whitespace().collect();
        assert_eq!(left, "fna(){}fnc(){}fne(){}");
        let file = File { path: "x/src/a.rs".into(), text: code.into() };
        assert_eq!(file.lines_outside_tests(), 3);
        assert!(!file.is_test());
        assert!(File { path: "x/tests/a.rs".into(), text: String::new() }.is_test());
    }
}
