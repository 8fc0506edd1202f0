//! What stages left out and set aside, by reason, each with a few examples. Reasons and their counts are in a run's record; examples
//! of what was left out are read from where stages give it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::model::{Example, LeftOut};
use super::record::{RunRecord, StageRecord};
use super::wording::clipped;
use super::{ReportUnit, collect};
use crate::artifact::Form;
use crate::cache::kept::Artifact;
use crate::cache::store::{Store, StoreError};
use crate::run::units::reason;
use crate::stage::DROPPED;

/// Examples of one reason.
const EXAMPLES: usize = 3;
/// Reasons of one stage that have examples; those of which there is most.
const REASONS_MAX: usize = 50;
/// Fields of a record, and characters of each, that an example tells.
const FIELDS_MAX: usize = 12;
const FIELD_CHARS_MAX: usize = 80;
const STORY_CHARS_MAX: usize = 300;

/// Tells what every stage left out and set aside.
pub(super) fn left_out(record: &RunRecord, store: &Store) -> Result<Vec<LeftOut>, StoreError> {
    let mut told = Vec::new();
    for stage in &record.stages {
        let mut examples = examples(stage, store)?;
        let mut tell = |reason: &str, count: u64, set_aside: bool, examples: Vec<Example>| {
            let (stage, reason) = (stage.id.clone(), reason.to_owned());
            told.push(LeftOut { stage, reason, count, set_aside, examples });
        };
        for (reason, count) in most_first(&stage.counts.dropped) {
            tell(reason, count, false, examples.remove(reason).unwrap_or_default());
        }
        for (reason, count) in most_first(&stage.counts.quarantined) {
            let units = record.quarantine.iter().filter(|unit| unit.stage == stage.id && unit.reason == reason);
            let example = |unit: &super::record::Quarantined| Example {
                record: unit.record.clone(),
                step: unit.step,
                text: clipped(&unit.detail, STORY_CHARS_MAX).into_owned(),
            };
            tell(reason, count, true, units.take(EXAMPLES).map(example).collect());
        }
    }
    Ok(told)
}

/// Returns the reasons of which there is most, first.
fn most_first(reasons: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut sorted: Vec<(&str, u64)> = reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted.truncate(REASONS_MAX);
    sorted
}

/// Reads what a stage left out until every reason has its examples.
fn examples(stage: &StageRecord, store: &Store) -> Result<BTreeMap<String, Vec<Example>>, StoreError> {
    let mut found: BTreeMap<String, Vec<Example>> = BTreeMap::new();
    let dropped = stage.outputs.iter().find(|output| output.name == DROPPED && output.form == Form::Rows);
    let wanted: BTreeMap<&str, usize> = most_first(&stage.counts.dropped)
        .into_iter()
        .map(|(reason, count)| (reason, usize::try_from(count).unwrap_or(usize::MAX).min(EXAMPLES)))
        .collect();
    let (Some(dropped), false) = (dropped, wanted.is_empty()) else { return Ok(found) };
    let Artifact::Rows(units) = collect::listing(store, &dropped.listing)? else { return Ok(found) };
    let units: Vec<_> = units.iter().filter(|unit| unit.rows.count > 0).cloned().collect();
    let mut missing: usize = wanted.values().sum();
    for unit in collect::in_order(store, &units) {
        let ReportUnit { id, step, rows } = unit?;
        for row in rows.iter() {
            let row: Value = serde_json::from_str(row).unwrap_or_default();
            let reason = reason(&row);
            let room = wanted.get(reason).copied().unwrap_or_default();
            let of_reason = found.entry(reason.to_owned()).or_default();
            if of_reason.len() < room {
                of_reason.push(Example { record: id.to_string(), step, text: spell(&row) });
                missing -= 1;
            }
        }
        if missing == 0 {
            break;
        }
    }
    Ok(found)
}

/// Tells a row in words: the fields of what was left out; where there are none, its own.
fn spell(row: &Value) -> String {
    let Some(fields) = row.get("record").unwrap_or(row).as_object() else { return row.to_string() };
    let told = fields.iter().filter(|(name, value)| *name != "reason" && !is_digest(value));
    let field = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}: {}", clipped(&value, FIELD_CHARS_MAX))
    };
    let told: Vec<String> = told.take(FIELDS_MAX).map(field).collect();
    told.join(" · ")
}

/// Digests of content tell nobody anything.
fn is_digest(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_told_by_its_fields() {
        let told = |row: &str| spell(&serde_json::from_str(row).unwrap());
        let digest = "a".repeat(64);
        assert_eq!(
            told(&format!(r#"{{"reason":"r","record":{{"id":"x","of":"{digest}","n":[1,2]}}}}"#)),
            "id: x · n: [1,2]"
        );
        assert_eq!(told(r#"{"reason":"r","why":"short"}"#), "why: short");
        assert_eq!(told(&format!(r#"{{"long":"{}"}}"#, "b".repeat(200))), format!("long: {}…", "b".repeat(80)));
    }
}
