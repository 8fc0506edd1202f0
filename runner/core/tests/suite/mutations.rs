//! Twenty thousand small random edits of the cases: whatever comes out, nothing panics, every report has a place in its text, and
//! what passes the check is what the stage's own parser takes.

use sentinel_core::diag::{Diagnostics, Source, render};
use sentinel_core::workflow::{Node, Settings, Workflow, load_text};

use crate::cases::{files, load_case, parse};
use crate::fakes::{Project, canonical, registry};

const MUTATIONS: usize = 20_000;

/// Pieces that mean something to some part of the reader.
const PIECES: &[&str] = &[
    "\n",
    "  ",
    "\t",
    ": ",
    "- ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "---\n",
    "%YAML",
    "|\n",
    ">\n",
    "${{",
    "}}",
    "params.",
    "loop.state",
    "loop:",
    "kind:",
    "with:",
    "needs:",
    "null",
    "~",
    "no",
    "0x",
    "1e309",
    "-1",
    "é",
    "\u{2028}",
    "\u{feff}",
    "\0",
    "\r",
];

/// A small deterministic generator (xorshift), so that a failure names its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn position(&mut self, text: &str) -> usize {
        let at = self.below(text.len() + 1);
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    }
}

fn mutate(text: &mut String, others: &[String], random: &mut Random) {
    let (a, b) = (random.position(text), random.position(text));
    let (start, end) = (a.min(b), a.max(b).min(a.min(b) + 40));
    let end = (start..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(start);
    match random.below(8) {
        0 => text.replace_range(start..end, ""),
        1 => {
            let copy = text[start..end].to_owned();
            text.insert_str(a, &copy);
        }
        2 => text.replace_range(start..end, PIECES[random.below(PIECES.len())]),
        3 => text.insert_str(a, PIECES[random.below(PIECES.len())]),
        4 => {
            let line = random.below(text.lines().count());
            *text =
                text.split_inclusive('\n').enumerate().filter(|(at, _)| *at != line).map(|(_, line)| line).collect();
        }
        5 | 6 => {
            let digits: Vec<usize> =
                text.match_indices(|letter: char| letter.is_ascii_digit()).map(|(at, _)| at).collect();
            if let Some(at) = digits.get(random.below(digits.len())) {
                text.replace_range(
                    *at..at + 1,
                    ["0", "2", "-1", "1.5", "99999999999", "1e2", "x", "\"3\""][random.below(8)],
                );
            }
        }
        _ => {
            let other = &others[random.below(others.len())];
            let line = other.lines().nth(random.below(other.lines().count())).unwrap_or("");
            text.insert_str(a, line);
        }
    }
}

#[test]
fn mutated_cases_never_panic_and_every_report_has_a_place() {
    let project = Project::new();
    let cases: Vec<_> = files().iter().flat_map(|(_, text)| parse(text).1).collect();
    let good: Vec<String> =
        cases.iter().filter(|case| load_case(case, &project).is_ok()).map(|case| case.text.clone()).collect();
    let texts: Vec<String> = cases.into_iter().map(|case| case.text).collect();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 1..=MUTATIONS as u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // Half of the edits start from text without a mistake, so that some of what comes out is accepted.
        let from = if random.below(2) == 0 { &good } else { &texts };
        let mut text = from[random.below(from.len())].clone();
        for _ in 0..=random.below(3) {
            mutate(&mut text, &texts, &mut random);
        }
        let loaded = std::panic::catch_unwind(|| {
            load_text(Source::new("flow.yaml", text.clone()), &project.flows(), &registry(), &Settings::default())
        });
        match loaded {
            Err(_) => panic!("seed {seed} panics:\n{text}"),
            Ok(Ok(workflow)) => {
                accepted += 1;
                check_identities(&workflow, &text);
            }
            Ok(Err(found)) => {
                refused += 1;
                check_places(&found, seed, &text);
            }
        }
    }
    assert!(
        accepted > MUTATIONS / 50 && refused > MUTATIONS / 2,
        "{accepted} accepted, {refused} refused: the mutations say little"
    );
}

fn check_places(found: &Diagnostics, seed: u64, text: &str) {
    assert!(found.has_errors(), "seed {seed}: refused without an error:\n{text}");
    for diagnostic in &found.list {
        let labels = diagnostic.related.iter().chain([&diagnostic.primary]);
        for label in labels {
            let source = label.source.as_ref().unwrap_or(&diagnostic.source);
            assert!(
                label.span.start <= label.span.end && label.span.end <= source.text.len(),
                "seed {seed}: {diagnostic:?}\n{text}"
            );
        }
    }
    assert!(!render::human(found, true).is_empty());
}

/// What enters a key, defaults filled in again, is what the stage was given.
fn check_identities(workflow: &Workflow, text: &str) {
    for stage in workflow.nodes.iter().flat_map(Node::and_body).filter_map(Node::stage) {
        let (whole, short) = (canonical(stage.kind, &stage.with), canonical(stage.kind, &stage.identity));
        // A plugin's config is only known to the plugin; what its defaults are is not in the stage's own type.
        let without_config = |value: Result<serde_json::Value, String>| {
            value.map(|mut value| {
                value.as_object_mut().map(|object| object.remove("config"));
                value
            })
        };
        assert_eq!(without_config(short), without_config(whole), "{text}");
        for mark in &stage.marks {
            assert!(stage.identity.pointer(&mark.pointer).is_some_and(serde_json::Value::is_string), "{text}");
        }
    }
}

#[test]
fn what_enters_a_key_means_what_the_stage_was_given() {
    let project = Project::new();
    let cases: Vec<_> = files().iter().flat_map(|(_, text)| parse(text).1).collect();
    let good: Vec<_> = cases.iter().filter_map(|case| Some((case, load_case(case, &project).ok()?))).collect();
    assert!(good.len() >= 10);
    good.iter().for_each(|(case, workflow)| check_identities(workflow, &case.text));
}
