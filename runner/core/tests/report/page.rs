//! The page of the sample.

use std::collections::BTreeSet;

use sentinel_core::report::Widget;

use crate::{of_class, render, sample, text_of, with_document};

#[test]
fn equal_models_give_equal_bytes_and_none_of_their_time() {
    let page = render(&sample::model());
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
