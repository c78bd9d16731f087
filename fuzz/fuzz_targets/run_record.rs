//! Run records: any bytes are a record or one error, and every renderer shows every record without raw control bytes.
#![no_main]

use avouch_reports::render::{Json, Junit, Markdown, Renderer, Text};
use avouch_reports::run::Run;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let run = match Run::from_json(bytes) {
        Ok(run) => run,
        Err(error) => {
            assert!(!error.to_string().contains('\u{1b}'), "hostile text is shown escaped");
            return;
        }
    };
    let renderers: [&dyn Renderer; 4] = [&Text { colour: false }, &Json, &Junit, &Markdown];
    for renderer in renderers {
        let mut out = Vec::new();
        renderer.render(&run, &mut out).expect("writing to memory does not fail");
        renderer.render_all(&[run.clone(), run.clone()], &mut out).expect("writing to memory does not fail");
        assert!(!out.contains(&0x1b), "hostile text is shown escaped");
    }
});
