//! The report of small runs: what people read is pinned by snapshots (rewrite them by `INSTA_UPDATE=always`), the page is
//! held to be well formed and to let nothing from outside through.

mod markup;
mod run;

use run::{HOSTILE, Run, Script, events, judged};
use tribunal::report;
use tribunal_checkers::{Validity, Verdict};
use tribunal_history::{EventKind, Value};

/// The sections of the page, in their order.
const TITLES: [&str; 11] = [
    "Verdict",
    "Witness",
    "Latency",
    "Throughput",
    "Load by node",
    "Faults",
    "Fairness",
    "Errors",
    "Statistics",
    "What this run cannot show",
    "Plan, environment, and how to repeat it",
];

fn written(run: &Run) -> String {
    report::write(&run.folder, &run.judged).expect("the report is written");
    run.read("report.html")
}

#[test]
fn the_terminal_tells_the_verdict_first() {
    let run = Run::convicted();
    written(&run);
    let text = report::terminal(&run.folder, &run.judged);
    let text = text.replace(&run.folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(text);
}

#[test]
fn the_summary_is_short_markdown() {
    let run = Run::convicted();
    written(&run);
    insta::assert_snapshot!(run.read("summary.md"));
}

#[test]
fn the_verdict_for_machines_keeps_its_form() {
    let run = Run::convicted();
    written(&run);
    insta::assert_snapshot!(run.read("verdict.json"));
}

#[test]
fn junit_shows_unknown_as_an_error() {
    let run = Run::convicted();
    written(&run);
    insta::assert_snapshot!(run.read("junit.xml"));
}

#[test]
fn the_page_is_well_formed_and_has_every_section() {
    let page = written(&Run::convicted());
    markup::check(&page);
    let places: Vec<usize> = TITLES
        .iter()
        .map(|title| page.find(&format!("<h2>{title}</h2>")).expect("a section of this title"))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(page.matches("<h2>").count(), TITLES.len());
    for told in [
        ">INVALID<",
        "stale-read",
        "n2 (pid 17) is gone",
        "502 ms",
        "never returned",
        "#0 kill",
        "leader",
    ] {
        assert!(page.contains(told), "{told}");
    }
}

#[test]
fn the_page_loads_nothing() {
    let page = written(&Run::convicted());
    let svg = "http://www.w3.org/2000/svg";
    let rest = page.replace(svg, "");
    for loading in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!rest.contains(loading), "{loading}");
    }
}

#[test]
fn nothing_from_outside_gets_through() {
    let mut events = events(HOSTILE);
    for event in &mut events {
        event.error = event.error.as_ref().map(|_| HOSTILE.into());
    }
    let mut judged = judged(&events);
    judged.plan.system = HOSTILE.into();
    judged.plan.nemesis = vec![HOSTILE.into()];
    judged.environment.cpu = HOSTILE.into();
    judged.windows.iter_mut().for_each(|window| {
        for text in [&mut window.fault, &mut window.spec, &mut window.evidence, &mut window.why] {
            HOSTILE.clone_into(text);
        }
    });
    judged.properties[3].unknown = Some(HOSTILE.into());
    let run = Run::of(&events, judged);
    let page = written(&run);
    markup::check(&page);
    assert_eq!(page.matches("<script").count(), 1, "only our own");
    assert_eq!(page.matches("</script").count(), 1, "only our own");
    assert!(page.contains("&lt;script&gt;alert(1)"));
    let summary = run.read("summary.md");
    // Blocks of code are inert.
    let mut prose = summary.lines().filter(|line| !line.starts_with("    "));
    assert!(prose.all(|line| !line.contains("<script")), "{summary}");
    assert!(!run.read("junit.xml").contains("<script"));
    let terminal = report::terminal(&run.folder, &run.judged);
    assert!(!terminal.contains('\u{1b}') && terminal.contains("\\u{1b}"), "{terminal}");
}

#[test]
fn a_history_without_operations_is_no_trouble_and_no_pass() {
    let mut judged = judged(&events("x"));
    judged.validity = Validity::Unknown;
    judged.properties = vec![Verdict::valid("exits", true)];
    judged.coverage = vec![Verdict::unknown("statistics", "no operation was invoked")];
    judged.figures.clear();
    judged.windows.clear();
    judged.history_cut = true;
    let run = Run::of(&[], judged);
    let page = written(&run);
    markup::check(&page);
    assert!(page.contains(">UNKNOWN<"));
    let terminal = report::terminal(&run.folder, &run.judged);
    assert!(
        terminal.starts_with("UNKNOWN: this run decides nothing, and is no pass: "),
        "{terminal}"
    );
    assert!(
        terminal.contains("no operation was invoked") && terminal.contains("middle of a line"),
        "{terminal}"
    );
}

#[test]
fn a_valid_run_says_so_and_what_it_cannot_show() {
    let mut judged = judged(&events("x"));
    judged.validity = Validity::Valid;
    judged.properties =
        vec![Verdict::valid("linearizable", true), Verdict::valid("available", false)];
    let run = Run::of(&events("x"), judged);
    let page = written(&run);
    assert!(page.contains(">VALID<") && page.contains("There is no anomaly to show."));
    assert!(
        page.contains("power loss")
            && page.contains("The checks of these properties are not complete")
    );
    let terminal = report::terminal(&run.folder, &run.judged);
    assert!(
        terminal.starts_with("VALID: every property held: linearizable, available."),
        "{terminal}"
    );
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (first, second) = (Run::convicted(), Run::convicted());
    written(&first);
    written(&second);
    for name in ["report.html", "summary.md", "verdict.json", "junit.xml", "latency.hlog"] {
        assert_eq!(first.read(name), second.read(name), "{name}");
    }
    assert!(first.read("latency.hlog").contains("Tag=f=read"));
}

#[test]
fn a_page_of_many_operations_stays_small_and_says_what_it_samples() {
    let mut script = Script::default();
    for nth in 0..20_000 {
        let value = Value::keyed("x".into(), Value::Int(nth));
        let at_ms = nth as u64;
        script.event(at_ms, 0, EventKind::Invoke, "write", value.clone());
        script.event(at_ms + 1, 0, EventKind::Ok, "write", value);
    }
    let run = Run::of(&script.0, judged(&events("x")));
    let page = written(&run);
    markup::check(&page);
    assert!(page.contains("a uniform sample of 4,000 of n = 20,000 successes"));
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn what_cannot_be_read_is_named() {
    let run = Run::convicted();
    run.folder.write("metrics.jsonl", b"{}\n").expect("written");
    let error = report::write(&run.folder, &run.judged).expect_err("no sample");
    assert!(error.message.contains("metrics.jsonl, line 1"), "{}", error.message);
}

#[test]
fn a_sequence_diagram_is_shown_where_there_is_one() {
    let shown = "<h2>Sequence</h2>";
    let run = Run::convicted();
    assert!(!written(&run).contains(shown), "no section without a diagram");
    // What the simulator draws of a lost write.
    let svg = include_str!("sequence.svg");
    run.folder.write("sequence.svg", svg.as_bytes()).expect("written");
    let page = written(&run);
    markup::check(&page);
    assert!(page.contains(shown) && page.contains(svg.trim()));
    let hostile = svg.replacen("<rect ", "<rect onclick=\"alert(1)\" ", 1);
    run.folder.write("sequence.svg", hostile.as_bytes()).expect("written");
    let page = written(&run);
    markup::check(&page);
    assert!(page.contains(shown) && !page.contains("onclick"));
}
