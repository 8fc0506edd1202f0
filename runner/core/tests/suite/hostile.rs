//! Inputs that hang, crash, exhaust or deceive YAML readers. Each must be refused (or read) within a second, with the code it
//! deserves, in little memory.

use std::time::{Duration, Instant};

use sentinel_core::diag::{Source, render};
use sentinel_core::workflow::{Settings, load, load_text};

use crate::fakes::{Project, registry};

const MIB: usize = 1 << 20;

/// What must come out: a code among the errors, or `ok`.
type Hostile = (&'static str, String, &'static str);

const GOOD: &str = "version: 1\nstages: {a: {kind: source, with: {count: 1}}}\n";

fn inputs() -> Vec<Hostile> {
    let mut inputs = nesting();
    inputs.extend(aliases());
    inputs.extend(sizes());
    inputs.extend(meanings());
    inputs
}

fn nesting() -> Vec<Hostile> {
    let blocks: String = (0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    vec![
        ("10,000 lists in each other", "[".repeat(10_000) + &"]".repeat(10_000), "E0102"),
        ("200 KB of open lists", "[".repeat(200_000), "E0102"),
        ("1 MiB of open lists", "[".repeat(MIB), "E0102"),
        ("200 KB of open mappings", "{".repeat(200_000), "E0107"),
        ("open mappings with keys", "{a: ".repeat(100_000), "E0102"),
        ("lists and mappings in turns", "[{a: ".repeat(50_000), "E0102"),
        ("3,000 block mappings in each other", blocks, "E0102"),
        ("20,000 block lists in each other", "- ".repeat(20_000), "E0102"),
        ("20,000 complex keys in each other", "? ".repeat(20_000), "E0102"),
        ("closing brackets", "]".repeat(100_000), "E0101"),
        ("an expression of parentheses", format!("{GOOD}name: \"${{{{ {} }}}}\"\n", "(".repeat(900)), "E0102"),
    ]
}

fn aliases() -> Vec<Hostile> {
    let laughs: String = (1..10)
        .map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")))
        .collect();
    let wide = format!("a: &a [{}]\nb: [{}]\n", vec!["x"; 2000].join(", "), vec!["*a"; 2000].join(", "));
    let merges: String =
        (1..60).map(|level| format!("m{level}: &m{level} {{<<: [*m{0}, *m{0}], k{level}: 1}}\n", level - 1)).collect();
    let anchors: String = (0..60).map(|level| format!("&n{level} [")).collect::<String>() + "x" + &"]".repeat(60);
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(60_000), vec!["*a"; 190].join(", "));
    vec![
        ("a billion laughs", format!("a0: &a0 [x, x]\n{laughs}"), "E0102"),
        ("2,000 aliases of 2,000 values", wide, "E0102"),
        ("190 aliases of a long text", long, "E0102"),
        ("merges of merges", format!("m0: &m0 {{k0: 1}}\n{merges}"), "E0102"),
        ("anchors in anchors", format!("a: {anchors}\n"), "E0201"),
        ("an anchor in itself", "a: &a [*a]\n".to_owned(), "E0106"),
        ("a merge of itself", "a: &a {<<: *a}\n".to_owned(), "E0106"),
        ("100,000 anchors", format!("a: [{}]\n", vec!["&x y"; 100_000].join(",")), "E0102"),
    ]
}

fn sizes() -> Vec<Hostile> {
    let keys: String = (0..20_000).map(|key| format!("key{key}: 1\n")).collect();
    let stages: String = (0..5000).map(|id| format!("  a{id}: {{kind: source, with: {{count: 1}}}}\n")).collect();
    let unknown: String = (0..10_000).map(|slot| format!("x{slot}: y{slot}, ")).collect();
    let many: String =
        (0..900).map(|id| format!("  abcdefghijklmnop-{id}: {{kind: source, with: {{count: 1}}}}\n")).collect();
    vec![
        ("more than 1 MiB", "#".repeat(MIB + 1), "E0102"),
        ("1 MiB of comment", "#".repeat(MIB), "E0105"),
        ("1 MiB of spaces", " ".repeat(MIB), "E0105"),
        ("1 MiB of line breaks", "\n".repeat(MIB), "E0105"),
        ("1 MiB of quotes", "\"".repeat(MIB), "E0101"),
        ("1 MiB of apostrophes", "'".repeat(MIB), "E0102"),
        ("1 MiB of one word", "x".repeat(MIB), "E0102"),
        ("a scalar of 70 KB", format!("{GOOD}name: {}\n", "x".repeat(70_000)), "E0102"),
        ("a key of 70 KB", format!("? {}\n: 1\n", "x".repeat(70_000)), "E0102"),
        ("60,000 values", format!("a: [{}]\n", vec!["1"; 60_000].join(",")), "E0102"),
        ("20,000 unknown keys", keys, "E0201"),
        ("20,000 times the same key", "a: 1\n".repeat(20_000), "E0103"),
        ("5,000 stages", format!("version: 1\nstages:\n{stages}"), "E0102"),
        (
            "10,000 references to nothing among 900 stages",
            format!("version: 1\nstages:\n{many}  z: {{kind: split, needs: {{{unknown}}}}}\n"),
            "E0501",
        ),
        ("1,000 documents", "--- 1\n".repeat(1000), "E0105"),
        ("escapes", format!("a: \"{}\"\n", "\\U0010ffff".repeat(10_000)), "E0201"),
    ]
}

