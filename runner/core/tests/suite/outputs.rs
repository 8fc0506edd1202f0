//! What the reader's results look like: reports for people, machines and GitHub, drawings of graphs, schemas for editors.

use std::path::Path;

use sentinel_core::diag::{Source, render};
use sentinel_core::graph::draw;
use sentinel_core::schema;
use sentinel_core::workflow::params::Given;
use sentinel_core::workflow::{Settings, Workflow, load, load_text};
use serde_json::json;

use crate::fakes::{Project, registry};

const LOOP: &str = "\
version: 1
models: {e: {kind: engine, path: ../engines/small}}
stages:
  start: {kind: source, with: {count: 3}}
  grow:
    loop:
      over: start
      max_steps: 12
      stages:
        more: {kind: grow, needs: {texts: loop.state, words: words}}
        words: {kind: split, needs: {texts: loop.state}, with: {engine: e}}
      carry: more
      collect: {words: words, texts: loop.final}
  to-files: {kind: pack, needs: {words: grow.words}}
  last: {kind: split, if: false, needs: {texts: grow.texts}, with: {engine: e}}
";

const BROKEN: &str = "\
version: 1
stages:
  a: {kind: source, with: {count: 1, mode: shufled}}
  b: {kind: split, with: {}, needs: {texts: a}}
";

fn loaded(text: &str) -> Result<Workflow, sentinel_core::diag::Diagnostics> {
    load_text(Source::new("flow.yaml", text), &Project::new().flows(), &registry(), &Settings::default())
}

#[test]
fn a_report_for_people_underlines_the_source() {
    let found = loaded(BROKEN).err().unwrap();
    let expected = "\
error[E0204]: expected one of `in-order`, `shuffled`, found `shufled`
 --> flow.yaml:3:44
  |
3 |   a: {kind: source, with: {count: 1, mode: shufled}}
  |                                            ^^^^^^^
  |
  = help: did you mean `shuffled`?

error[E0202]: stage kind `split` needs `engine`
 --> flow.yaml:4:20
  |
4 |   b: {kind: split, with: {}, needs: {texts: a}}
  |             -----  ^^^^
  |             |
  |             chosen here

2 errors";
    assert_eq!(render::human(&found, false), expected);
    assert!(render::human(&found, true).contains("\u{1b}["));
}

#[test]
fn a_file_that_cannot_be_read_has_no_line_to_underline() {
    let settings = Settings { given: Given { folder: "/".into(), ..Given::default() }, ..Settings::default() };
    let found = load(Path::new("no/such.yaml"), &registry(), &settings).err().unwrap();
    let expected = "\
error[E0110]: cannot read `no/such.yaml`: No such file or directory (os error 2)
--> no/such.yaml

1 error";
    assert_eq!(render::human(&found, false), expected);
}

#[test]
fn a_report_for_machines_has_every_place() {
    let found = loaded(BROKEN).err().unwrap();
    let first = json!({
        "code": "E0204", "severity": "error", "message": "expected one of `in-order`, `shuffled`, found `shufled`",
        "place": { "file": "flow.yaml", "line": 3, "column": 44, "end_line": 3, "end_column": 51, "start": 62, "end": 69, "text": "" },
        "related": [], "help": "did you mean `shuffled`?",
    });
    assert_eq!(render::json(&found)[0], first);
    let annotation = "::error file=flow.yaml,line=3,col=44,title=E0204::expected one of `in-order`, `shuffled`, found `shufled`%0Ahelp: did you mean `shuffled`?";
    assert_eq!(render::github(&found).lines().next(), Some(annotation));
}

#[test]
fn a_graph_is_drawn_as_lines() {
    let expected = "\
start: source  → texts, bundle
grow: loop of at most 12 steps  (over ← start.texts)  → words, texts
  words: split  (texts ← loop.state)  → words
  more: grow  (texts ← loop.state, words ← words.words)  → texts
  carry more.texts
to-files: pack  (words ← grow.words)  → bundle
last skipped: its `if` is false
";
    assert_eq!(draw::text(&loaded(LOOP).ok().unwrap()), expected);
}

