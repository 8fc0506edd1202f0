//! The page of the sample.

use std::collections::BTreeSet;

use sentinel_core::report::Widget;
use sentinel_core::report::model::ReportModel;

use crate::{of_class, render, sample, save, text_of, with_document};

/// A rectangle: left, top, right, bottom.
type Sides = [f64; 4];

fn sides(rect: roxmltree::Node<'_, '_>) -> Sides {
    let [x, y, width, height] =
        ["x", "y", "width", "height"].map(|name| rect.attribute(name).unwrap().parse().unwrap());
    let (x, y, width, height): (f64, f64, f64, f64) = (x, y, width, height);
    [x, y, x + width, y + height]
}

#[test]
fn equal_models_give_equal_bytes_and_none_of_their_time() {
    let page = render(&sample::model());
    save("sample.html", &page);
    assert_eq!(page, render(&sample::model()));
    let mut later = sample::model();
    later.run.started += 1;
    assert_eq!(page, render(&later));
}

#[test]
fn the_page_shows_the_run() {
    let model = sample::model();
    with_document(&render(&model), |page| {
        let text = text_of(page.root());
        assert!(text.contains(&model.run.workflow));
        for stage in &model.run.stages {
            assert!(text.contains(&stage.id), "`{}` is not on the page", stage.id);
        }
        for title in ["Side by side", "Workflow", "Records", "Origin"] {
            assert!(page.descendants().any(|node| node.has_tag_name("h2") && text_of(node) == title), "no `{title}`");
        }
        assert!(!of_class(page, "part").is_empty());
        assert!(page.descendants().any(|node| node.has_tag_name("svg")), "no drawing");
    });
}

#[test]
fn what_got_better_stands_first() {
    let model = sample::model();
    let ids = model.shown.iter().find(|shown| shown.stage == "before").into_iter().flat_map(|shown| &shown.widgets);
    let ids: Vec<&str> = ids
        .filter_map(|widget| match widget {
            Widget::Gallery { cards, .. } => Some(cards.iter().map(|card| card.id.as_str())),
            _ => None,
        })
        .flatten()
        .collect();
    // Of every sixth caption one of two hallucinations is cured, of the others both.
    let (half, whole): (Vec<_>, Vec<_>) = ids.iter().enumerate().partition(|(number, _)| number % 6 == 5);
    let expected: Vec<&str> = whole.into_iter().chain(half).map(|(_, id)| *id).collect();
    assert!(expected != ids && expected.len() == 12);
    with_document(&render(&model), |page| {
        let cards = of_class(page, "together");
        let cards = cards.iter().flat_map(|shown| shown.children()).filter(|card| card.has_tag_name("article"));
        let found: Vec<String> = cards.map(text_of).collect();
        assert_eq!(found.len(), expected.len());
        for (text, id) in found.iter().zip(expected) {
            assert!(text.contains(id), "{id}: {text}");
        }
    });
}

#[test]
fn the_page_needs_nothing_from_outside() {
    with_document(&render(&sample::model()), |page| {
        for attribute in page.descendants().flat_map(|node| node.attributes().collect::<Vec<_>>()) {
            if matches!(attribute.name(), "src" | "href") {
                let value = attribute.value();
                assert!(value.starts_with('#') || value.starts_with("data:"), "`{value:.80}`");
            }
        }
    });
}

#[test]
fn every_link_leads_somewhere_and_no_id_stands_twice() {
    with_document(&render(&sample::model()), |page| {
        let mut ids = BTreeSet::new();
        for id in page.descendants().filter_map(|node| node.attribute("id")) {
            assert!(ids.insert(id), "`{id}` stands twice");
        }
        let links = page.descendants().filter_map(|node| node.attribute("href")?.strip_prefix('#'));
        for link in links {
            assert!(ids.contains(link), "`#{link}` leads nowhere");
        }
    });
}