fn meanings() -> Vec<Hostile> {
    vec![
        ("a NUL byte", "version: 1\0\n".to_owned(), "E0101"),
        ("a bell", "version: \u{7}\n".to_owned(), "E0101"),
        ("a byte order mark in the middle", "version: 1\n\u{feff}name: x\n".to_owned(), "E0101"),
        ("a python object", "version: !!python/object/apply:os.system [ls]\n".to_owned(), "E0104"),
        ("a tag directive", format!("%TAG ! tag:example.com,2000:\n---\n{GOOD}"), "E0105"),
        ("a number beyond 64 bits", GOOD.replace("count: 1", "count: 18446744073709551616"), "E0203"),
        ("a number beyond all bits", GOOD.replace("count: 1", &format!("count: {}", "9".repeat(5000))), "E0203"),
        ("a number beyond doubles", GOOD.replace("count: 1", "count: 1e400"), "E0203"),
        ("a number of countries", GOOD.replace("count: 1", "count: no"), "E0203"),
        ("nothing for a text", GOOD.replace("count: 1", "count: 1, note:"), "E0203"),
        ("an environment variable", GOOD.replace("count: 1", "count: 1, note: \"${{ env.HOME }}\""), "E0301"),
        ("line breaks of Windows", GOOD.replace('\n', "\r\n"), "ok"),
        ("line breaks of old", GOOD.replace('\n', "\r"), "ok"),
        ("a name that climbs", format!("{GOOD}name: ../../x\n"), "E0206"),
        ("text that reads backwards", GOOD.replace("count: 1", "count: 1, note: \u{202e}x"), "ok"),
        ("a path through the process", GOOD.replace("count: 1", "count: 1, file: /proc/self/root/etc/passwd"), "E0405"),
    ]
}

#[test]
fn hostile_inputs_are_refused_quickly_and_in_little_memory() {
    let project = Project::new();
    let inputs = inputs();
    assert!(inputs.len() >= 35);
    for (name, text, expected) in inputs {
        let started = Instant::now();
        let result = load_text(Source::new("flow.yaml", text), &project.flows(), &registry(), &Settings::default());
        let found = match &result {
            Ok(_) => vec!["ok"],
            Err(found) => found.list.iter().map(|diagnostic| diagnostic.code).collect(),
        };
        assert!(found.contains(&expected), "{name}: expected {expected}, found {found:?}");
        if let Err(found) = &result {
            let human = render::human(found, false);
            assert!(human.len() < MIB, "{name}: a report of {} bytes", human.len());
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{name} took {:?}", started.elapsed());
    }
    if let Some(peak) = peak_memory_kib() {
        assert!(peak < 400 << 10, "a peak of {peak} KiB");
    }
}

/// Returns the greatest resident size of this process so far, where the system tells.
fn peak_memory_kib() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn files_that_are_no_text_are_refused() {
    let project = Project::new();
    let file = project.root().join("bytes.yaml");
    let code = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        load(&file, &registry(), &Settings::default()).err().map(|found| found.list[0].code)
    };
    assert_eq!(code(b"version: \xff\n"), Some("E0110"));
    assert_eq!(code(b"\xff\xfev\0e\0"), Some("E0110"));
    assert_eq!(code(&vec![b' '; MIB + 1]), Some("E0102"));
    assert_eq!(code(GOOD.as_bytes()), None);
    let folder = load(&project.root(), &registry(), &Settings::default());
    assert_eq!(folder.err().map(|found| found.list[0].code), Some("E0110"));
    let nothing = load("nothing.yaml".as_ref(), &registry(), &Settings::default());
    assert_eq!(nothing.err().map(|found| found.list[0].code), Some("E0110"));
}
