//! The lines a run ends with.

use sentinel_core::report::text;

use crate::sample;

#[test]
fn the_lines_tell_what_changed_and_where_things_are() {
    let model = sample::model();
    let lines = text::text(&model, &[("report", "runs/quickstart/report.html".to_owned())]);
    assert!(lines.starts_with(&format!("{}: ", model.run.workflow)), "{lines}");
    for stage in &model.compare {
        assert!(lines.contains(stage.as_str()), "`{stage}` is not compared:\n{lines}");
    }
    assert!(lines.contains("CHAIR"), "{lines}");
    assert!(lines.ends_with("report   runs/quickstart/report.html\n"), "{lines}");
    assert!(lines.lines().all(|line| line.chars().count() <= 160 && !line.ends_with(' ')), "{lines}");
}

#[test]
fn runs_of_one_workflow_stand_side_by_side() {
    let mut models = Vec::new();
    for beta in 1..=5 {
        let mut model = sample::model();
        model.run.workflow = format!("quickstart@beta={beta}");
        models.push(model);
    }
    let table = text::side_by_side(&models);
    // Four columns, then the fifth under the same names.
    let heads: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.contains("beta="))
        .map(|line| line.split_whitespace().skip(1).collect())
        .collect();
    assert_eq!(heads, [&["beta=1", "beta=2", "beta=3", "beta=4"][..], &["beta=5"]], "{table}");
    // What stands there is what the last of the compared stages measures.
    let closing = text::text(&models[0], &[]);
    let of = |text: &str| text.lines().find(|line| line.starts_with("CHAIR_s")).map(str::to_owned).unwrap();
    let (before_after, side) = (of(&closing), of(&table));
    let values = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(values(&side)[1..], vec![values(&before_after)[2].clone(); 4], "{table}");
    assert_eq!(text::side_by_side(&[]), "");
}
