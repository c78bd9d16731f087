use super::*;

#[test]
fn targets_that_come_with_the_tool_are_read_and_written_alike() {
    for entry in TARGETS.iter().chain([&EXEC]) {
        let target = parse_target(entry.name, entry.text).unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(parse_target("x", &toml::to_string(&target).unwrap()), Ok(target.clone()));
    }
}

#[test]
fn our_own_server_claims_every_guarantee() {
    let entry = TARGETS.iter().find(|entry| entry.name == "reference").unwrap();
    let target = parse_target(entry.name, entry.text).unwrap();
    let mut claimed: Vec<&str> = target.claim.iter().map(|claim| claim.guarantee.0).collect();
    claimed.sort_unstable();
    let mut all: Vec<&str> = crate::guarantees::GUARANTEES.iter().map(|(id, _)| *id).collect();
    all.sort_unstable();
    assert_eq!(claimed, all);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let head = "about = \"x\"\nprotocol = \"y\"\n";
    for (text, message) in [
        ("[[claim]]\nguarantee = \"no-loss\"\nsource = \" \"", "a claim without a source"),
        ("[[claim]]\nguarantee = \"no-loss\"", "`source` is missing"),
        ("[[claim]]\nguarantee = \"no-lose\"\nsource = \"z\"", "`no-lose` is not a guarantee"),
        (
            "[[claim]]\nguarantee = \"intact\"\nsource = \"z\"\n[[claim]]\nguarantee = \"intact\"\nsource = \"z\"",
            "twice",
        ),
        (
            "[[claim]]\nguarantee = \"intact\"\nsource = \"z\"\n[[disclaimer]]\nguarantee = \"intact\"\nsource = \"z\"",
            "claimed and disclaimed",
        ),
        (
            "[[claim]]\nguarantee = \"intact\"\nsource = \"z\"\nunder = [\"flood\"]",
            "`flood` is not known here",
        ),
        ("[start]\ncommand = []", "no program is named"),
        ("[start]\ncommand = [\"x\"]", "nothing tells the server its port"),
        ("[start]\ncommand = [\"x\", \"{prot}\"]", "nothing stands for `{prot}`"),
        ("[start]\ncomand = [\"x\", \"{port}\"]", "did you mean `command`?"),
        ("[start]\ncommand = [\"x\", \"{port}\"]\nstop = \"kill\"", "`kill` is not known here"),
        ("[client]\ncommand = []", "no program is named"),
        ("[client]\ncommand = [\"x\", \"{port}\"]", "nothing stands for `{port}`"),
        ("[client]\ncommand = [\"x\"]\nframing = \"y\"", "unknown key `framing`"),
        ("start = \"builtin\"", "did you mean `built-in`?"),
        ("start = 3", "where a text or a table is wanted"),
        ("[[mode]]\nname = \"A b\"\nabout = \"x\"", "this is no name for a mode"),
        (
            "[[mode]]\nname = \"a\"\nabout = \"x\"\n[[mode]]\nname = \"a\"\nabout = \"x\"",
            "there are two modes `a`",
        ),
        ("[[mode]]\nname = \"a\"\nabout = \"x\"\nvalue = { a = \"b\" }", "did you mean `values`?"),
    ] {
        let refused = parse_target("x", &format!("{head}{text}")).unwrap_err().to_string();
        assert!(refused.contains(message), "{message}: {refused}");
    }
}

#[test]
fn placeholders_are_filled_and_other_braces_stay() {
    let named = [("port", "1883"), ("data", "/d"), ("more", "at {data}")];
    let named = named.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let places = FilledPlaces { named };
    let check = |text: &str, expected: Result<&str, &str>| {
        let filled = fill(text, &places).map_err(|unfilled| unfilled.name);
        assert_eq!(filled.as_deref().map_err(String::as_str), expected, "{text}");
    };
    check("listener {port} {{x {more}\n", Ok("listener 1883 {{x at /d\n"));
    check("jetstream { store_dir: \"{data}\" } {}", Ok("jetstream { store_dir: \"/d\" } {}"));
    check("{\"a\": {port}}", Ok("{\"a\": 1883}"));
    check("{prot}", Err("prot"));
    check("{", Ok("{"));
    assert_eq!(
        port_names(["{port} {port_admin}", "{data}"]).into_iter().collect::<Vec<_>>(),
        ["port", "port_admin"]
    );
}

#[test]
fn a_value_that_stands_for_itself_ends() {
    let places = FilledPlaces { named: [("a".to_owned(), "{a}".to_owned())].into() };
    assert_eq!(fill("{a}", &places), Err(Unfilled { name: "a".to_owned() }));
}

#[test]
fn claims_of_a_mode_come_before_those_of_all_and_hold_under_their_faults() {
    let text = r#"
about = "x"
protocol = "y"
[[claim]]
guarantee = "no-loss"
source = "z"
[[claim]]
guarantee = "intact"
source = "z"
[[mode]]
name = "a"
about = "x"
[[mode.claim]]
guarantee = "no-loss"
source = "mode"
under = ["disconnect"]
"#;
    let target = parse_target("x", text).unwrap();
    let mode = target.mode(Some("a")).unwrap();
    let claims = target.claims(&mode);
    let told: Vec<(&str, &str)> =
        claims.iter().map(|claim| (claim.guarantee.0, claim.source.as_str())).collect();
    assert_eq!(told, [("no-loss", "mode"), ("intact", "z")]);
    assert_eq!(target.mode(Some("b")), None);

    let scenario = |fault: &str| {
        let head = "about = \"x\"\n[workload]\nduration = \"5s\"\nrate = \"1/s\"\n";
        crate::parse_scenario("x", &format!("{head}{fault}")).unwrap().plan("x", 1).unwrap()
    };
    let kill = scenario("[[fault]]\nkill = { restart_after = \"1s\" }\nat = \"1s\"\n");
    let cut = scenario("[[fault]]\ncut = {}\nat = \"1s\"\n");
    assert!(claims[0].holds_in(&cut) && !claims[0].holds_in(&kill));
    assert!(claims[1].holds_in(&kill));
    assert_eq!(FaultModel::from_text_of(&kill), [FaultModel::Kill]);
}

impl FaultModel {
    fn from_text_of(plan: &Plan) -> Vec<Self> {
        plan.faults.iter().map(|planned| Self::of(&planned.fault)).collect()
    }
}

#[test]
fn the_example_of_the_documents_is_a_target() {
    let page = include_str!("../../../docs/targets.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let target = parse_target("docs/targets.md", example).unwrap_or_else(|refused| panic!("{refused}"));
    assert!(target.start.is_some() && target.mode.len() == 1);
}

#[test]
fn options_of_a_mode_come_before_those_of_the_client() {
    let text = r#"
about = "x"
protocol = "exec"
[client]
command = ["{here}/x"]
options = { framing = "y", history = true }
[[mode]]
name = "a"
about = "x"
options = { framing = "z" }
"#;
    let target = parse_target("x", text).unwrap();
    let options = target.options(&target.mode(None).unwrap());
    assert_eq!(options["framing"], Setting::Text("z".to_owned()));
    assert_eq!(options["history"], Setting::Switch(true));
}