#[test]
fn labels_of_boxes_are_whole_and_apart() {
    with_document(&render(&sample::model()), |page| {
        for picture in of_class(page, "picture") {
            let plates = picture.descendants().filter(|node| node.attribute("class") == Some("plate"));
            let plates: Vec<Sides> = plates.map(sides).collect();
            let outlines = picture.descendants().filter(|node| node.attribute("class") == Some("side")).count();
            assert_eq!(plates.len(), outlines, "there is room for every label");
            let inside: Vec<f64> =
                picture.attribute("viewBox").unwrap().split(' ').map(|side| side.parse().unwrap()).collect();
            // Lengths are written with one decimal.
            let slack = 0.2;
            for (number, [left, top, right, bottom]) in plates.iter().enumerate() {
                assert!(*left >= 0.0 && *top >= 0.0 && *right <= inside[2] + slack && *bottom <= inside[3] + slack);
                let apart = |other: &Sides| {
                    *right <= other[0] + slack
                        || other[2] <= left + slack
                        || *bottom <= other[1] + slack
                        || other[3] <= top + slack
                };
                assert!(plates[..number].iter().all(apart), "{plates:?}");
            }
        }
    });
}

#[test]
fn headings_say_what_is_shown_and_name_the_stage_beside_it() {
    with_document(&render(&sample::model()), |page| {
        let headings: Vec<String> = page.descendants().filter(|node| node.has_tag_name("h2")).map(text_of).collect();
        for heading in ["Result before → after", "Preference pairs bootstrap/pairs", "Curves train"] {
            assert!(headings.iter().any(|found| found == heading), "{headings:?}");
        }
        let again = page.descendants().filter(|node| node.has_tag_name("h4")).map(text_of);
        assert!(again.into_iter().all(|title| title != "preference pairs"), "a lone piece has its section's heading");
    });
}

#[test]
fn a_timeline_shows_when_stages_were_at_work() {
    let model = sample::model();
    let bars = |model: &ReportModel| {
        let mut bars = Vec::new();
        with_document(&render(model), |page| {
            for row in of_class(page, "timeline").iter().flat_map(|table| table.descendants()) {
                let bar = row.descendants().find(|node| matches!(node.attribute("class"), Some("span" | "kept")));
                if let (true, Some(bar)) = (row.has_tag_name("tr"), bar) {
                    bars.push((text_of(row), sides(bar), bar.attribute("class").unwrap().to_owned()));
                }
            }
        });
        bars
    };
    let shown = bars(&model);
    assert_eq!(shown.len(), model.run.stages.len());
    let whole = model.run.wall_ms as f64;
    for ((text, [left, _, right, _], class), stage) in shown.iter().zip(&model.run.stages) {
        let when = stage.when.unwrap();
        assert!((left / 1000.0 - when.began_ms as f64 / whole).abs() < 0.005, "{text}: {left}");
        assert!((right / 1000.0 - when.ended_ms as f64 / whole).abs() < 0.005, "{text}: {right}");
        let kept = stage.counts.computed == 0 && stage.counts.hits > 0;
        assert_eq!((class == "kept", text.contains("from the store")), (kept, kept), "{text}");
    }
    let mut old = model;
    old.run.stages.iter_mut().for_each(|stage| stage.when = None);
    assert!(bars(&old).is_empty() && !render(&old).contains("Timeline"), "a record that does not say when has none");
}

#[test]
fn what_was_left_out_is_told_by_reason_with_examples() {
    let model = sample::model();
    with_document(&render(&model), |page| {
        let table = of_class(page, "reasons").pop().unwrap();
        let rows: Vec<String> =
            table.descendants().filter(|node| node.has_tag_name("tr")).skip(1).map(text_of).collect();
        assert_eq!(rows.len(), model.left_out.len());
        for (row, told) in rows.iter().zip(&model.left_out) {
            assert!(row.starts_with(&format!("{}{}", told.stage, told.reason)), "{row}");
            assert!(row.contains(&told.count.to_string()), "{row}");
            for example in &told.examples {
                assert!(row.contains(&example.record) && row.contains(&example.text), "{row}");
            }
        }
    });
}
