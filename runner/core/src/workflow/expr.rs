//! Expressions: `"${{ params.scenes > 100 and not params.quick }}"`, a whole scalar, evaluated once to a typed value before the
//! graph is built. Parameters, literals, comparison, `and or not`, parentheses; no environment, no functions, no text around it.

mod tokens;

use std::cmp::Ordering;
use std::ops::Range;

use tokens::{Token, Word, malformed, tokens};

use super::params::ParamValue;

/// An expression longer than this many bytes is refused.
pub const EXPRESSION_BYTES_MAX: usize = 1024;
/// Parentheses and `not` nested deeper than this are refused.
pub const EXPRESSION_DEPTH_MAX: usize = 32;

/// What a name stands for.
pub enum Lookup<'a> {
    /// A value.
    Value(&'a ParamValue),
    /// Declared, but something about it is wrong and has been reported.
    Poisoned,
    /// Not declared; the nearest declared name, if one is near.
    Unknown(Option<String>),
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError {
    /// The diagnostic's code.
    pub code: &'static str,
    /// Where, in bytes of the scalar's text.
    pub range: Range<usize>,
    /// What.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Whether a scalar is or contains an expression.
pub fn is_expression(text: &str) -> bool {
    text.contains("${{")
}

/// Returns the value of a scalar that [is an expression](is_expression); `None` if it needs a poisoned parameter.
pub fn evaluate<'a>(text: &str, lookup: &dyn Fn(&str) -> Lookup<'a>) -> Result<Option<ParamValue>, ExprError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("an expression of {} bytes; the limit is {EXPRESSION_BYTES_MAX}", text.len());
        return Err(ExprError { code: "E0102", range: 0..text.len(), message, help: None });
    }
    let inner = inside(text)?;
    let tokens = tokens(text, inner.clone())?;
    let mut parser = Parser { tokens: &tokens, at: 0, end: inner.end, lookup, poisoned: false };
    let value = parser.or(0)?;
    if let Some(token) = parser.tokens.get(parser.at) {
        return Err(malformed(token.range.clone(), format!("`{}` is not expected here", &text[token.range.clone()])));
    }
    Ok(if parser.poisoned { None } else { value.value })
}

/// Returns where the expression stands between `${{` and `}}`.
fn inside(text: &str) -> Result<Range<usize>, ExprError> {
    let start = text.len() - text.trim_start().len();
    let end = text.trim_end().len();
    let opening = text.find("${{").unwrap_or(start);
    let closing = text[opening..].find("}}").map(|at| opening + at);
    match closing {
        None => Err(ExprError {
            code: "E0301",
            range: opening..end,
            message: "`${{` is not closed".to_owned(),
            help: Some("end the expression with `}}`".to_owned()),
        }),
        Some(closing) if opening == start && closing + 2 == end => Ok(opening + 3..closing),
        Some(closing) => Err(ExprError {
            code: "E0305",
            range: opening..closing + 2,
            message: "an expression must be the whole scalar".to_owned(),
            help: Some("make the whole text a parameter, and name that".to_owned()),
        }),
    }
}

/// A value (`None` when unknown because of a poisoned parameter) and where it stands.
struct Operand {
    value: Option<ParamValue>,
    range: Range<usize>,
}

struct Parser<'t, 'l, 'v> {
    tokens: &'t [Token],
    at: usize,
    end: usize,
    lookup: &'l dyn Fn(&str) -> Lookup<'v>,
    poisoned: bool,
}

