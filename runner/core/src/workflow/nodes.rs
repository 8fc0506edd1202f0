//! `stages:` as drafts: every stage parsed on its own, references still names. [`crate::graph`] ties them together.

use serde_json::json;

use super::check::{Checker, Owner, place_of};
use super::common::{self, COMMON_KEYS};
use super::fields::{Fields, Keys, check_id, listed, mapping, word};
use super::registry::Registry;
use super::yaml::{Node, Place, Spanned, shortened};
use super::{Common, StageNode};
use crate::diag::did_you_mean;
use crate::stage::Assets;

/// The keys of a stage.
pub(crate) const STAGE_KEYS: &[&str] = &[
    "kind",
    "loop",
    "needs",
    "with",
    "if",
    COMMON_KEYS[0],
    COMMON_KEYS[1],
    COMMON_KEYS[2],
    COMMON_KEYS[3],
    COMMON_KEYS[4],
];
/// The keys of a loop.
pub(crate) const LOOP_KEYS: &[&str] = &["over", "max_steps", "stages", "carry", "collect"];
/// Steps a loop may have at most.
pub(crate) const LOOP_STEPS_MAX: u32 = 10_000;
/// Stages a workflow may have at most, bodies included.
pub(crate) const STAGES_MAX: usize = 1_000;

/// A stage or loop before its references are followed.
pub(crate) struct Draft {
    pub(crate) id: Spanned<String>,
    /// `None`: its `if` is false.
    pub(crate) runs: bool,
    pub(crate) common: Common,
    pub(crate) work: DraftWork,
}

/// What a draft does.
pub(crate) enum DraftWork {
    Stage {
        /// `None`: something about it is wrong and has been reported; its ports are unknown.
        stage: Option<StageNode>,
        /// Slot → what it names.
        needs: Vec<Named>,
    },
    Loop(DraftLoop),
    /// Neither; reported.
    Broken,
}

/// A loop before its references are followed. `None` stands for what is missing or wrong, and has been reported.
pub(crate) struct DraftLoop {
    pub(crate) over: Option<Reference>,
    pub(crate) max_steps: u32,
    pub(crate) body: Vec<Draft>,
    pub(crate) carry: Option<Reference>,
    pub(crate) collect: Vec<Named>,
}

/// A slot or output and the reference given for it; `None` if that was wrong and has been reported.
pub(crate) type Named = (Spanned<String>, Option<Reference>);

/// `stage`, `stage.output`, `loop.state` or `loop.final`.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) node: String,
    pub(crate) output: Option<String>,
    pub(crate) at: Place,
}

/// What reading stages needs besides the file.
pub(super) struct StageReader<'r, 'c> {
    pub(super) registry: &'r Registry<'r>,
    pub(super) checker: Checker<'c>,
    pub(super) usable: Assets,
    pub(super) defaults: Common,
    /// Stages read so far.
    pub(super) count: usize,
}

impl StageReader<'_, '_> {
    /// Reads a mapping of stages.
    pub(super) fn stages(&mut self, tree: &Spanned<Node>, in_loop: bool) -> Vec<Draft> {
        let owner = if in_loop { "the loop's `stages`" } else { "`stages`" };
        let entries = mapping(tree, owner, self.checker.sink).unwrap_or_default();
        let mut drafts = Vec::new();
        for (id, tree) in entries {
            self.count += 1;
            if self.count > STAGES_MAX {
                self.error("E0102", id.at, format!("more than {STAGES_MAX} stages"));
                break;
            }
            check_id(id, "a stage", false, self.checker.sink);
            drafts.push(self.stage(id, tree, in_loop));
        }
        drafts
    }

    fn stage(&mut self, id: &Spanned<String>, tree: &Spanned<Node>, in_loop: bool) -> Draft {
        let mut draft = Draft { id: id.clone(), runs: true, common: self.defaults.clone(), work: DraftWork::Broken };
        let owner = format!("stage `{}`", id.value);
        let keys = Keys { known: STAGE_KEYS, not_yet: &["matrix", "tests", "secret"] };
        let Some(fields) = Fields::of(tree, &owner, &keys, self.checker.sink) else { return draft };
        draft.runs = self.condition(&fields);
        draft.common = common::read(&fields, &self.defaults, &mut self.checker);
        draft.work = match (fields.key_place("kind"), fields.key_place("loop")) {
            (Some(_), None) => self.native(&fields, &owner),
            (None, Some(at)) if in_loop => {
                self.error("E0509", at, "a loop cannot stand in a loop".to_owned());
                DraftWork::Broken
            }
            (None, Some(_)) => self.looped(&fields, &owner),
            (Some(_), Some(at)) => {
                self.error("E0210", at, format!("{owner} has both `kind` and `loop`"));
                DraftWork::Broken
            }
            (None, None) => {
                let diagnostic =
                    self.checker.sink.error("E0210", id.at, format!("{owner} has neither `kind` nor `loop`"));
                self.checker.sink.push(diagnostic);
                DraftWork::Broken
            }
        };
        draft
    }

    fn condition(&mut self, fields: &Fields<'_>) -> bool {
        let at = fields.key_place("if").unwrap_or(fields.start());
        self.checker.small(&json!({ "type": "boolean" }), fields.get("if"), at, "`if`").unwrap_or(true)
    }

