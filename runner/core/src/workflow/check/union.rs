//! `anyOf` and `oneOf`: optional values, enums with documented words, tagged and untagged variants. The branch is chosen by what
//! stands there, so that the report is about the branch that was meant.

use serde_json::Value;

use super::{Walk, schema};
use crate::workflow::yaml::{Node, Place, Spanned};

impl Walk<'_, '_> {
    /// Returns the value of a node under one of several schemas.
    pub(super) fn union(
        &mut self,
        branches: &[Value],
        node: &Spanned<Node>,
        pointer: &str,
        header: Place,
    ) -> Option<Value> {
        let root = self.root;
        let flat: Vec<_> = branches.iter().map(|branch| schema::flatten(root, branch)).collect();
        if node.value == Node::Null && flat.iter().any(|branch| schema::takes(branch, "null")) {
            return Some(Value::Null);
        }
        let meant: Vec<&Value> = flat.iter().map(AsRef::as_ref).filter(|branch| shaped(root, branch, node)).collect();
        if matches!(node.value, Node::Scalar(_) | Node::Value(_))
            && meant.iter().all(|branch| schema::choices(branch).is_some())
            && !meant.is_empty()
        {
            let words: Vec<&Value> = meant.iter().filter_map(|branch| schema::choices(branch)).flatten().collect();
            return self.choice(&words, node);
        }
        match meant.as_slice() {
            [] => {
                let expected = flat
                    .iter()
                    .filter(|branch| schema::types(branch) != ["null"])
                    .map(|branch| schema::expected(root, branch));
                let mut words: Vec<String> = Vec::new();
                expected.for_each(|word| {
                    if !words.contains(&word) {
                        words.push(word);
                    }
                });
                self.error("E0203", node.at, format!("expected {}, found {}", words.join(" or "), node.found()), None);
                None
            }
            [only] => self.value(only, node, pointer, header),
            several => match tagged(several, node) {
                Some(Tag::Branch(branch)) => self.value(branch, node, pointer, header),
                Some(Tag::Wrong(choices, tag)) => self.choice(&choices, tag),
                Some(Tag::Missing(name)) => {
                    self.error("E0202", header, format!("{} needs `{name}`", self.place_name(pointer)), None);
                    None
                }
                None => self.best_of(several, node, pointer, header),
            },
        }
    }

    /// Returns the value under the first branch without a mistake, else reports those of the branch with the fewest.
    fn best_of(&mut self, branches: &[&Value], node: &Spanned<Node>, pointer: &str, header: Place) -> Option<Value> {
        let mut fewest: Option<(usize, &Value)> = None;
        for branch in branches {
            let before = std::mem::take(&mut self.checker.sink.found);
            let (marks, configs, places, incomplete) =
                (self.marks.len(), self.configs.clone(), self.places.clone(), self.incomplete);
            self.incomplete = false;
            let value = self.value(branch, node, pointer, header);
            let failed = self.incomplete || value.is_none();
            let mistakes = std::mem::replace(&mut self.checker.sink.found, before).list.len();
            self.incomplete |= incomplete;
            if !failed {
                return value;
            }
            self.marks.truncate(marks);
            (self.configs, self.places, self.incomplete) = (configs, places, incomplete);
            if fewest.is_none_or(|(count, _)| mistakes < count) {
                fewest = Some((mistakes, branch));
            }
        }
        fewest.and_then(|(_, branch)| self.value(branch, node, pointer, header))
    }
}

/// Whether a branch could be meant by what stands there, judged by its outline.
fn shaped(root: &Value, branch: &Value, node: &Spanned<Node>) -> bool {
    if let Some(inner) = schema::branches(branch) {
        return inner.iter().any(|inner| shaped(root, &schema::flatten(root, inner), node));
    }
    match &node.value {
        Node::Null => schema::takes(branch, "null"),
        Node::Map(_) => schema::takes(branch, "object"),
        Node::Seq(_) => schema::takes(branch, "array"),
        Node::Scalar(_) | Node::Value(_) => {
            schema::choices(branch).is_some_and(|choices| choices != [&Value::Null])
                || ["boolean", "integer", "number", "string"].iter().any(|kind| schema::takes(branch, kind))
        }
        Node::Poison => true,
    }
}

enum Tag<'s, 'n> {
    /// The tag names this branch.
    Branch(&'s Value),
    /// The tag names none; these are its words.
    Wrong(Vec<&'s Value>, &'n Spanned<Node>),
    /// Every branch has this tag, and it is not given.
    Missing(&'s str),
}

/// Finds the branch a mapping names by a key with a fixed word (`{kind: a, …}`), or by its only key (`{a: …}`).
fn tagged<'s, 'n>(branches: &[&'s Value], node: &'n Spanned<Node>) -> Option<Tag<'s, 'n>> {
    let Node::Map(entries) = &node.value else { return None };
    let property = |branch: &'s Value, name: &str| branch.get("properties").and_then(|properties| properties.get(name));
    let names = branches[0].get("properties").and_then(Value::as_object)?;
    for name in names.keys() {
        let words: Option<Vec<&Value>> =
            branches.iter().map(|branch| property(branch, name).and_then(|property| property.get("const"))).collect();
        let Some(words) = words else { continue };
        let Some(tag) = node.get(name) else { return Some(Tag::Missing(name)) };
        let Node::Scalar(scalar) = &tag.value else { return Some(Tag::Wrong(words, tag)) };
        let chosen = words.iter().position(|word| word.as_str() == Some(&scalar.text));
        return Some(chosen.map_or(Tag::Wrong(words, tag), |chosen| Tag::Branch(branches[chosen])));
    }
    let [(key, _)] = entries.as_slice() else { return None };
    let only =
        branches.iter().find(|branch| schema::requires(branch, &key.value) && schema::required(branch).count() == 1);
    only.map(|branch| Tag::Branch(branch))
}
