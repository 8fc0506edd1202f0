//! The keys every stage has: `exec`, `on_error`, `retries`, `timeout`, `resources`; `defaults:` gives them for all stages.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::check::Checker;
use super::fields::{Fields, word};
use super::yaml::{Place, shortened};
use super::{Common, OnError, scalar};
use crate::job::Exec;

/// The keys.
pub(crate) const COMMON_KEYS: &[&str] = &["exec", "on_error", "retries", "timeout", "resources"];

/// Returns the JSON Schema of one of the [`COMMON_KEYS`].
pub(crate) fn schema(key: &str) -> Value {
    match key {
        "exec" => exec_schema(),
        "on_error" => {
            json!({ "type": "string", "enum": ["fail", "quarantine"], "default": "quarantine", "description": "What a record's own fault means: it is set aside and counted, or the stage stops." })
        }
        "retries" => {
            json!({ "type": "integer", "minimum": 0, "maximum": 100, "default": 0, "description": "How often work is repeated after the outside world failed it." })
        }
        "timeout" => {
            json!({ "type": "string", "description": "How long one attempt may take, for example `90s` or `1h30m`." })
        }
        "resources" => {
            json!({ "type": "object", "additionalProperties": { "type": "integer", "minimum": 0, "maximum": 65536 }, "description": "What the stage occupies while it runs, for example `gpu: 1`." })
        }
        other => unreachable!("`{other}` is not a common key"),
    }
}

fn exec_schema() -> Value {
    let mut schema = schemars::schema_for!(Exec).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
    }
    schema
}

/// Reads the common keys of a stage, over what `defaults:` says.
pub(super) fn read(fields: &Fields<'_>, defaults: &Common, checker: &mut Checker<'_>) -> Common {
    let mut common = defaults.clone();
    let place = |key: &str| fields.key_place(key).unwrap_or(fields.start());
    if let Some(exec) = checker.small(&schema("exec"), fields.get("exec"), place("exec"), "`exec`") {
        common.exec = over(exec, &defaults.exec);
    }
    if let Some(on_error) =
        checker.small::<String>(&schema("on_error"), fields.get("on_error"), place("on_error"), "`on_error`")
    {
        common.on_error = if on_error == "fail" { OnError::Fail } else { OnError::Quarantine };
    }
    if let Some(retries) = checker.small(&schema("retries"), fields.get("retries"), place("retries"), "`retries`") {
        common.retries = retries;
    }
    common.timeout = timeout(fields, checker).or(defaults.timeout);
    let resources = checker.small::<BTreeMap<String, u32>>(
        &schema("resources"),
        fields.get("resources"),
        place("resources"),
        "`resources`",
    );
    common.resources.extend(resources.unwrap_or_default());
    common
}

fn timeout(fields: &Fields<'_>, checker: &mut Checker<'_>) -> Option<Duration> {
    let text = word(fields.get("timeout")?, "a duration", checker.sink)?;
    match scalar::duration(text.value) {
        Ok(duration) => Some(duration),
        Err(advice) => {
            let help =
                advice.unwrap_or_else(|| "write a number and a unit: `90s`, `10m`, `1h30m`; at most a year".to_owned());
            refuse(checker, text.at, text.value, help);
            None
        }
    }
}

fn refuse(checker: &mut Checker<'_>, at: Place, text: &str, help: String) {
    let message = format!("expected a duration, found `{}`", shortened(text));
    checker.sink.push(checker.sink.error("E0203", at, message).help(help));
}

fn over(exec: Exec, defaults: &Exec) -> Exec {
    Exec {
        batch: exec.batch.or(defaults.batch),
        in_flight: exec.in_flight.or(defaults.in_flight),
        threads: exec.threads.or(defaults.threads),
        device: exec.device.or_else(|| defaults.device.clone()),
    }
}
