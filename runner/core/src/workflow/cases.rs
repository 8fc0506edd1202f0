//! `tests:` — given records and what a stage must make of them. Rows are checked against the schemas of their kinds and say what
//! matters: what a given row leaves out says nothing (an empty text, an empty list, no, 0), in an expected row it may be anything.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::check::neutral::filled;
use super::check::{Checker, Owner};
use super::fields::{Fields, Keys, mapping, word};
use super::yaml::{Node as Tree, Place, Spanned, shortened};
use super::{Node, Registry, find};
use crate::artifact::Form;
use crate::diag::{Span, advice};
use crate::stage::{Slot, Stage};

/// The keys of a test.
pub(crate) const CASE_KEYS: &[&str] = &["name", "stage", "given", "expect"];
/// The record to which rows belong that are given without one.
const RECORD: &str = "record";
/// What a count is written with.
const COUNT: &str = "count";

/// A stage, what it is given, and what it must make of that.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is tested, in words.
    pub name: String,
    /// Where the test begins in the file.
    pub span: Span,
    /// The stage; `loop/stage` in a loop's body.
    pub stage: String,
    /// Input slot → records, each with its rows.
    pub given: BTreeMap<String, Vec<Record>>,
    /// Output → what it must hold.
    pub expected: BTreeMap<String, Expected>,
}

/// A record: its id, and its rows.
pub type Record = (String, Vec<Value>);

/// What an output must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// So many rows, or files.
    Count(usize),
    /// These rows of all records, in order. Fields that are not named may be anything.
    Rows(Vec<Value>),
    /// These files, each with this text, or JSON, of which fields that are not named may be anything.
    Files(BTreeMap<String, Value>),
}

/// What reading tests needs.
pub(super) struct CaseReader<'r, 'a> {
    pub(super) registry: &'r Registry<'r>,
    pub(super) checker: Checker<'a>,
    /// The nodes that are right, and will run.
    pub(super) nodes: &'r [Node],
    /// The ids of all stages, right or wrong, those of loop bodies as `loop/stage`.
    pub(super) ids: &'r [String],
}

impl CaseReader<'_, '_> {
    /// Reads the list of tests.
    pub(super) fn read(&mut self, tree: &Spanned<Tree>) -> Vec<Case> {
        match &tree.value {
            Tree::Seq(items) => items.iter().filter_map(|item| self.case(item)).collect(),
            Tree::Poison => Vec::new(),
            _ => {
                self.error("E0203", tree.at, format!("expected a list of tests, found {}", tree.found()));
                Vec::new()
            }
        }
    }

    fn case(&mut self, tree: &Spanned<Tree>) -> Option<Case> {
        let keys = Keys { known: CASE_KEYS, not_yet: &[] };
        let fields = Fields::of(tree, "a test", &keys, self.checker.sink)?;
        let at = fields.key_place("name").unwrap_or(fields.start());
        let name = fields.require("name", self.checker.sink);
        let name = self.checker.small::<String>(&json!({ "type": "string", "minLength": 1 }), name, at, "`name`");
        let stage = fields.require("stage", self.checker.sink);
        let (given, expect) = (fields.require("given", self.checker.sink), fields.require("expect", self.checker.sink));
        let stage = word(stage?, "a stage", self.checker.sink)?;
        if !self.ids.iter().any(|id| id == stage.value) {
            let help = advice(stage.value, "there are", self.ids.iter().map(String::as_str));
            let message = format!("there is no stage `{}`", shortened(stage.value));
            let diagnostic = self.checker.sink.error("E0501", stage.at, message).help(help);
            self.checker.sink.push(diagnostic);
            return None;
        }
        // What is wrong itself has been reported, and what is skipped is not tested.
        let node = find(self.nodes, stage.value)?;
        let native = node.stage().map(|native| native.stage.as_ref());
        let Some(native) = native.filter(|native| !native.uses_device()) else {
            let what = if node.stage().is_some() { "computes on the device" } else { "is a loop" };
            let message = format!("`{}` {what}, and cannot be tested by itself", stage.value);
            self.error("E0512", stage.at, message);
            return None;
        };
        let given = given.and_then(|tree| self.given(tree, node, native));
        let expected = expect.and_then(|tree| self.expected(tree, node, native));
        Some(Case {
            name: name?,
            span: tree.at.span,
            stage: stage.value.to_owned(),
            given: given?,
            expected: expected?,
        })
    }

    fn given(&mut self, tree: &Spanned<Tree>, node: &Node, stage: &dyn Stage) -> Option<BTreeMap<String, Vec<Record>>> {
        let entries = mapping(tree, "`given`", self.checker.sink)?;
        let slots = stage.inputs();
        let (mut given, mut is_right) = (BTreeMap::new(), true);
        for (name, tree) in entries {
            let Some(slot) = self.named(name, &slots, "input", "E0503") else { continue };
            if slot.form == Form::Files {
                self.error("E0512", name.at, format!("`{}` takes files, which a test cannot give", slot.name));
                continue;
            }
            let kind = node.needs.iter().find(|need| need.slot == slot.name).map(|need| need.kind);
            let schema = self.schema(kind);
            let records = match &tree.value {
                Tree::Map(records) => {
                    let given = |(id, rows): &(Spanned<String>, Spanned<Tree>)| self.record(&id.value, rows, &schema);
                    records.iter().map(given).collect::<Option<Vec<_>>>()
                }
                _ => self.record(RECORD, tree, &schema).map(|record| vec![record]),
            };
            is_right &= records.is_some();
            given.extend(records.map(|records| (name.value.clone(), records)));
        }
        for slot in
            slots.iter().filter(|slot| !slot.optional && !entries.iter().any(|(name, _)| name.value == slot.name))
        {
            let shows = slot.view.is_none_or(|view| !view.is_empty());
            if shows {
                self.error("E0504", tree.at, format!("the test gives nothing for `{}`", slot.name));
            }
        }
        is_right.then_some(given)
    }

