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
