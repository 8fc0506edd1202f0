//! The bundled filter through the sandbox: which pairs stay under which configuration, and what is said of the others.

use sentinel_domain::ports::{EngineError, FilterScope, Kept};
use sentinel_plugin_host::filter_scope;
use serde_json::json;

use crate::bench::{host, shipped};

/// Returns the words of the filter for pairs of one picture: a type, a chosen and a rejected sentence each.
fn words(config: &str, pairs: &[(&str, &str, &str)]) -> Vec<String> {
    let row = |(kind, chosen, rejected): &(&str, &str, &str)| {
        json!({ "type": kind, "chosen": chosen, "rejected": rejected }).to_string()
    };
    let rows: Vec<String> = pairs.iter().map(row).collect();
    let filter = host().filter(&shipped("pair-filter")).unwrap();
    let answer = filter.keep(config, &[rows.iter().map(String::as_str).collect()]).unwrap().remove(0).unwrap();
    let word = |kept: Kept| match kept {
        Kept::Yes => "keep".to_owned(),
        Kept::No(reason) => reason,
    };
    answer.into_iter().map(word).collect()
}

#[test]
fn rules_are_asked_in_order_and_the_first_gives_the_reason() {
    let pairs = [
        ("y+", "A cat sits.", "A cow sits."),
        ("y-", "A cat sits.", "A cow sits."),
        ("y+", "A cat sits.", "A cow sits."),
        ("y+", "A cat sits on a very long mat.", "A cow sits."),
        ("y+", "A cup stands.", "A cow sits."),
        ("y-", "A dog lies.", "A cow sits."),
    ];
    let table: [(&str, [&str; 6]); 6] = [
        ("{}", ["keep", "repeated", "repeated", "keep", "keep", "keep"]),
        (r#"{"distinct": false}"#, ["keep"; 6]),
        (r#"{"types": ["y+"]}"#, ["keep", "other-type", "repeated", "keep", "keep", "other-type"]),
        (r#"{"types": ["y-"]}"#, ["other-type", "keep", "other-type", "other-type", "other-type", "keep"]),
        (
            r#"{"max_words": 3, "distinct": false, "max_per_image": 3}"#,
            ["keep", "keep", "keep", "too-long", "enough-of-this-image", "enough-of-this-image"],
        ),
        (
            r#"{"max_per_image": 2}"#,
            ["keep", "repeated", "repeated", "keep", "enough-of-this-image", "enough-of-this-image"],
        ),
    ];
    for (config, expected) in table {
        assert_eq!(words(config, &pairs), expected, "{config}");
    }
    assert!(words("{}", &[]).is_empty());
}

#[test]
fn it_counts_by_picture() {
    let filter = host().filter(&shipped("pair-filter")).unwrap();
    let row = json!({ "type": "y+", "chosen": "A cat.", "rejected": "A cow." }).to_string();
    let units = vec![vec![row.as_str()]; 3];
    let answers = filter.keep(r#"{"max_per_image": 1}"#, &units).unwrap();
    assert!(answers.iter().all(|answer| *answer == Ok(vec![Kept::Yes])));
    assert_eq!(filter_scope(&shipped("pair-filter")).unwrap(), FilterScope::Unit);
}

#[test]
fn a_row_that_is_no_pair_is_set_aside_and_a_wrong_configuration_is_refused() {
    let filter = host().filter(&shipped("pair-filter")).unwrap();
    let fault = filter.keep("{}", &[vec![r#"{"type": "y+", "chosen": "A cat."}"#]]).unwrap().remove(0).unwrap_err();
    assert_eq!(fault.reason, "plugin-refused");
    assert!(fault.detail.contains("missing field `rejected`"), "{}", fault.detail);
    let refused = filter.keep(r#"{"max_words": "many"}"#, &[vec![]]);
    assert!(matches!(refused, Err(EngineError::Refused(detail)) if detail.contains("invalid type: string \"many\"")));
}