    /// Reads the rows of a record. A row that names no record is this one's.
    fn record(&mut self, id: &str, tree: &Spanned<Tree>, schema: &Value) -> Option<Record> {
        let mut rows = self.rows(tree, &without_required(schema.clone()))?;
        for row in &mut rows {
            if let (Value::Object(fields), true) = (&mut *row, schema.pointer("/properties/id").is_some()) {
                fields.entry("id").or_insert_with(|| id.into());
            }
            *row = filled(schema, row.take());
        }
        Some((id.to_owned(), rows))
    }

    fn expected(&mut self, tree: &Spanned<Tree>, node: &Node, stage: &dyn Stage) -> Option<BTreeMap<String, Expected>> {
        let entries = mapping(tree, "`expect`", self.checker.sink)?;
        let slots = stage.outputs();
        let (mut expected, mut is_right) = (BTreeMap::new(), true);
        for (name, tree) in entries {
            let Some(slot) = self.named(name, &slots, "output", "E0502") else { continue };
            let schema = without_required(self.schema(node.output(slot.name).map(|port| port.kind)));
            let is_count =
                |entries: &[(Spanned<String>, Spanned<Tree>)]| matches!(entries, [(key, _)] if key.value == COUNT);
            let holds = match &tree.value {
                Tree::Map(entries) if is_count(entries) => {
                    let count = json!({ "type": "integer", "minimum": 0 });
                    let (key, value) = &entries[0];
                    self.checker.small(&count, Some(value), key.at, "`count`").map(Expected::Count)
                }
                Tree::Map(files) if slot.form == Form::Files => {
                    let file = |(name, content): &(Spanned<String>, Spanned<Tree>)| {
                        Some((name.value.clone(), self.row(content, &Value::Bool(true))?))
                    };
                    files.iter().map(file).collect::<Option<_>>().map(Expected::Files)
                }
                _ if slot.form == Form::Files => {
                    let message = format!("`{}` is files: expected a mapping of names, or `count`", slot.name);
                    self.error("E0203", tree.at, message);
                    None
                }
                _ => self.rows(tree, &schema).map(Expected::Rows),
            };
            is_right &= holds.is_some();
            expected.extend(holds.map(|holds| (name.value.clone(), holds)));
        }
        if entries.is_empty() {
            self.error("E0205", tree.at, "a test that expects nothing cannot fail".to_owned());
        }
        is_right.then_some(expected)
    }

    /// Finds a slot by name; reports a name no slot has.
    fn named<'s>(
        &mut self,
        name: &Spanned<String>,
        slots: &'s [Slot],
        what: &str,
        code: &'static str,
    ) -> Option<&'s Slot> {
        let found = slots.iter().find(|slot| slot.name == name.value);
        if found.is_none() {
            let help = advice(&name.value, "there are", slots.iter().map(|slot| slot.name));
            let message = format!("the stage has no {what} `{}`", shortened(&name.value));
            let diagnostic = self.checker.sink.error(code, name.at, message).help(help);
            self.checker.sink.push(diagnostic);
        }
        found
    }

    fn rows(&mut self, tree: &Spanned<Tree>, schema: &Value) -> Option<Vec<Value>> {
        match &tree.value {
            Tree::Seq(items) => items.iter().map(|item| self.row(item, schema)).collect(),
            Tree::Poison => None,
            _ => {
                self.error("E0203", tree.at, format!("expected a list of records, found {}", tree.found()));
                None
            }
        }
    }

    fn row(&mut self, tree: &Spanned<Tree>, schema: &Value) -> Option<Value> {
        let owner = Owner { text: "a record".to_owned(), chosen: None };
        self.checker.check(schema, Some(tree), tree.at, &owner).0.ok().map(|checked| checked.value)
    }

    /// Returns the schema of a row of a kind.
    fn schema(&self, kind: Option<&str>) -> Value {
        let schema = kind.and_then(|kind| self.registry.kind(kind)?.schema);
        schema.map_or(Value::Bool(true), |schema| schema().to_value())
    }

    fn error(&mut self, code: &'static str, at: Place, message: String) {
        let diagnostic = self.checker.sink.error(code, at, message);
        self.checker.sink.push(diagnostic);
    }
}

fn without_required(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let is_list = |key: &str, value: &Value| key == "required" && value.is_array();
            let fields = fields.into_iter().filter(|(key, value)| !is_list(key, value));
            Value::Object(fields.map(|(key, value)| (key, without_required(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_required).collect()),
        other => other,
    }
}