#[test]
fn a_graph_is_drawn_as_mermaid() {
    let expected = "\
flowchart TD
  n_start[\"start<br/><i>source</i>\"]
  subgraph n_grow[\"grow: loop of at most 12 steps\"]
    n_grow__loop([\"loop.state\"])
    n_grow__words[\"words<br/><i>split</i>\"]
    n_grow__more[\"more<br/><i>grow</i>\"]
  end
  n_to_files[\"to-files<br/><i>pack</i>\"]
  n_start -->|texts| n_grow__loop
  n_grow__loop -->|texts| n_grow__words
  n_grow__loop -->|texts| n_grow__more
  n_grow__words -->|words| n_grow__more
  n_grow__more -.->|carry| n_grow__loop
  n_grow__words -->|words| n_to_files
";
    assert_eq!(draw::mermaid(&loaded(LOOP).ok().unwrap()), expected);
}

#[test]
fn a_graph_is_drawn_as_dot() {
    let dot = draw::dot(&loaded(LOOP).ok().unwrap());
    assert!(dot.starts_with("digraph workflow {\n") && dot.ends_with("}\n"));
    assert!(dot.contains("  subgraph cluster_n_grow {\n    label=\"grow: loop of at most 12 steps\";\n"));
    assert!(dot.contains("  n_grow__more -> n_grow__loop [label=\"carry\", style=dashed, constraint=false];\n"));
    assert_eq!(dot.matches(" -> ").count(), 6);
}

#[test]
fn paths_that_are_not_there_are_found_on_request() {
    let project = Project::new();
    std::fs::write(project.root().join("data/words.txt"), "a\n").unwrap();
    let text = "\
version: 1
models: {e: {kind: engine, path: ../engines/small}, f: {kind: engine, path: ../data/words.txt}}
stages:
  a: {kind: source, with: {count: 3, file: ../data/words.txt}}
  b: {kind: source, with: {count: 3, file: ../data/none.txt}}
  c: {kind: source, with: {count: 3, file: ../data}}
  d: {kind: source, with: {cuont: 3, count: 3, file: ../data/none.txt}}
";
    let settings = Settings { needs_files: true, ..Settings::default() };
    let found = load_text(Source::new("flow.yaml", text), &project.flows(), &registry(), &settings).err().unwrap();
    let found: Vec<_> = found
        .list
        .iter()
        .map(|diagnostic| (diagnostic.code, diagnostic.source.line_column(diagnostic.primary.span.start)))
        .collect();
    let missing = [("E0408", (2, 77)), ("E0408", (5, 44)), ("E0408", (6, 44))];
    assert_eq!(found, missing.into_iter().chain([("E0201", (7, 28))]).collect::<Vec<_>>());
}

#[test]
fn the_editor_schema_knows_every_kind() {
    let schema = schema::workflow(&registry());
    let stage = &schema["$defs"]["stage"];
    assert_eq!(
        stage["properties"]["kind"]["enum"],
        json!(["grow", "mark", "pack", "pick", "shapes", "source", "split"])
    );
    let source = &schema["$defs"]["with-source"];
    assert_eq!(source["required"], json!(["count"]));
    assert_eq!(source["additionalProperties"], json!(false));
    assert_eq!(source["properties"]["note"]["description"], "A remark.");
    assert_eq!(
        schema["$defs"]["with-pack"]["properties"]["layout"]["anyOf"][0]["$ref"],
        "#/$defs/with-pack/$defs/Layout"
    );
    let mut references = Vec::new();
    collect_references(&schema, &mut references);
    for reference in references {
        assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    let names: Vec<String> = schema::files(&registry()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["LANGUAGE.md", "workflow.json"], "made-up kinds have no schema");
}

fn collect_references(schema: &serde_json::Value, references: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(object) => {
            references.extend(object.get("$ref").and_then(|target| target.as_str()).map(str::to_owned));
            object.values().for_each(|below| collect_references(below, references));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|below| collect_references(below, references)),
        _ => {}
    }
}
