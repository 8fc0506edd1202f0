//! Two runs on one page.

use sentinel_core::digest::Digest;
use sentinel_core::report::model::ReportModel;
use sentinel_core::report::{Card, Cell, Tone, Widget, html};

use crate::{of_class, sample, save, text_of, with_document};

/// The sample, trained otherwise: another number, and other captions of the third and fifth picture.
fn later() -> ReportModel {
    let mut model = sample::model();
    model.run.digest = Digest::of(b"everything else");
    model.run.stages.iter_mut().find(|stage| stage.id == "train").unwrap().fingerprint = Some(Digest::of(b"beta"));
    let after = model.run.stages.iter_mut().find(|stage| stage.id == "after").unwrap();
    after.outputs[0].content = Digest::of(b"other measurements");
    model.run.stages.retain(|stage| stage.id != "to-hadpo");
    let shown = model.shown.iter_mut().filter(|shown| ["captions-after", "after"].contains(&shown.stage.as_str()));
    for widget in shown.flat_map(|shown| &mut shown.widgets) {
        match widget {
            Widget::Table { rows, .. } => {
                let Cell::Number(number) = &mut rows[0][1] else { panic!("a measure is a number") };
                number.value = 2.1;
            }
            Widget::Gallery { cards, .. } => {
                for card in [2, 4] {
                    cards[card].lines[0].spans = vec![("Quite another caption.".to_owned(), Tone::Plain)];
                }
            }
            Widget::Curve { .. } => {}
        }
    }
    model
}

fn page(was: &ReportModel, now: &ReportModel, causes: &[&str]) -> String {
    let pictures = sample::pictures();
    let causes: Vec<String> = causes.iter().map(|line| (*line).to_owned()).collect();
    html::versus(was, now, &causes, &|digest| pictures.get(&digest).cloned())
}

fn captions(model: &ReportModel) -> &[Card] {
    let shown = model.shown.iter().find(|shown| shown.stage == "after").unwrap();
    let cards = shown.widgets.iter().find_map(|widget| match widget {
        Widget::Gallery { cards, .. } => Some(cards.as_slice()),
        Widget::Table { .. } | Widget::Curve { .. } => None,
    });
    cards.unwrap()
}

#[test]
fn what_differs_stands_side_by_side_and_what_does_not_is_said_to() {
    let (was, now) = (sample::model(), later());
    let page = page(&was, &now, &["`with.beta` was 0.1 and is 0.2 (of `train`)"]);
    save("versus.html", &page);
    with_document(&page, |page| {
        let text = text_of(page.root());
        for told in ["with.beta was 0.1 and is 0.2", "The same in both: what before shows in numbers", "4.3 %", "2.1 %"]
        {
            assert!(text.contains(told), "no `{told}`");
        }
        let cards: Vec<String> = of_class(page, "card").into_iter().map(text_of).collect();
        assert_eq!(cards.len(), 2, "pictures of which both say the same are left out, and nothing is shown twice");
        for (card, told) in cards.iter().zip([2, 4].map(|place| &captions(&was)[place])) {
            let before: String = told.lines[0].spans.iter().map(|(text, _)| text.as_str()).collect();
            let seen = card.replace(" (in the picture)", "").replace(" (not in the picture)", "");
            assert!(
                seen.contains(&told.id) && seen.contains(&before) && seen.contains("Quite another caption."),
                "{seen}"
            );
        }
        let stages = of_class(page, "versus").pop().unwrap();
        let fate = |name: &str| {
            let rows = stages.descendants().filter(|node| node.has_tag_name("tr"));
            let mut cells = rows.map(|row| row.children().map(text_of).collect::<Vec<_>>());
            cells.find(|cells| cells[0] == name).unwrap_or_else(|| panic!("no `{name}`"))[1].clone()
        };
        for (name, told) in [
            ("train", "set up otherwise, the same results"),
            ("after", "other results"),
            ("before", "the same"),
            ("to-hadpo", "only in the earlier run"),
        ] {
            assert_eq!(fate(name), told, "{name}");
        }
        assert_eq!(of_class(page, "curve").len(), 4, "curves of both are drawn together");
    });
}

#[test]
fn equal_runs_are_told_to_be_equal_and_hostile_ones_stay_text() {
    let model = sample::model();
    with_document(&page(&model, &model, &[]), |page| {
        let text = text_of(page.root());
        assert!(
            text.contains("They were made of the same") && text.contains("The same in both: what after, before shows")
        );
        assert!(of_class(page, "card").is_empty());
    });
    let script = "</script><script>alert(1)</script>";
    let mut other = later();
    other.run.workflow = script.to_owned();
    let page = page(&model, &other, &[script]);
    assert_eq!(page.matches("<script").count(), 1);
    with_document(&page, |page| assert!(text_of(page.root()).contains("alert(1)")));
}
