//! Typed parameters: what `params:` declares, and the values they get from defaults, `--params` files and `--set`.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Number, Value, json};

/// The value of a parameter, or of an expression over parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum ParamValue {
    /// `string` and `enum`.
    Text(String),
    /// `int`.
    Int(i64),
    /// `number`; finite.
    Number(f64),
    /// `bool`.
    Bool(bool),
    /// `path`; absolute.
    Path(PathBuf),
}

impl ParamValue {
    /// Returns it as JSON, as fields receive it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Int(int) => json!(int),
            Self::Number(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Self::Bool(bool) => json!(bool),
            Self::Path(path) => json!(path.to_string_lossy()),
        }
    }

    /// Returns the name of its type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Int(_) => "an integer",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a bool",
            Self::Path(_) => "a path",
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Int(int) => write!(out, "{int}"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Bool(bool) => write!(out, "{bool}"),
            Self::Path(path) => write!(out, "{}", path.display()),
        }
    }
}
