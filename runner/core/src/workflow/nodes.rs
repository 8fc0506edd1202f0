//! `stages:` as drafts: every stage parsed on its own, references still names. [`crate::graph`] ties them together.

use serde_json::{Value, json};

use super::check::{Checker, Owner, place_of};
use super::common::{self, COMMON_KEYS};
use super::fields::{Fields, Keys, check_id, mapping, word};
use super::registry::Registry;
use super::yaml::{Node, Place, Spanned, shortened};
use super::{Common, StageNode};
use crate::diag::advice;
use crate::stage::{Assets, Shape, StageKind};

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
    /// Slot → what it names.
    pub(crate) needs: Vec<Named>,
    pub(crate) work: DraftWork,
}

impl Draft {
    /// Returns its id, and as `loop/stage` those of its body.
    pub(super) fn ids(&self) -> Vec<String> {
        let own = self.id.value.clone();
        let body = match &self.work {
            DraftWork::Loop(inner) => inner.body.iter().map(|member| format!("{own}/{}", member.id.value)).collect(),
            DraftWork::Stage(_) => Vec::new(),
        };
        std::iter::once(own).chain(body).collect()
    }
}

/// What a draft does.
pub(crate) enum DraftWork {
    /// `None`: of which kind it is, is unknown; reported.
    Stage(Option<Native>),
    Loop(DraftLoop),
}

/// A stage of a known kind.
pub(crate) struct Native {
    pub(crate) kind: &'static str,
    /// Every shape it may have: its own, unless its `with:` is wrong.
    pub(crate) shapes: Vec<Shape>,
    /// `None`: something about its `with:` is wrong and has been reported.
    pub(crate) stage: Option<StageNode>,
}

