//! A report of things that try to be more than text, and of pictures that are gone.

use sentinel_core::report::html;
use sentinel_core::report::text;

use crate::{render, sample, text_of, with_document};

const SCRIPT: &str = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u{1b}[31m\u{202e}";

#[test]
fn names_and_reasons_stay_text() {
    let mut model = sample::model();
    let plain = render(&model).matches("<script").count();
    model.run.workflow = SCRIPT.to_owned();
    model.run.params.push((SCRIPT.to_owned(), SCRIPT.into()));
    model.run.stages[0].counts.quarantined.insert(SCRIPT.to_owned(), 3);
    model.run.skipped.push((SCRIPT.to_owned(), SCRIPT.to_owned()));
    let page = render(&model);
    assert_eq!(page.matches("<script").count(), plain);
    assert!(!page.contains("<img src=x"));
    with_document(&page, |page| assert!(text_of(page.root()).contains("alert(1)")));
    let lines = text::text(&model, &[("report", SCRIPT.to_owned())]);
    assert!(!lines.contains('\u{1b}') && !lines.contains('\u{202e}'), "{lines:?}");
}

#[test]
fn pictures_that_are_gone_leave_a_page() {
    let page = html::html(&sample::model(), &|_| None);
    with_document(&page, |page| assert!(text_of(page.root()).contains("Records")));
}

#[test]
fn a_run_without_anything_has_a_page() {
    let mut model = sample::model();
    model.run.stages.clear();
    model.edges.clear();
    model.shown.clear();
    model.compare.clear();
    with_document(&render(&model), |page| assert!(text_of(page.root()).contains(&model.run.workflow)));
    assert!(!text::text(&model, &[]).is_empty());
}

#[test]
fn a_page_stays_within_its_bounds() {
    let mut model = sample::model();
    let shown = model.shown.clone();
    for number in 0..200 {
        model.shown.extend(shown.iter().cloned().map(|mut one| {
            one.stage = format!("{}-{number}", one.stage);
            one
        }));
    }
    let page = render(&model);
    assert!(page.len() <= html::HTML_BYTES_MAX, "{} bytes", page.len());
    with_document(&page, |_| ());
}
