//! What stands around the sections: the head of the document, the heading, the contents, and the end.

use super::element::{Element, el};
use crate::digest::Digest;
use crate::report::record::RunRecord;
use crate::report::wording::{clipped, count, counted, duration};

const STYLE: &str = concat!(include_str!("page.css"), include_str!("parts.css"));
const SCRIPT: &str = include_str!("page.js");

const NAME_CHARS_MAX: usize = 120;
const VALUE_CHARS_MAX: usize = 300;
const PARAMS_MAX: usize = 200;

/// Writes the whole document. The policy in its head lets nothing be fetched, and only our script run: its nonce is a digest of
/// the body, so no text in the body can know it.
pub(super) fn document(title: &str, body: Element) -> String {
    let nonce = Digest::of(body.to_string().as_bytes()).short();
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'"
    );
    let meta = |name: &'static str, content: &str| el("meta").attr("name", name).attr("content", content);
    let head = el("head")
        .with(el("meta").attr("charset", "utf-8"))
        .with(el("meta").attr("http-equiv", "Content-Security-Policy").attr("content", policy))
        .with(meta("viewport", "width=device-width, initial-scale=1"))
        .with(meta("color-scheme", "light dark"))
        .with(meta("generator", concat!("sentinel ", env!("CARGO_PKG_VERSION"))))
        .with(el("title").text(clipped(title, NAME_CHARS_MAX)))
        .with(el("link").attr("rel", "icon").attr("href", "data:,"))
        .with(el("style").source(STYLE));
    let body = body.with(el("script").attr("nonce", nonce).source(SCRIPT));
    format!("<!DOCTYPE html>\n{}\n", el("html").attr("lang", "en").with(head).with(body))
}

/// Tells a run in a few words.
pub(super) fn facts(run: &RunRecord) -> [String; 5] {
    let stages = run.stages.iter().filter(|stage| stage.kind != "loop");
    let (hits, computed) = stages
        .clone()
        .fold((0, 0), |(hits, computed), stage| (hits + stage.counts.hits, computed + stage.counts.computed));
    let aside = match run.quarantined() {
        0 => "nothing set aside".to_owned(),
        units => format!("{} set aside", counted(units, "unit")),
    };
    [
        counted(stages.count() as u64, "stage"),
        duration(run.wall_ms),
        format!("{} computed", counted(computed, "unit")),
        format!("{} from the store", count(hits)),
        aside,
    ]
}

/// Shows what ran: what kind of page this is, its name, and some facts.
pub(super) fn heading(brand: &str, name: &str, facts: impl IntoIterator<Item = String>) -> Element {
    let fact = |text: String| el("li").text(text);
    let theme = el("button").attr("type", "button").attr("id", "theme").attr("hidden", "hidden").text("Dark");
    el("header")
        .with(el("div").class("brand").with(el("span").text(brand)).with(theme))
        .with(el("h1").text(clipped(name, NAME_CHARS_MAX)))
        .with(el("ul").class("facts").all(facts.into_iter().map(fact)))
}

/// Shows what the page has, as links.
pub(super) fn contents(entries: &[(String, String)]) -> Element {
    let entry = |(anchor, title): &(String, String)| {
        el("li").with(el("a").attr("href", format_args!("#{anchor}")).text(clipped(title, 40)))
    };
    el("nav").attr("aria-label", "contents").with(el("ul").all(entries.iter().map(entry)))
}

/// Shows what everything came from.
pub(super) fn origin(run: &RunRecord) -> Element {
    let pair = |name: &str, value: &str| {
        [el("dt").text(clipped(name, NAME_CHARS_MAX)), el("dd").text(clipped(value, VALUE_CHARS_MAX))]
    };
    let params = run.params.iter().take(PARAMS_MAX).map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        pair(&format!("params.{name}"), &value)
    });
    let own = [
        pair("program", &format!("sentinel {}", run.program)),
        pair("seed", &run.seed.to_string()),
        pair("digest of all that results depend on", &run.digest.to_string()),
    ];
    el("dl").class("origin").all(own.into_iter().flatten()).all(params.flatten())
}
