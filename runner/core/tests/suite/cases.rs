//! The case format and its check.
//!
//! ```text
//! === a title
//! $ set count=3                 what the command line adds: set, root, params (a line of a parameter file), combination
//! version: 1                    the workflow, as text
//! => E0201 4:7 unknown key      every diagnostic: code, line:column (other sources before it: `--set:1:7`), part of the message
//! => help did you mean          part of the advice of the diagnostic above
//! => also 2:3                   a related place of the diagnostic above
//! => ok                         no errors; then facts may follow: order, with, identity, needs, offers, skipped, common, seed,
//!                                name, open
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sentinel_core::diag::{CODES, Diagnostic, Diagnostics, Source, render};
use sentinel_core::workflow::params::Given;
use sentinel_core::workflow::{Combination, Node, Settings, Workflow, load_text};

use crate::fakes::{Project, registry};

/// One case of a file.
pub(crate) struct Case {
    pub(crate) title: String,
    options: Vec<String>,
    pub(crate) text: String,
    expected: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/suite/language")
}

/// Returns every file of cases with its text, sorted.
pub(crate) fn files() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(
        paths.iter().all(|path| path.extension().is_some_and(|end| end == "cases")),
        "only `.cases` files belong in tests/suite/language"
    );
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// Returns the remark at the head of a file, and its cases.
pub(crate) fn parse(text: &str) -> (String, Vec<Case>) {
    let mut head = String::new();
    let mut cases: Vec<Case> = Vec::new();
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        match (cases.last_mut(), bare) {
            (_, _) if bare.starts_with("=== ") => {
                cases.push(Case {
                    title: bare[4..].to_owned(),
                    options: Vec::new(),
                    text: String::new(),
                    expected: Vec::new(),
                });
            }
            (None, _) => head.push_str(line),
            (Some(case), _) if bare.starts_with("=> ") => case.expected.push(bare[3..].to_owned()),
            (Some(case), _) if bare.starts_with("$ ") && case.text.is_empty() => {
                case.options.push(bare[2..].to_owned());
            }
            (Some(case), "") if !case.expected.is_empty() => {}
            (Some(case), _) => case.text.push_str(line),
        }
    }
    (head, cases)
}

/// Loads a case; the workflow is `flow.yaml` in the project's `flows`, the working directory is the project's root.
pub(crate) fn load_case(case: &Case, project: &Project) -> Result<Workflow, Diagnostics> {
    let mut settings = Settings { given: Given { folder: project.root(), ..Given::default() }, ..Settings::default() };
    let mut given = String::new();
    for option in &case.options {
        match option.split_once(' ').unwrap_or((option, "")) {
            ("set", value) => settings.given.set.push(value.to_owned()),
            ("root", path) => settings.roots.push(path.into()),
            ("combination", "given") => settings.combination = Combination::Given,
            ("combination", places) => {
                settings.combination = Combination::At(places.split(' ').map(|place| place.parse().unwrap()).collect());
            }
            ("params", line) => given += &format!("{line}\n"),
            (other, _) => panic!("unknown option `{other}`"),
        }
    }
    if !given.is_empty() {
        std::fs::write(project.root().join("given.yaml"), given).unwrap();
        settings.given.files.push("given.yaml".into());
    }
    load_text(Source::new("flow.yaml", case.text.clone()), &project.flows(), &registry(), &settings)
}

/// Returns what a case gives, one fact a line, with the whole messages.
fn facts(case: &Case, project: &Project) -> Vec<String> {
    let mut lines = Vec::new();
    match load_case(case, project) {
        Err(found) => found.list.iter().for_each(|diagnostic| lines.extend(diagnostic_facts(diagnostic))),
        Ok(workflow) => {
            workflow.warnings.iter().for_each(|diagnostic| lines.extend(diagnostic_facts(diagnostic)));
            lines.push("ok".to_owned());
            lines.extend(workflow_facts(&workflow));
        }
    }
    let root = project.root().parent().unwrap().to_string_lossy().into_owned();
    lines.into_iter().map(|line| line.replace(&root, "")).collect()
}

fn diagnostic_facts(diagnostic: &Diagnostic) -> Vec<String> {
    let place = |source: &Source, byte| {
        let (line, column) = source.line_column(byte);
        let path = source.path.to_string_lossy();
        if path == "flow.yaml" { format!("{line}:{column}") } else { format!("{path}:{line}:{column}") }
    };
    let mut lines = vec![format!(
        "{} {} {}",
        diagnostic.code,
        place(&diagnostic.source, diagnostic.primary.span.start),
        diagnostic.message
    )];
    lines.extend(diagnostic.help.as_ref().map(|help| format!("help {help}")));
    let also = |label: &sentinel_core::diag::Label| {
        format!("also {} {}", place(label.source.as_ref().unwrap_or(&diagnostic.source), label.span.start), label.text)
    };
    lines.extend(diagnostic.related.iter().map(also));
    lines
}

