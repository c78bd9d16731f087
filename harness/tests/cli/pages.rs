//! Pages: where they are written, how they are written again, in which language.

use std::fs;

use crate::tool::{SHORT, Scratch};

#[test]
fn every_run_has_its_page_and_all_have_an_index_that_leads_to_it() {
    let scratch = Scratch::new("pages");
    scratch.write("x.toml", SHORT);
    scratch.write("y.toml", SHORT);
    let ended = scratch.run(&["run", "x.toml", "y.toml", "--world", "explore"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let read =
        |path: &str| fs::read_to_string(scratch.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let page = read("avouch-out/x-explore-1/report.html");
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\""), "{}", &page[..80]);
    assert!(page.contains("<title>Passed: x – Avouch</title>"));
    assert!(page.contains("class=\"line p99\""), "charts come from the interval log beside it");
    let index = read("avouch-out/report.html");
    for name in ["x", "y"] {
        assert!(index.contains(&format!("<a href=\"./{name}-explore-1/report.html\">{name}</a>")), "{name}");
    }

    let again = scratch.run(&["report", "avouch-out", "--html"]);
    assert_eq!(
        (again.code, read("avouch-out/report.html")),
        (0, index.clone()),
        "the same runs give the same index"
    );
    let again = scratch.run(&["--lang", "zh", "report", "avouch-out", "--html"]);
    assert_eq!((again.code, &*again.stdout), (0, "avouch-out/report.html\n"), "{}", again.stderr);
    for path in ["avouch-out/report.html", "avouch-out/x-explore-1/report.html"] {
        assert!(read(path).starts_with("<!doctype html>\n<html lang=\"zh\""), "{path}");
    }
    let one = scratch.run(&["report", "avouch-out/x-explore-1", "--html"]);
    assert_eq!((one.code, &*one.stdout), (0, "avouch-out/x-explore-1/report.html\n"));
    assert_eq!(read("avouch-out/x-explore-1/report.html"), page, "the same files give the same page");
    let printed = scratch.run(&["report", "avouch-out/x-explore-1", "--format", "html"]);
    assert_eq!(printed.stdout, page);
}

#[test]
fn an_interval_log_that_is_damaged_costs_the_charts_only() {
    let scratch = Scratch::new("pages-damaged");
    scratch.write("x.toml", SHORT);
    scratch.run(&["run", "x.toml", "--world", "explore"]);
    scratch.write("avouch-out/x-explore-1/latency.hlog", "Tag=accepted-intended-outside,0,1,2,AAAA\n");
    let ended = scratch.run(&["report", "avouch-out/x-explore-1", "--html"]);
    assert_eq!(ended.code, 0);
    assert!(
        ended.stderr.starts_with(
            "note: no charts, avouch-out/x-explore-1/latency.hlog: line 1: its histogram is cut off\nhint: "
        ),
        "{}",
        ended.stderr
    );
    let page = fs::read_to_string(scratch.path("avouch-out/x-explore-1/report.html")).unwrap();
    assert!(page.contains("There is no interval log") && page.contains("class=\"figures\""));
}

#[test]
fn an_exploration_is_shown_again_by_its_record() {
    let scratch = Scratch::new("pages-explored");
    let made = scratch.run(&["explore", "--runs", "5", "--seed", "3", "--out", "explored"]);
    let read = || fs::read_to_string(scratch.path("explored/report.html")).unwrap();
    let page = read();
    fs::remove_file(scratch.path("explored/report.html")).unwrap();
    let again = scratch.run(&["report", "explored"]);
    assert_eq!((again.code, &again.stdout), (made.code, &made.stdout), "{}", again.stderr);
    let again = scratch.run(&["report", "explored", "--html"]);
    assert_eq!((again.code, &*again.stdout), (made.code, "explored/report.html\n"), "{}", again.stderr);
    assert_eq!(read(), page, "the same record gives the same page");
    scratch.write("explored/sweep.json", "{\"avouch_sweep\": 1}");
    let damaged = scratch.run(&["report", "explored"]);
    assert_eq!(damaged.code, 2);
    assert!(
        damaged.stderr.starts_with("error: explored/sweep.json: it cannot be read: "),
        "{}",
        damaged.stderr
    );
}

#[test]
fn verdicts_that_are_compared_have_a_page_too() {
    let scratch = Scratch::new("pages-compared");
    scratch.write("x.toml", SHORT);
    for out in ["one", "other"] {
        scratch.run(&["run", "x.toml", "--world", "explore", "--out", out]);
    }
    let compared = scratch.run(&["compare", "one", "other", "--html", "page.html"]);
    assert!(compared.stdout.starts_with("AGREED: 1 runs on both sides"), "{}", compared.stdout);
    assert_eq!(compared.code, 0, "{}", compared.stderr);
    let page = fs::read_to_string(scratch.path("page.html")).unwrap();
    assert!(page.contains(">Agreed<") && !page.contains("id=\"contrary\""), "nothing is contrary");
    let refused = scratch.run(&["compare", "one", "other", "--html", "not/there.html"]);
    assert!(refused.code == 2 && refused.stderr.contains("cannot write"), "{}", refused.stderr);
}