impl Parser<'_, '_, '_> {
    fn take(&mut self, word: &Word) -> bool {
        let there = self.tokens.get(self.at).is_some_and(|token| token.word == *word);
        self.at += usize::from(there);
        there
    }

    fn or(&mut self, depth: usize) -> Result<Operand, ExprError> {
        let mut left = self.and(depth)?;
        while self.take(&Word::Or) {
            let right = self.and(depth)?;
            left = logic(&left, &right, "or", |a, b| a || b)?;
        }
        Ok(left)
    }

    fn and(&mut self, depth: usize) -> Result<Operand, ExprError> {
        let mut left = self.not(depth)?;
        while self.take(&Word::And) {
            let right = self.not(depth)?;
            left = logic(&left, &right, "and", |a, b| a && b)?;
        }
        Ok(left)
    }

    fn not(&mut self, depth: usize) -> Result<Operand, ExprError> {
        let start = self.tokens.get(self.at).map_or(self.end, |token| token.range.start);
        if !self.take(&Word::Not) {
            return self.compare(depth);
        }
        self.check_depth(depth, start)?;
        let operand = self.not(depth + 1)?;
        let value = operand.value.as_ref().map(|_| boolean(&operand, "not")).transpose()?;
        Ok(Operand { value: value.map(|value| ParamValue::Bool(!value)), range: start..operand.range.end })
    }

    fn compare(&mut self, depth: usize) -> Result<Operand, ExprError> {
        let left = self.term(depth)?;
        let Some(Word::Compare(operator)) = self.tokens.get(self.at).map(|token| token.word.clone()) else {
            return Ok(left);
        };
        self.at += 1;
        let right = self.term(depth)?;
        if let Some(Token { word: Word::Compare(_), range }) = self.tokens.get(self.at) {
            return Err(malformed(range.clone(), "comparisons cannot be chained; join them with `and`"));
        }
        let range = left.range.start..right.range.end;
        let value = match (&left.value, &right.value) {
            (Some(a), Some(b)) => Some(ParamValue::Bool(compare(a, b, operator, &range)?)),
            _ => None,
        };
        Ok(Operand { value, range })
    }

    fn term(&mut self, depth: usize) -> Result<Operand, ExprError> {
        let Some(token) = self.tokens.get(self.at) else {
            return Err(malformed(self.end..self.end, "a value is missing here"));
        };
        let range = token.range.clone();
        self.at += 1;
        match &token.word {
            Word::Value(value) => Ok(Operand { value: Some(value.clone()), range }),
            Word::Param(name) => {
                let value = self.param(name, &range)?;
                Ok(Operand { value, range })
            }
            Word::Open => {
                self.check_depth(depth, range.start)?;
                let inner = self.or(depth + 1)?;
                if !self.take(&Word::Close) {
                    return Err(malformed(range, "this parenthesis is not closed"));
                }
                Ok(Operand { value: inner.value, range: range.start..self.tokens[self.at - 1].range.end })
            }
            _ => Err(malformed(range, "a value is missing before this")),
        }
    }

    fn param(&mut self, name: &str, range: &Range<usize>) -> Result<Option<ParamValue>, ExprError> {
        match (self.lookup)(name) {
            Lookup::Value(value) => Ok(Some(value.clone())),
            Lookup::Poisoned => {
                self.poisoned = true;
                Ok(None)
            }
            Lookup::Unknown(near) => Err(ExprError {
                code: "E0302",
                range: range.clone(),
                message: format!("there is no parameter `{name}`"),
                help: near.map(|near| format!("did you mean `params.{near}`?")),
            }),
        }
    }

    fn check_depth(&self, depth: usize, start: usize) -> Result<(), ExprError> {
        if depth < EXPRESSION_DEPTH_MAX {
            return Ok(());
        }
        let message = format!("an expression nested deeper than {EXPRESSION_DEPTH_MAX} levels");
        Err(ExprError { code: "E0102", range: start..self.end, message, help: None })
    }
}

fn boolean(operand: &Operand, operator: &str) -> Result<bool, ExprError> {
    match &operand.value {
        Some(ParamValue::Bool(value)) => Ok(*value),
        Some(other) => Err(ExprError {
            code: "E0303",
            range: operand.range.clone(),
            message: format!("`{operator}` takes a bool, and this is {}", other.type_name()),
            help: None,
        }),
        None => Ok(false),
    }
}

fn logic(left: &Operand, right: &Operand, operator: &str, join: fn(bool, bool) -> bool) -> Result<Operand, ExprError> {
    let (a, b) = (boolean(left, operator)?, boolean(right, operator)?);
    let known = left.value.is_some() && right.value.is_some();
    Ok(Operand { value: known.then(|| ParamValue::Bool(join(a, b))), range: left.range.start..right.range.end })
}

