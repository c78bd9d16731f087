//! What may not stand in code, what to write instead, and where it may stand all the same.

use crate::expect_none;
use crate::source::Tree;

/// A forbidden word.
struct Ban {
    /// Found as a whole word in code (comments and literals do not count).
    words: &'static [&'static str],
    /// What to do.
    instead: &'static str,
    /// Paths (by their beginning) where it may stand.
    allowed: &'static [&'static str],
    /// Whether test code may have it.
    in_tests: bool,
}

/// Simulated and pure code: the same seed has to give the same bytes.
const BANS: &[Ban] = &[
    Ban {
        words: &["SystemTime::now"],
        instead: "take the time as an argument; only a shell reads the wall clock",
        allowed: SHELLS,
        in_tests: true,
    },
    Ban {
        words: &["std::time::Instant", "Instant::now"],
        instead: "take the time as an argument; only a shell reads a clock (in simulation tokio's, never the system's)",
        allowed: SHELLS,
        in_tests: true,
    },
    Ban {
        words: &["thread::sleep"],
        instead: "wait for an event, or for tokio's clock",
        allowed: &[],
        in_tests: false,
    },
    Ban {
        words: &["HashMap", "HashSet", "RandomState"],
        instead: "BTreeMap or BTreeSet, or FxHashMap where nothing iterates: std's order differs from run to run",
        allowed: &[],
        in_tests: false,
    },
    Ban {
        words: &["watch::channel", "watch::Sender", "watch::Receiver"],
        instead: "a cell and a `Notify`, or an mpsc channel: tokio's watch wakes its waiters in a random order",
        allowed: &[],
        in_tests: false,
    },
    Ban {
        words: &["futures::select", "futures_util::select", "select_biased", "FuturesUnordered"],
        instead: "`tokio::select!` with `biased;`, or tasks of the world: futures' order is not ours",
        allowed: &[],
        in_tests: false,
    },
    Ban {
        words: &["thread_rng", "rand::random", "ThreadRng", "OsRng", "getrandom"],
        instead: "the keyed functions of the plan's seed, or a seed that was passed in",
        allowed: &["harness/src/cli/", "reference-server/src/"],
        in_tests: false,
    },
    Ban {
        words: &["todo!", "unimplemented!", "dbg!"],
        instead: "write it, or answer with an error that says what is missing",
        allowed: &[],
        in_tests: false,
    },
    Ban {
        words: &["print!", "println!", "eprint!", "eprintln!"],
        instead: "data to the CLI's output module, talk to tracing",
        allowed: &["harness/src/cli/output.rs", "reference-server/src/main.rs"],
        in_tests: true,
    },
    Ban {
        words: &["process::exit"],
        instead: "return an exit code from main, so that reports are written and children are ended",
        allowed: &["harness/src/main.rs", "reference-server/src/main.rs"],
        in_tests: true,
    },
    Ban {
        words: &["#[ignore"],
        instead: "a test that runs, or none: an ignored one proves nothing",
        allowed: &[],
        in_tests: false,
    },
];

/// Where clocks may be read: what touches sockets, files and processes, and the benchmarks.
const SHELLS: &[&str] =
    &["harness/src/cli/", "harness/src/world/", "harness/src/client.rs", "reference-server/src/"];

#[test]
fn no_banned_words() {
    let mut findings = Vec::new();
    for file in Tree::read().rust() {
        for ban in BANS.iter().filter(|ban| !ban.allowed.iter().any(|allowed| file.path.starts_with(allowed)))
        {
            let code = if ban.in_tests { file.code_outside_tests() } else { file.code() };
            for (number, line) in (1..).zip(code.lines()) {
                for word in ban.words.iter().filter(|word| has_word(line, word)) {
                    findings.push(format!("{}:{number}: `{word}`. Instead: {}", file.path, ban.instead));
                }
            }
        }
    }
    expect_none("words that are banned here:", &findings);
}

#[test]
fn every_select_is_biased() {
    let mut findings = Vec::new();
    for file in Tree::read().rust() {
        let code = file.code();
        findings.extend(unbiased_selects(&code).into_iter().map(|line| format!("{}:{line}", file.path)));
    }
    expect_none("`select!` has to begin with `biased;` (an unbiased one picks at random):", &findings);
}

#[test]
fn what_a_folder_lists_is_sorted() {
    let mut findings = Vec::new();
    for file in Tree::read().rust() {
        let code = file.code();
        if has_word(&code, "read_dir") && !code.contains(".sort") {
            findings.push(file.path.clone());
        }
    }
    expect_none("`read_dir` gives any order; sort what it gives, in the same file:", &findings);
}

/// Paths of somebody's machine. In two pieces, so that this file does not find itself.
const MACHINE_PATHS: [(&str, &str); 4] = [("/ro", "ot/"), ("/ho", "me/"), ("/wo", "rk/"), ("/tm", "p/")];

#[test]
fn no_paths_of_a_machine() {
    let mut findings = Vec::new();
    for file in &Tree::read().files {
        for (number, line) in (1..).zip(file.text.lines()) {
            for path in MACHINE_PATHS.map(|(first, second)| format!("{first}{second}")) {
                if has_path(line, &path) {
                    findings.push(format!("{}:{number}: `{path}`", file.path));
                }
            }
        }
    }
    expect_none(
        "paths of somebody's machine; use a relative path, $TMPDIR or `std::env::temp_dir`:",
        &findings,
    );
}

/// At the beginning of a path, not in the middle of one.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        !line[..at].ends_with(|before: char| {
            before.is_ascii_alphanumeric() || matches!(before, '.' | '_' | '-' | '}')
        })
    })
}

fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let is_end = |c: Option<char>| !c.is_some_and(is_word);
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        (is_end(before) || !word.starts_with(is_word)) && (is_end(after) || !word.ends_with(is_word))
    })
}

/// Lines of selects whose first word is not `biased`.
fn unbiased_selects(code: &str) -> Vec<usize> {
    let is_unbiased = |after: &str| {
        let body = after.trim_start().strip_prefix(['{', '(', '[']);
        body.is_some_and(|body| !body.trim_start().starts_with("biased;"))
    };
    code.match_indices("select!")
        .filter(|(at, word)| is_unbiased(&code[at + word.len()..]))
        .map(|(at, _)| code[..at].matches('\n').count() + 1)
        .collect()
}

#[test]
fn words_are_whole() {
    let check = |line: &str, word: &str, expected: bool| assert_eq!(has_word(line, word), expected, "{line}");
    check("let a = HashMap::new();", "HashMap", true);
    check("let a = FxHashMap::default();", "HashMap", false);
    check("eprintln!()", "println!", false);
    check("std::thread::sleep(x)", "thread::sleep", true);
    check("#[ignore = ]", "#[ignore", true);
    check("println!(x)", "println!", true);
}

#[test]
fn selects_are_read() {
    let check = |code: &str, expected: &[usize]| assert_eq!(unbiased_selects(code), expected, "{code}");
    check("a\ntokio::select! {\n  x = y => z\n}", &[2]);
    check("tokio::select! {\n  biased;\n  x = y => z\n}", &[]);
    check("tokio::select!(x = y => z)", &[1]);
    check("use tokio::select;", &[]);
}

#[test]
fn paths_are_told_from_parts_of_paths() {
    let [path, ..] = MACHINE_PATHS.map(|(first, second)| format!("{first}{second}"));
    assert!(has_path(&format!("\"{path}x\""), &path));
    assert!(has_path(&format!("cd {path}x"), &path));
    assert!(!has_path(&format!("https://example.org{path}x"), &path));
    assert!(!has_path(&format!("a{path}x"), &path));
}