/// A loop before its references are followed. `None` stands for what is missing or wrong, and has been reported.
pub(crate) struct DraftLoop {
    /// Whether it is a loop for sure: no `kind` stands beside it.
    pub(crate) is_alone: bool,
    pub(crate) over: Option<Reference>,
    pub(crate) max_steps: u32,
    pub(crate) body: Vec<Draft>,
    pub(crate) carry: Option<Reference>,
    pub(crate) collect: Option<Vec<Named>>,
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
        let (common, needs, work) = (self.defaults.clone(), Vec::new(), DraftWork::Stage(None));
        let mut draft = Draft { id: id.clone(), runs: true, common, needs, work };
        let owner = format!("stage `{}`", id.value);
        let keys = Keys { known: STAGE_KEYS, not_yet: &["matrix", "secret"] };
        let Some(fields) = Fields::of(tree, &owner, &keys, self.checker.sink) else { return draft };
        draft.runs = self.condition(&fields);
        draft.common = common::read(&fields, &self.defaults, &mut self.checker);
        let (kind, looped) = (fields.key_place("kind"), fields.key_place("loop"));
        let needs = fields.get("needs").filter(|_| kind.is_some() || looped.is_none());
        let needs = needs.map(|tree| self.references(tree, "`needs`"));
        let are_read = !matches!(needs, Some(None));
        draft.needs = needs.flatten().unwrap_or_default();
        match (kind, looped) {
            (Some(_), Some(at)) => self.error("E0210", at, format!("{owner} has both `kind` and `loop`")),
            (None, None) => self.error("E0210", id.at, format!("{owner} has neither `kind` nor `loop`")),
            (None, Some(at)) if in_loop => self.error("E0509", at, "a loop cannot stand in a loop".to_owned()),
            _ => {}
        }
        draft.work = match (kind, looped) {
            (Some(_), None) => DraftWork::Stage(self.native(&fields, &owner, are_read)),
            (_, Some(_)) if !in_loop => {
                let inner = self.looped(&fields, &owner, kind.is_none());
                inner.map_or(DraftWork::Stage(None), DraftWork::Loop)
            }
            _ => DraftWork::Stage(None),
        };
        draft
    }

    fn condition(&mut self, fields: &Fields<'_>) -> bool {
        let at = fields.key_place("if").unwrap_or(fields.start());
        self.checker.small(&json!({ "type": "boolean" }), fields.get("if"), at, "`if`").unwrap_or(true)
    }

    fn native(&mut self, fields: &Fields<'_>, owner: &str, needs_are_read: bool) -> Option<Native> {
        let kind = fields.require("kind", self.checker.sink)?;
        let word = word(kind, "a stage kind", self.checker.sink)?;
        let Some(kind) = self.registry.stage(word.value) else {
            let help = advice(word.value, "there are", self.registry.stages.iter().map(|kind| kind.name()));
            let message = format!("there is no stage kind `{}`", shortened(word.value));
            let diagnostic = self.checker.sink.error("E0401", word.at, message).help(help);
            self.checker.sink.push(diagnostic);
            return None;
        };
        let parsed = self.parsed(fields, kind, word.at, owner);
        let mut shapes = match &parsed {
            Ok(stage) => vec![Shape::of(stage.stage.as_ref())],
            Err(left) => kind.shapes(left),
        };
        if !needs_are_read {
            // What it needs is wrong as a whole, so nothing is missing for sure.
            shapes.iter_mut().flat_map(|shape| &mut shape.inputs).for_each(|slot| slot.optional = true);
        }
        Some(Native { kind: kind.name(), shapes, stage: parsed.ok() })
    }

    /// Parses the `with:` of a stage; where something in it is wrong and reported, what is right of it comes back.
    fn parsed(
        &mut self,
        fields: &Fields<'_>,
        kind: &dyn StageKind,
        chosen: Place,
        owner: &str,
    ) -> Result<StageNode, Value> {
        let header = fields.key_place("with").unwrap_or(chosen);
        let chosen = Owner { text: format!("stage kind `{}`", kind.name()), chosen: Some(chosen) };
        let schema = Value::from(kind.schema());
        let (checked, places) = self.checker.check(&schema, fields.get("with"), header, &chosen);
        let checked = checked?;
        match kind.parse(checked.value.clone(), &self.usable) {
            Ok(stage) => Ok(StageNode {
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
                Err(checked.value)
            }
        }
    }

    fn looped(&mut self, fields: &Fields<'_>, owner: &str, is_alone: bool) -> Option<DraftLoop> {
        for key in ["needs", "with"] {
            if let Some(at) = fields.key_place(key).filter(|_| is_alone) {
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
        let tree = fields.require("loop", self.checker.sink)?;
        let owner = format!("the loop of {owner}");
        let inner = Fields::of(tree, &owner, &Keys { known: LOOP_KEYS, not_yet: &[] }, self.checker.sink)?;
        let steps = json!({ "type": "integer", "minimum": 1, "maximum": LOOP_STEPS_MAX });
        let at = inner.key_place("max_steps").unwrap_or(inner.start());
        let max_steps = inner.require("max_steps", self.checker.sink);
        let max_steps = self.checker.small(&steps, max_steps, at, "`max_steps`").unwrap_or(1);
        let over = inner.require("over", self.checker.sink).and_then(|tree| self.reference(tree));
        let carry = inner.require("carry", self.checker.sink).and_then(|tree| self.reference(tree));
        let collect = inner.require("collect", self.checker.sink).and_then(|tree| self.references(tree, "`collect`"));
        let body = inner.require("stages", self.checker.sink).map(|tree| self.stages(tree, true)).unwrap_or_default();
        Some(DraftLoop { is_alone, over, max_steps, body, carry, collect })
    }

    fn references(&mut self, tree: &Spanned<Node>, owner: &str) -> Option<Vec<Named>> {
        let entries = mapping(tree, owner, self.checker.sink)?;
        Some(entries.iter().map(|(name, value)| (name.clone(), self.reference(value))).collect())
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
