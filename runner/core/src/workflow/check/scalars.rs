//! Scalars against a schema: the field decides what a text means.

use serde_json::{Number, Value};

use super::{Walk, schema};
use crate::diag::did_you_mean;
use crate::diag::listed;
use crate::stage::mark;
use crate::workflow::params::ParamValue;
use crate::workflow::scalar::{self, Refusal};
use crate::workflow::yaml::{Node, Scalar, Spanned, shortened};

impl Walk<'_, '_> {
    /// Returns the value of a scalar or of what an expression gave.
    pub(super) fn scalar(&mut self, schema: &Value, node: &Spanned<Node>, pointer: &str) -> Option<Value> {
        if let Some(choices) = schema::choices(schema) {
            return self.choice(&choices, node);
        }
        let types = schema::types(schema);
        if types.is_empty() && *schema != Value::Bool(false) {
            return schema::plain(node);
        }
        // The most particular type first: `3` is an integer even where a text is taken, too, unless it is quoted.
        let mut refusal: Refusal = None;
        for kind in ["boolean", "integer", "number", "string"] {
            if !types.contains(&kind) {
                continue;
            }
            match typed(kind, node) {
                Ok(value) => return self.constrained(schema, value, node, pointer),
                Err(advice) => refusal = refusal.or(advice),
            }
        }
        let quoted = matches!(&node.value, Node::Scalar(scalar) if scalar.quoted);
        let unquoted = || match &node.value {
            Node::Scalar(scalar) => {
                let bare = Spanned { at: node.at, value: Node::Scalar(Scalar { quoted: false, ..scalar.clone() }) };
                types.iter().any(|kind| typed(kind, &bare).is_ok())
            }
            _ => false,
        };
        let advice = if quoted && unquoted() { Some("remove the quotes".to_owned()) } else { refusal };
        self.error(
            "E0203",
            node.at,
            format!("expected {}, found {}", schema::expected(self.root, schema), node.found()),
            advice,
        );
        None
    }

    pub(super) fn choice(&mut self, choices: &[&Value], node: &Spanned<Node>) -> Option<Value> {
        let written = match &node.value {
            Node::Scalar(scalar) => Value::String(scalar.text.clone()),
            Node::Value(value) => value.to_json(),
            _ => schema::plain(node)?,
        };
        let as_written = |choice: &&&Value| {
            ***choice == written || (!choice.is_string() && schema::plain(node).as_ref() == Some(**choice))
        };
        if let Some(choice) = choices.iter().find(as_written) {
            return Some((*choice).clone());
        }
        let names: Vec<String> =
            choices.iter().filter(|choice| !choice.is_null()).map(|choice| schema::plain_text(choice)).collect();
        let names = || names.iter().map(String::as_str);
        let text = schema::plain_text(&written);
        let message = format!(
            "expected {} {}, found {}",
            if names().count() == 1 { "only" } else { "one of" },
            listed(names()),
            node.found()
        );
        self.error("E0204", node.at, message, did_you_mean(&text, names()));
        None
    }

    fn constrained(&mut self, schema: &Value, value: Value, node: &Spanned<Node>, pointer: &str) -> Option<Value> {
        match &value {
            Value::String(text) => {
                if let Some(what) = schema.get(mark::PATH).and_then(Value::as_str) {
                    return self.path(what, text, node, pointer);
                }
                if let Some(kind) = schema.get(mark::ASSET).and_then(Value::as_str) {
                    return self.asset(kind, text, node, pointer);
                }
                self.lengths(schema, text, node);
            }
            Value::Number(number) => self.bounds(schema, number, node),
            _ => {}
        }
        Some(value)
    }

    fn lengths(&mut self, schema: &Value, text: &str, node: &Spanned<Node>) {
        let letters = text.chars().count() as u64;
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        if let Some(least) = bound("minLength").filter(|least| letters < *least) {
            let message = if letters == 0 {
                "a text is missing here".to_owned()
            } else {
                format!("a text of {letters} letters, and it takes at least {least}")
            };
            self.error("E0205", node.at, message, None);
        }
        if let Some(most) = bound("maxLength").filter(|most| letters > *most) {
            self.error("E0205", node.at, format!("a text of {letters} letters, and it takes at most {most}"), None);
        }
    }

    fn bounds(&mut self, schema: &Value, number: &Number, node: &Spanned<Node>) {
        let value = number.as_f64().unwrap_or(f64::NAN);
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let broken = if let Some(least) = bound("minimum").filter(|least| value < *least) {
            Some(format!("at least {least}"))
        } else if let Some(most) = bound("maximum").filter(|most| value > *most) {
            Some(format!("at most {most}"))
        } else if let Some(least) = bound("exclusiveMinimum").filter(|least| value <= *least) {
            Some(format!("more than {least}"))
        } else if let Some(most) = bound("exclusiveMaximum").filter(|most| value >= *most) {
            Some(format!("less than {most}"))
        } else {
            let (least, most) = format_bounds(schema.get("format").and_then(Value::as_str));
            let int = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            int.filter(|int| *int < least || *int > most)
                .map(|int| if int < least { format!("at least {least}") } else { format!("at most {most}") })
        };
        if let Some(broken) = broken {
            self.error("E0205", node.at, format!("{} is out of range: it must be {broken}", node.found()), None);
        }
    }
}

/// What the formats schemars writes for integers can hold.
fn format_bounds(format: Option<&str>) -> (i128, i128) {
    match format {
        Some("uint8") => (0, u8::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint64" | "uint") => (0, u64::MAX.into()),
        Some("int8") => (i8::MIN.into(), i8::MAX.into()),
        Some("int16") => (i16::MIN.into(), i16::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("int64" | "int") => (i64::MIN.into(), i64::MAX.into()),
        _ => (i128::MIN, i128::MAX),
    }
}

/// Returns a scalar as a type.
fn typed(kind: &str, node: &Spanned<Node>) -> Result<Value, Refusal> {
    match (&node.value, kind) {
        (Node::Scalar(scalar), "string") => Ok(Value::String(scalar.text.clone())),
        (Node::Scalar(scalar), _) if scalar.quoted => Err(None),
        (Node::Scalar(scalar), "boolean") => scalar::bool(&scalar.text).map(Value::Bool),
        (Node::Scalar(scalar), "integer") => integer(scalar::int(&scalar.text)?),
        (Node::Scalar(scalar), "number") => scalar::number(&scalar.text).map(Value::from),
        (Node::Value(ParamValue::Text(text)), "string") => Ok(Value::String(text.clone())),
        (Node::Value(ParamValue::Path(path)), "string") => Ok(Value::String(path.to_string_lossy().into_owned())),
        (Node::Value(ParamValue::Bool(value)), "boolean") => Ok(Value::Bool(*value)),
        (Node::Value(ParamValue::Int(value)), "integer") => Ok(Value::from(*value)),
        (Node::Value(ParamValue::Int(value)), "number") => Ok(Value::from(*value as f64)),
        (Node::Value(ParamValue::Number(value)), "number") => Ok(Value::from(*value)),
        _ => Err(None),
    }
}

fn integer(int: i128) -> Result<Value, Refusal> {
    let small = i64::try_from(int).map(Value::from).or_else(|_| u64::try_from(int).map(Value::from));
    small.map_err(|_| Some(format!("`{}` has more than 64 bits", shortened(&int.to_string()))))
}
