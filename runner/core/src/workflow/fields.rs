//! Reading a mapping whose keys are fixed by the language: unknown keys with did-you-mean, missing keys, plain words.
//! Blocks whose keys a schema fixes are read by [`super::check`] instead.

use super::expr::is_expression;
use super::yaml::{Node, Place, Sink, Spanned};
use crate::diag::advice;

/// A mapping with fixed keys.
pub(super) struct Fields<'t> {
    entries: &'t [(Spanned<String>, Spanned<Node>)],
    at: Place,
    owner: String,
}

/// The keys a mapping may have.
pub(super) struct Keys {
    /// Those this version reads.
    pub(super) known: &'static [&'static str],
    /// Those of the language that this version refuses.
    pub(super) not_yet: &'static [&'static str],
}

impl<'t> Fields<'t> {
    /// Returns the fields of a mapping; reports anything else, and keys it cannot have. `owner` completes "unknown key … in …".
    pub(super) fn of(tree: &'t Spanned<Node>, owner: impl Into<String>, keys: &Keys, sink: &mut Sink) -> Option<Self> {
        let owner = owner.into();
        let entries = mapping(tree, &owner, sink)?;
        for (key, _) in entries {
            if keys.not_yet.contains(&key.value.as_str()) {
                let message = format!("`{}` is not supported yet", key.value);
                sink.push(sink.error("E0208", key.at, message));
            } else if !keys.known.contains(&key.value.as_str()) {
                let message = format!("unknown key `{}` in {owner}", key.value);
                let advice = advice(&key.value, "it takes", keys.known.iter().copied());
                sink.push(sink.error("E0201", key.at, message).label("unknown key").help(advice));
            }
        }
        Some(Self { entries, at: tree.at, owner })
    }

    /// Returns the value of a key, unless it is absent or empty.
    pub(super) fn get(&self, key: &str) -> Option<&'t Spanned<Node>> {
        self.entry(key).map(|(_, value)| value).filter(|value| value.value != Node::Null)
    }

    /// Returns where a key stands.
    pub(super) fn key_place(&self, key: &str) -> Option<Place> {
        self.entry(key).map(|(name, _)| name.at)
    }

    /// Returns the value of a key; reports its absence.
    pub(super) fn require(&self, key: &str, sink: &mut Sink) -> Option<&'t Spanned<Node>> {
        let found = self.get(key);
        if found.is_none() {
            let at = self.key_place(key).unwrap_or(self.start());
            sink.push(sink.error("E0202", at, format!("{} needs `{key}`", self.owner)));
        }
        found
    }

    /// Returns the place where the mapping begins: its first key.
    pub(super) fn start(&self) -> Place {
        self.entries.first().map_or(self.at, |(key, _)| key.at)
    }

    fn entry(&self, key: &str) -> Option<&'t (Spanned<String>, Spanned<Node>)> {
        self.entries.iter().find(|(name, _)| name.value == key)
    }
}

/// Returns the entries of a mapping; reports anything else. Nothing at all is an empty mapping.
pub(super) fn mapping<'t>(
    tree: &'t Spanned<Node>,
    owner: &str,
    sink: &mut Sink,
) -> Option<&'t [(Spanned<String>, Spanned<Node>)]> {
    match &tree.value {
        Node::Map(entries) => Some(entries),
        Node::Null => Some(&[]),
        Node::Poison => None,
        _ => {
            sink.push(sink.error("E0203", tree.at, format!("expected a mapping for {owner}, found {}", tree.found())));
            None
        }
    }
}

/// Returns a word of the language: an id, a kind, a reference; reports lists, mappings and expressions.
pub(super) fn word<'t>(tree: &'t Spanned<Node>, what: &str, sink: &mut Sink) -> Option<Spanned<&'t str>> {
    match &tree.value {
        Node::Scalar(scalar) if is_expression(&scalar.text) => refuse_expression(tree.at, what, sink),
        Node::Scalar(scalar) => return Some(Spanned { at: tree.at, value: &scalar.text }),
        Node::Value(_) => refuse_expression(tree.at, what, sink),
        Node::Poison => {}
        _ => sink.push(sink.error("E0203", tree.at, format!("expected {what}, found {}", tree.found()))),
    }
    None
}

fn refuse_expression(at: Place, what: &str, sink: &mut Sink) {
    sink.push(sink.error("E0304", at, format!("expected {what}, found an expression")).help("write it out"));
}

/// Reports a name that cannot be an id.
pub(super) fn check_id(id: &Spanned<String>, what: &str, underscores: bool, sink: &mut Sink) -> bool {
    const ID_BYTES_MAX: usize = 64;
    let letters =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || (underscores && byte == b'_');
    let first = id.value.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if first && id.value.len() <= ID_BYTES_MAX && id.value.bytes().all(letters) && id.value != "loop" {
        return true;
    }
    let shown = super::yaml::shortened(&id.value);
    let suggestion: String = id
        .value
        .to_lowercase()
        .chars()
        .map(|letter| if letter == '_' || letter == ' ' { '-' } else { letter })
        .collect();
    let usable = suggestion.bytes().all(letters) && suggestion.starts_with(|first: char| first.is_ascii_lowercase());
    let help = if id.value == "loop" {
        "`loop` is taken: it means the loop a stage stands in".to_owned()
    } else if usable && suggestion.len() <= ID_BYTES_MAX && suggestion != id.value {
        format!("write `{suggestion}`")
    } else {
        format!("use `a-z`, `0-9` and `-`, beginning with a letter, at most {ID_BYTES_MAX}")
    };
    sink.push(sink.error("E0206", id.at, format!("`{shown}` cannot name {what}")).help(help));
    false
}