    fn native(&mut self, fields: &Fields<'_>, owner: &str) -> DraftWork {
        let needs = fields.get("needs").map(|tree| self.references(tree, "`needs`")).unwrap_or_default();
        let kind = fields.require("kind", self.checker.sink);
        let stage = kind
            .and_then(|kind| word(kind, "a stage kind", self.checker.sink))
            .and_then(|kind| self.parsed(fields, &kind, owner));
        DraftWork::Stage { stage, needs }
    }

    fn parsed(&mut self, fields: &Fields<'_>, word: &Spanned<&str>, owner: &str) -> Option<StageNode> {
        let Some(kind) = self.registry.stage(word.value) else {
            let names = || self.registry.stages.iter().map(|kind| kind.name());
            let help = did_you_mean(word.value, names()).unwrap_or_else(|| format!("there are {}", listed(names())));
            let message = format!("there is no stage kind `{}`", shortened(word.value));
            let diagnostic = self.checker.sink.error("E0401", word.at, message).help(help);
            self.checker.sink.push(diagnostic);
            return None;
        };
        let header = fields.key_place("with").unwrap_or(word.at);
        let chosen = Owner { text: format!("stage kind `{}`", kind.name()), chosen: Some(word.at) };
        let schema = serde_json::Value::from(kind.schema());
        let (checked, places) = self.checker.check(&schema, fields.get("with"), header, &chosen);
        let checked = checked?;
        match kind.parse(checked.value.clone(), &self.usable) {
            Ok(stage) => Some(StageNode {
                kind: kind.name(),
                stage,
                schema,
                with: checked.value,
                identity: checked.identity,
                marks: checked.marks,
            }),
            Err(errors) => {
                for error in errors {
                    let at = place_of(&places, &error.pointer).filter(|_| !error.pointer.is_empty()).unwrap_or(header);
                    let diagnostic = self
                        .checker
                        .sink
                        .error("E0209", at, error.message)
                        .label(format!("in {owner}"))
                        .maybe_help(error.hint);
                    self.checker.sink.push(diagnostic);
                }
                None
            }
        }
    }

    fn looped(&mut self, fields: &Fields<'_>, owner: &str) -> DraftWork {
        for key in ["needs", "with"] {
            if let Some(at) = fields.key_place(key) {
                let message = format!("unknown key `{key}` in {owner}");
                let help = if key == "needs" {
                    "a loop needs what `over` and its stages name"
                } else {
                    "a loop's settings stand below `loop`"
                };
                let diagnostic = self.checker.sink.error("E0201", at, message).help(help);
                self.checker.sink.push(diagnostic);
            }
        }
        let Some(tree) = fields.require("loop", self.checker.sink) else { return DraftWork::Broken };
        let owner = format!("the loop of {owner}");
        let Some(inner) = Fields::of(tree, &owner, &Keys { known: LOOP_KEYS, not_yet: &[] }, self.checker.sink) else {
            return DraftWork::Broken;
        };
        let steps = json!({ "type": "integer", "minimum": 1, "maximum": LOOP_STEPS_MAX });
        let at = inner.key_place("max_steps").unwrap_or(inner.start());
        let max_steps = inner.require("max_steps", self.checker.sink);
        let max_steps = self.checker.small(&steps, max_steps, at, "`max_steps`").unwrap_or(1);
        let over = inner.require("over", self.checker.sink).and_then(|tree| self.reference(tree));
        let carry = inner.require("carry", self.checker.sink).and_then(|tree| self.reference(tree));
        let collect = inner
            .require("collect", self.checker.sink)
            .map(|tree| self.references(tree, "`collect`"))
            .unwrap_or_default();
        let body = inner.require("stages", self.checker.sink).map(|tree| self.stages(tree, true)).unwrap_or_default();
        DraftWork::Loop(DraftLoop { over, max_steps, body, carry, collect })
    }

    fn references(&mut self, tree: &Spanned<Node>, owner: &str) -> Vec<Named> {
        let entries = mapping(tree, owner, self.checker.sink).unwrap_or_default();
        entries.iter().map(|(name, value)| (name.clone(), self.reference(value))).collect()
    }

    fn reference(&mut self, tree: &Spanned<Node>) -> Option<Reference> {
        let text = word(tree, "a stage, or `stage.output`", self.checker.sink)?;
        let (node, output) = match text.value.split_once('.') {
            Some((node, output)) => (node, Some(output)),
            None => (text.value, None),
        };
        let plain = |part: &str| {
            !part.is_empty() && part.chars().all(|letter| letter.is_alphanumeric() || letter == '-' || letter == '_')
        };
        if !plain(node) || !output.is_none_or(plain) {
            self.error("E0501", tree.at, format!("expected a stage, or `stage.output`, found {}", tree.found()));
            return None;
        }
        Some(Reference { node: node.to_owned(), output: output.map(str::to_owned), at: tree.at })
    }

    fn error(&mut self, code: &'static str, at: Place, message: String) {
        let diagnostic = self.checker.sink.error(code, at, message);
        self.checker.sink.push(diagnostic);
    }
}
