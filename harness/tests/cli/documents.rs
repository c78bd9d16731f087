//! Commands in documents are commands: every line of a shell block, and of the pieces for pipelines, is understood by this program.
//! And the pieces are YAML, as far as they go: a plain subset is read here, and nothing outside of it is written there.

use crate::tool::Scratch;

const CI: &str = include_str!("../../../docs/ci.md");
const DOCUMENTS: [(&str, &str); 9] = [
    ("README.md", include_str!("../../../README.md")),
    ("README.zh-CN.md", include_str!("../../../README.zh-CN.md")),
    ("docs/benchmarks.md", include_str!("../../../docs/benchmarks.md")),
    ("docs/exec.md", include_str!("../../../docs/exec.md")),
    ("docs/faults.md", include_str!("../../../docs/faults.md")),
    ("docs/load.md", include_str!("../../../docs/load.md")),
    ("docs/proxy.md", include_str!("../../../docs/proxy.md")),
    ("docs/scoreboard.md", include_str!("../../../docs/scoreboard.md")),
    ("docs/targets.md", include_str!("../../../docs/targets.md")),
];

/// The blocks of a document in that language.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    document.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Splits shell text into commands, and these into words: quotes, comments, substitutions, and line ends that are escaped.
fn commands(shell: &str) -> Vec<Vec<String>> {
    let shell = shell.replace("\\\n", " ");
    let (mut all, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let mut characters = shell.chars().peekable();
    let end_word = |word: &mut Option<String>, words: &mut Vec<String>| words.extend(word.take());
    while let Some(character) = characters.next() {
        match character {
            '\'' | '"' => {
                let inside: String = characters.by_ref().take_while(|it| *it != character).collect();
                word.get_or_insert_default().push_str(&inside);
            }
            '$' if characters.peek() == Some(&'(') => {
                let mut depth = 0;
                for inside in characters.by_ref() {
                    depth += i32::from(inside == '(') - i32::from(inside == ')');
                    if depth == 0 {
                        break;
                    }
                }
                word.get_or_insert_default().push('1');
            }
            '$' => {
                while characters.next_if(char::is_ascii_alphanumeric).is_some() {}
                word.get_or_insert_default().push('1');
            }
            '#' if word.is_none() => while characters.next_if(|it| *it != '\n').is_some() {},
            '\n' | ';' | '|' | '&' | '>' | '(' | ')' => {
                end_word(&mut word, &mut words);
                all.push(std::mem::take(&mut words));
            }
            ' ' => end_word(&mut word, &mut words),
            other => word.get_or_insert_default().push(other),
        }
    }
    end_word(&mut word, &mut words);
    all.push(words);
    all
}

/// What this program is given in a command; `None` if it is another's. In a document it has three names.
fn arguments(words: &[String]) -> Option<&[String]> {
    let is_it = |word: &String| word == "avouch" || word.ends_with("/avouch");
    let first = words.iter().position(|word| !matches!(word.as_str(), "do" | "!" | "nice" | "time"))?;
    let words = &words[first..];
    if words.first().is_some_and(is_it) {
        return Some(&words[1..]);
    }
    let is_cargo =
        words.first().is_some_and(|word| word == "cargo") && words.get(1).is_some_and(|it| it == "run");
    let separator = words.iter().position(|word| word == "--").filter(|_| is_cargo)?;
    let is_ours =
        !words[..separator].iter().any(|word| matches!(word.as_str(), "--bin" | "--example" | "-p"));
    is_ours.then(|| &words[separator + 1..])
}

/// Checks all commands of this program in a shell text, and gives back how many there were.
fn check(scratch: &Scratch, place: &str, shell: &str) -> usize {
    let mut count = 0;
    for words in commands(shell) {
        let Some(arguments) = arguments(&words) else { continue };
        // An ellipsis stands for what the reader has to fill in.
        if arguments.iter().any(|word| word.contains('…')) {
            continue;
        }
        // With `--help` behind it a command is read to its end, and not carried out.
        let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
        all.push("--help");
        let ended = scratch.run(&all);
        assert_eq!(ended.code, 0, "{place}: avouch {}\n{}", arguments.join(" "), ended.stderr);
        count += 1;
    }
    count
}

#[test]
fn every_command_of_the_documents_is_understood() {
    let scratch = Scratch::new("documents");
    let mut count = 0;
    for (name, document) in DOCUMENTS {
        for language in ["sh", "console"] {
            for block in blocks(document, language) {
                // A console shows what is printed as well.
                let typed: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
                let shell = if language == "console" { typed.join("\n") } else { block.to_owned() };
                count += check(&scratch, name, &shell);
            }
        }
    }
    assert!(count > 40, "only {count} commands were found: this test is blind");
}

/// A line of YAML: how far it is indented, whether it is an element of a list, its key, and what stands behind.
struct Line<'a> {
    indent: usize,
    key: Option<&'a str>,
    value: &'a str,
}