fn workflow_facts(workflow: &Workflow) -> Vec<String> {
    let ids: Vec<&str> = workflow.nodes.iter().map(|node| node.id.as_str()).collect();
    let mut lines =
        vec![format!("order {}", ids.join(" ")), format!("seed {}", workflow.seed), format!("name {}", workflow.name)];
    let open: Vec<String> = workflow.open_axes.iter().map(ToString::to_string).collect();
    lines.push(format!("open {}", open.join(" ")));
    for node in workflow.nodes.iter().flat_map(Node::and_body) {
        let id = &node.id;
        let needs: Vec<String> =
            node.needs.iter().map(|need| format!("{}={:?}:{}", need.slot, need.from, need.kind)).collect();
        let offers: Vec<String> = node.outputs.iter().map(|port| format!("{}:{}", port.name, port.kind)).collect();
        lines.push(format!("needs {id} {}", needs.join(" ")));
        lines.push(format!("offers {id} {}", offers.join(" ")));
        lines.push(format!(
            "common {id} {:?} retries {} timeout {:?} resources {:?} batch {:?} threads {:?}",
            node.common.on_error,
            node.common.retries,
            node.common.timeout,
            node.common.resources,
            node.common.exec.batch,
            node.common.exec.threads
        ));
        if let Some(stage) = node.stage() {
            lines.push(format!("with {id} {}", stage.with));
            lines.push(format!("identity {id} {}", stage.identity));
            lines.extend(stage.marks.iter().map(|mark| format!("mark {id} {} {:?}", mark.pointer, mark.what)));
        }
    }
    lines.extend(
        workflow.assets.iter().map(|(name, entry)| format!("asset {name} {} {}", entry.asset.kind, entry.identity)),
    );
    lines.extend(workflow.skipped.iter().map(|skipped| format!("skipped {} {}", skipped.id, skipped.because)));
    lines.push(format!("compare {}", workflow.report.compare.join(" ")));
    lines
}

/// Checks that the facts are what a case expects: all diagnostics in order, and every fact it names.
fn check(case: &Case, project: &Project) -> Result<(), String> {
    let facts = facts(case, project);
    let is_diagnostic = |line: &str| {
        line.len() > 5
            && matches!(line.as_bytes()[0], b'E' | b'W')
            && line.as_bytes()[1..5].iter().all(u8::is_ascii_digit)
            || line == "ok"
    };
    let (expected, found): (Vec<&String>, Vec<&String>) = (
        case.expected.iter().filter(|line| is_diagnostic(line)).collect(),
        facts.iter().filter(|line| is_diagnostic(line)).collect(),
    );
    let agree =
        expected.len() == found.len() && expected.iter().zip(&found).all(|(expected, found)| matches(expected, found));
    if !agree {
        return Err(format!("expected\n  {expected:#?}\nfound\n  {found:#?}"));
    }
    for expected in case.expected.iter().filter(|line| !is_diagnostic(line)) {
        if !facts.iter().any(|fact| matches(expected, fact)) {
            return Err(format!("expected `{expected}`, found\n  {facts:#?}"));
        }
    }
    Ok(())
}

/// Whether a fact is the expected one: the same first words, and the rest somewhere in it.
fn matches(expected: &str, found: &str) -> bool {
    let words = if expected.starts_with(['E', 'W']) || expected.starts_with("also") { 2 } else { 1 };
    let mut expected = expected.splitn(words + 1, ' ');
    let mut found = found.splitn(words + 1, ' ');
    (0..words).all(|_| expected.next() == found.next())
        && found.next().unwrap_or("").contains(expected.next().unwrap_or(""))
}

#[test]
fn every_case_reports_exactly_what_it_says() {
    let project = Project::new();
    let (mut wrong, mut count) = (String::new(), 0);
    for (path, text) in files() {
        let (head, mut cases) = parse(&text);
        count += cases.len();
        for case in &cases {
            if let Err(why) = check(case, &project) {
                let _ =
                    writeln!(wrong, "--- {} — {}\n{why}\n", path.file_name().unwrap().to_string_lossy(), case.title);
            }
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, updated(&head, &mut cases, &project)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 60, "only {count} cases");
}

/// Returns the text of a file whose failing cases expect what they give.
fn updated(head: &str, cases: &mut [Case], project: &Project) -> String {
    let mut text = head.to_owned();
    for case in cases {
        if check(case, project).is_err() {
            let facts = facts(case, project);
            case.expected = facts.into_iter().take_while(|line| !line.starts_with("order ")).collect();
        }
        let _ = writeln!(text, "=== {}", case.title);
        case.options.iter().for_each(|option| text += &format!("$ {option}\n"));
        text.push_str(&case.text);
        case.expected.iter().for_each(|line| text += &format!("=> {line}\n"));
        text.push('\n');
    }
    text
}

#[test]
fn every_code_has_a_case() {
    // Found outside of the text of a workflow: in files that cannot be read, and in paths that are looked at later.
    let elsewhere = ["E0110", "E0408"];
    let tested: BTreeSet<String> = files()
        .iter()
        .flat_map(|(_, text)| parse(text).1)
        .flat_map(|case| case.expected)
        .filter_map(|line| Some(line.get(..5)?.to_owned()))
        .collect();
    let missing: Vec<&str> = CODES
        .iter()
        .map(|code| code.code)
        .filter(|code| !tested.contains(*code) && !elsewhere.contains(code))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn codes_are_sorted_and_explained() {
    assert!(CODES.is_sorted_by_key(|code| code.code));
    assert!(CODES.windows(2).all(|pair| pair[0].code != pair[1].code));
    for code in CODES {
        assert!(code.explanation.len() > 40 && code.explanation.ends_with('.'), "{}", code.code);
        assert!(!code.title.ends_with('.') && !code.title.is_empty(), "{}", code.code);
    }
}

#[test]
fn every_report_can_be_rendered() {
    let project = Project::new();
    for (_, text) in files() {
        for case in parse(&text).1 {
            if let Err(found) = load_case(&case, &project) {
                let human = render::human(&found, false);
                assert!(found.list.iter().all(|diagnostic| human.contains(diagnostic.code)), "{}", case.title);
                assert_eq!(render::json(&found).as_array().unwrap().len(), found.list.len());
                assert_eq!(render::github(&found).lines().count(), found.list.len());
            }
        }
    }
}
