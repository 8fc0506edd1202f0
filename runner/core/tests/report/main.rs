//! The report, tested on a model as a whole run of the quickstart would give it: twelve scenes of the tiny world (their colours
//! reduced, so that the files are small) with made-up sentences, boxes and numbers. The page is read with an XML parser that is
//! not ours and, where Chromium is found, opened in it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod browser;
mod closing;
mod hostile;
mod many;
mod page;
mod sample;
mod versus;
mod widgets;

use std::path::{Path, PathBuf};

use sentinel_core::digest::Digest;
use sentinel_core::report::html;
use sentinel_core::report::model::ReportModel;

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Renders a report whose pictures are the fixtures'.
fn render(model: &ReportModel) -> String {
    let pictures = sample::pictures();
    html::html(model, &|digest: Digest| pictures.get(&digest).cloned())
}

/// Leaves a page where `tests/report/browser.py` finds it.
fn save(name: &str, page: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), page).unwrap();
}

/// Parses a page as XML; our style sheet and script, which are not, are left out.
fn with_document(page: &str, check: impl FnOnce(&roxmltree::Document<'_>)) {
    let mut text = page.strip_prefix("<!DOCTYPE html>\n").unwrap().to_owned();
    for name in ["style", "script"] {
        let (begin, end) = (text.find(&format!("<{name}")).unwrap(), text.find(&format!("</{name}>")).unwrap());
        text.replace_range(begin..end + name.len() + 3, "");
    }
    check(&roxmltree::Document::parse(&text).unwrap());
}

/// Returns an element's text, that of its descendants included.
fn text_of(node: roxmltree::Node<'_, '_>) -> String {
    node.descendants().filter(roxmltree::Node::is_text).filter_map(|inner| inner.text()).collect()
}

/// Returns the elements of a class.
fn of_class<'a, 'd>(document: &'a roxmltree::Document<'d>, class: &str) -> Vec<roxmltree::Node<'a, 'd>> {
    let has = |node: &roxmltree::Node<'_, '_>| {
        node.attribute("class").is_some_and(|classes| classes.split(' ').any(|one| one == class))
    };
    document.descendants().filter(has).collect()
}
