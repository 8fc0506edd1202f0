//! A run of a hundred thousand records: the page stays small, can be turned page by page, and counts every record.

use sentinel_core::digest::Digest;
use sentinel_core::report::model::{Example, LeftOut, ReportModel};
use sentinel_core::report::record::{QUARANTINE_TOLD_MAX, Quarantined};
use sentinel_core::report::wording::count;
use sentinel_core::report::{Card, Cell, Widget, html};

use crate::{of_class, sample, save, text_of, with_document};

const RECORDS: u64 = 100_000;
const ASIDE: u64 = 3_000;

/// A run of so many records, whose stages show more than stages do.
fn model() -> ReportModel {
    let mut model = sample::model();
    let scale = |rows: u64| if rows > 1 { rows * RECORDS / 300 } else { rows };
    for stage in &mut model.run.stages {
        stage.inputs.iter_mut().for_each(|input| (input.records, input.rows) = (RECORDS, scale(input.rows)));
        stage.outputs.iter_mut().for_each(|out| (out.records, out.rows) = (scale(out.records), scale(out.rows)));
        (stage.counts.units, stage.counts.computed) = (scale(stage.counts.units), scale(stage.counts.computed));
    }
    let keep = model.run.stages.iter_mut().find(|stage| stage.id == "keep").unwrap();
    keep.counts.dropped = (0..500).map(|number| (format!("reason-{number}"), 261)).collect();
    let boxes = model.run.stages.iter_mut().find(|stage| stage.id == "bootstrap/boxes").unwrap();
    boxes.counts.quarantined = [("unreadable-picture".to_owned(), ASIDE)].into();
    model.run.quarantine = (0..QUARANTINE_TOLD_MAX).map(aside).collect();
    model.left_out = (0..500).map(reason).collect();
    for shown in &mut model.shown {
        for widget in &mut shown.widgets {
            match widget {
                Widget::Gallery { records, cards, .. } => {
                    let many = (0..RECORDS / 10).map(|number| {
                        let like = &cards[number as usize % cards.len()];
                        Card { id: format!("r{number:06}"), ..like.clone() }
                    });
                    (*records, *cards) = (RECORDS, many.collect());
                }
                Widget::Curve { series, .. } => {
                    series[0].points = (0..RECORDS).map(|x| (x as f64, (x as f64).sqrt())).collect();
                }
                Widget::Table { rows, .. } if shown.stage == "train" => rows.clear(),
                Widget::Table { .. } => {}
            }
        }
    }
    let rows = (0..RECORDS).map(|number| vec![Cell::Text(format!("row {number}")), Cell::Text("x".repeat(40))]);
    let columns = vec!["name".to_owned(), "text".to_owned()];
    model.shown[0].widgets.push(Widget::Table { title: "all".to_owned(), columns, rows: rows.collect() });
    model
}

fn aside(number: usize) -> Quarantined {
    Quarantined {
        stage: "bootstrap/boxes".to_owned(),
        record: format!("r{number:06}"),
        step: 0,
        reason: "unreadable-picture".to_owned(),
        detail: "<&>".repeat(4000),
    }
}

fn reason(number: usize) -> LeftOut {
    let example = || Example { record: format!("r{number:06}"), step: 1, text: "\"&\"".repeat(3000) };
    let (stage, reason) = ("keep".to_owned(), format!("reason-{number}"));
    LeftOut { stage, reason, count: 261, set_aside: false, examples: vec![example(), example(), example()] }
}

#[test]
fn a_report_of_a_hundred_thousand_records_is_bounded_paged_and_whole() {
    let model = model();
    // A photograph of 400 kB for every record: they do not all get in.
    let photograph = |digest: Digest| {
        let mut bytes = sample::pictures().remove(&digest)?;
        bytes.resize(400_000, 0);
        Some(bytes)
    };
    let page = html::html(&model, &photograph);
    assert!(page.len() <= html::HTML_BYTES_MAX, "{} bytes", page.len());
    save("many.html", &page);
    with_document(&page, |page| {
        let text = text_of(page.root());
        let rows: Vec<_> = of_class(page, "records").iter().flat_map(|table| table.descendants()).collect();
        for stage in &model.run.stages {
            let name = stage.id.split('/').next_back().unwrap();
            let row = rows.iter().find(|row| {
                row.has_tag_name("tr") && row.first_element_child().is_some_and(|cell| text_of(cell).starts_with(name))
            });
            let row = text_of(*row.unwrap());
            let inputs = stage.inputs.iter().map(|input| input.rows);
            for rows in inputs.chain(stage.outputs.iter().map(|output| output.rows)) {
                assert!(row.contains(&count(rows)), "{} {rows}: {row}", stage.id);
            }
        }
        assert!(text.contains(&format!(" of {} units shown", count(ASIDE))), "what is set aside is counted");
        assert!(text.contains("Some of 100,000 records") && text.contains("further cards left out"));
        assert!(text.contains("further rows left out"));
        let paged: Vec<_> = page.descendants().filter(|node| node.attribute("data-page").is_some()).collect();
        for class in ["gallery", "scroll"] {
            assert!(paged.iter().any(|node| node.attribute("class") == Some(class)), "no `{class}` has pages");
        }
        for node in &paged {
            let items =
                node.descendants().filter(|item| item.has_tag_name("article") || item.has_tag_name("tr")).count();
            assert!(items <= 1001, "a browser can turn these pages: {items}");
        }
    });
}
