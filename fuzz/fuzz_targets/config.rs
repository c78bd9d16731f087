//! A server's settings: any file, flags and variable names are settings or one error that can be shown, and flags win.
#![no_main]

use std::path::Path;

use avouch_server::config::{Settings, check_environment};
use clap::{Args, Command, FromArgMatches};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, Vec<String>, Vec<String>)| {
    let (text, flags, names) = input;
    if let Err(error) = check_environment(names.iter().map(|name| format!("AVOUCH_SERVER_{name}"))) {
        assert!(!error.to_string().contains('\u{1b}'), "hostile text is shown escaped");
    }
    let file = match Settings::parse(Path::new("fuzz.toml"), text) {
        Ok(settings) => settings,
        Err(error) => {
            assert!(!error.to_string().contains('\u{1b}'), "hostile text is shown escaped");
            Settings::default()
        }
    };
    let flags = flags_from(flags);
    let merged = flags.clone().over(file.clone());
    assert_eq!(merged.listen, flags.listen.or(file.listen), "flags win");
    assert_eq!(merged.window_entries, flags.window_entries.or(file.window_entries), "flags win");
    // Files are not this target's affair.
    let mut inline = Settings { secret_file: None, ..merged };
    inline.secret.get_or_insert_with(|| "a secret of this target".to_owned());
    if inline.resolve().is_ok() {
        let printed = inline.to_toml();
        let again =
            Settings::parse(Path::new("printed.toml"), &printed).expect("what is printed can be read");
        assert_eq!(again.to_toml(), printed);
    }
});

/// Any words as a command line; what is not one sets nothing.
fn flags_from(words: Vec<String>) -> Settings {
    let command = Settings::augment_args(Command::new("server").no_binary_name(true).disable_help_flag(true));
    let matches = command.try_get_matches_from(words);
    matches.ok().and_then(|matches| Settings::from_arg_matches(&matches).ok()).unwrap_or_default()
}