fn line(text: &str) -> Line<'_> {
    assert!(!text.contains('\t'), "a tab: {text}");
    let element = text.trim_start();
    let indent = text.len() - element.len();
    let rest = element.strip_prefix("- ").unwrap_or(element);
    let key = rest.split_once(':').filter(|(key, value)| {
        let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        is_plain && !key.is_empty() && (value.is_empty() || value.starts_with(' '))
    });
    let indent = indent + (element.len() - rest.len());
    if let Some((key, value)) = key {
        return Line { indent, key: Some(key), value: value.trim() };
    }
    assert!(element.starts_with("- "), "neither a key nor an element: {text}");
    let is_quoted = rest.starts_with('\'') && rest.ends_with('\'');
    assert!(is_quoted || !rest.contains(": "), "it would be a key: {text}");
    Line { indent, key: None, value: if is_quoted { &rest[1..rest.len() - 1] } else { rest } }
}

/// Reads a piece, and gives back the shell text in it: values of `run`, elements of `script`.
fn shell_of(yaml: &str) -> String {
    let mut shell = String::new();
    // A block of text: how far its key is indented, and whether it is for a shell.
    let (mut scalar, mut script, mut open) = (None::<(usize, bool)>, None::<usize>, vec![0_usize]);
    for text in yaml.lines().filter(|text| !text.trim().is_empty()) {
        let indent = text.len() - text.trim_start().len();
        if let Some((_, is_shell)) = scalar.filter(|(outer, _)| indent > *outer) {
            if is_shell {
                shell.extend([text.trim(), "\n"]);
            }
            continue;
        }
        scalar = None;
        let line = line(text);
        open.retain(|outer| *outer <= line.indent);
        if open.last() != Some(&line.indent) {
            open.push(line.indent);
        }
        assert!(line.indent.is_multiple_of(2), "indented by an odd number: {text}");
        if script.is_some_and(|outer| line.indent <= outer) {
            script = None;
        }
        match (line.key, line.value) {
            (Some(key), "|") => scalar = Some((line.indent, key == "run")),
            (Some("run"), value) => shell.extend([value, "\n"]),
            (Some("script"), "") => script = Some(line.indent),
            (None, value) if script.is_some() => shell.extend([value, "\n"]),
            _ => {}
        }
    }
    shell
}

#[test]
fn the_pieces_for_pipelines_can_be_read_and_carried_out() {
    let scratch = Scratch::new("documents-ci");
    let pieces = blocks(CI, "yaml");
    assert_eq!(pieces.len(), 2, "GitHub Actions and GitLab");
    for piece in pieces {
        let count = check(&scratch, "docs/ci.md", &shell_of(piece));
        assert!(count >= 3, "only {count} commands in\n{piece}");
    }
}

#[test]
fn shell_text_is_split_as_a_shell_does() {
    let check = |shell: &str, expected: &[&[&str]]| {
        let found: Vec<Vec<String>> = commands(shell).into_iter().filter(|words| !words.is_empty()).collect();
        assert_eq!(found, expected, "{shell}");
    };
    check("avouch run a  # why\nb", &[&["avouch", "run", "a"], &["b"]]);
    check("a 'b c' \"d\"e \\\n f", &[&["a", "b c", "de", "f"]]);
    check(
        "[ ! -d x ] || avouch compare x y",
        &[&["[", "!", "-d", "x", "]"], &["avouch", "compare", "x", "y"]],
    );
    check("a --at $(( $(date +%s) + 1 ))000 $X", &[&["a", "--at", "1000", "1"]]);
}