fn compare(a: &ParamValue, b: &ParamValue, operator: &str, range: &Range<usize>) -> Result<bool, ExprError> {
    use ParamValue::{Bool, Int, Number, Path, Text};
    let unfit = |message: String| ExprError { code: "E0303", range: range.clone(), message, help: None };
    let (order, ordered) = match (a, b) {
        (Int(a), Int(b)) => (Some(a.cmp(b)), true),
        // An i64 beyond 2^53 is rounded here; parameters of that size are compared with integers.
        (Int(a), Number(b)) => ((*a as f64).partial_cmp(b), true),
        (Number(a), Int(b)) => (a.partial_cmp(&(*b as f64)), true),
        (Number(a), Number(b)) => (a.partial_cmp(b), true),
        (Bool(a), Bool(b)) => (Some(a.cmp(b)), false),
        (Text(a), Text(b)) => (Some(a.cmp(b)), false),
        (Path(a), Path(b)) => (Some(a.cmp(b)), false),
        _ => return Err(unfit(format!("{} cannot be compared with {}", a.type_name(), b.type_name()))),
    };
    if !ordered && !matches!(operator, "==" | "!=") {
        return Err(unfit(format!("`{operator}` compares numbers, and this is {}", a.type_name())));
    }
    let order = order.expect("numbers are finite");
    Ok(match operator {
        "==" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks an expression over `scenes = 300`, `quick = false`, `mode = "fast"`, `beta = 0.5`, and a poisoned `bad`.
    fn check(expression: &str, expected: &str) {
        let values = [
            ("scenes", ParamValue::Int(300)),
            ("quick", ParamValue::Bool(false)),
            ("mode", ParamValue::Text("fast".to_owned())),
            ("beta", ParamValue::Number(0.5)),
        ];
        let lookup = |name: &str| match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => Lookup::Value(value),
            None if name == "bad" => Lookup::Poisoned,
            None => Lookup::Unknown(None),
        };
        let text = format!("${{{{ {expression} }}}}");
        let found = match evaluate(&text, &lookup) {
            Ok(Some(value)) => format!("{value:?}"),
            Ok(None) => "unknown".to_owned(),
            Err(error) => format!("{} `{}` {}", error.code, &text[error.range.clone()], error.message),
        };
        assert_eq!(found, expected, "{expression}");
    }

    #[test]
    fn expressions_give_typed_values() {
        check("params.scenes", "Int(300)");
        check("params.scenes >= 300 and not params.quick", "Bool(true)");
        check("params.scenes < 1e3", "Bool(true)");
        check("params.beta == 0.5", "Bool(true)");
        check("params.mode == 'fast' or params.quick", "Bool(true)");
        check("not (params.mode != \"slow\")", "Bool(false)");
        check("true or false and false", "Bool(true)");
        check("-2.5", "Number(-2.5)");
        check("'a b'", "Text(\"a b\")");
        check("params.bad == 3", "unknown");
        check("params.bad and params.quick", "unknown");
    }

    #[test]
    fn mistakes_have_places() {
        check("params.scenes = 3", "E0301 `=` `=` is not part of an expression");
        check("params.scenes && true", "E0301 `&&` `&&` is not part of an expression");
        check("params.mod", "E0302 `params.mod` there is no parameter `mod`");
        check("params.scenes and true", "E0303 `params.scenes` `and` takes a bool, and this is an integer");
        check("params.mode < 'x'", "E0303 `params.mode < 'x'` `<` compares numbers, and this is text");
        check("params.mode == 3", "E0303 `params.mode == 3` text cannot be compared with an integer");
        check("1 < 2 < 3", "E0301 `<` comparisons cannot be chained; join them with `and`");
        check("(1 < 2", "E0301 `(` this parenthesis is not closed");
        check("1 +", "E0301 `+` `+` is not part of an expression");
        check("params.scenes params.beta", "E0301 `params.beta` `params.beta` is not expected here");
        check("scenes", "E0301 `scenes` `scenes` means nothing here");
        check("env.HOME", "E0301 `env.HOME` `env.HOME` cannot be read; only `params.NAME` can");
        check("'abc", "E0301 `'abc ` a quoted text is not closed");
        check("", "E0301 `` a value is missing here");
        check("and", "E0301 `and` a value is missing before this");
        check("é", "E0301 `é` `é` is not part of an expression");
    }

    #[test]
    fn size_is_limited() {
        let lookup = |_: &str| Lookup::Unknown(None);
        let deep = format!("${{{{ {}true{} }}}}", "(".repeat(200), ")".repeat(200));
        assert_eq!(evaluate(&deep, &lookup).map_err(|error| error.code), Err("E0102"));
        let nots = format!("${{{{ {}true }}}}", "not ".repeat(200));
        assert_eq!(evaluate(&nots, &lookup).map_err(|error| error.code), Err("E0102"));
        let long = format!("${{{{ {} }}}}", "true and ".repeat(500));
        assert_eq!(evaluate(&long, &lookup).map_err(|error| error.code), Err("E0102"));
    }
}
