//! One workflow with everything in it, and what must come of it: worked out record by record, without batches, keys or a store.

use std::collections::BTreeMap;

use crate::texts::{Soil, Text, Total, Word, grow, lines, pages, split, total};

/// The workflow; `{loop}`, `{body}` and `{all}` stand where settings go that must not matter.
pub(crate) const GROWTH: &str = "\
version: 1
name: growth
seed: 7
defaults: {exec: {all}}
stages:
  lines: {kind: lines, with: {file: texts.jsonl}}
  some: {kind: lines, with: {file: some.jsonl}}
  hints: {kind: split, needs: {texts: some}}
  stock: {kind: pack, needs: {words: hints}}
  growth:
    exec: {loop}
    loop:
      over: lines
      max_steps: 5
      stages:
        more:
          kind: grow
          exec: {body}
          needs: {texts: loop.state, words: kept, hints: hints, stock: stock}
        kept: {kind: pick, needs: {records: words}, with: {most: 2}}
        words: {kind: split, needs: {texts: loop.state}}
      carry: more
      collect: {words: words, kept: kept, texts: loop.final}
  after: {kind: split, needs: {texts: growth.texts}}
  totals: {kind: sum, needs: {words: growth.words}}
  bundle: {kind: pack, needs: {words: growth.kept, extra: stock}}
  looked: {kind: look, needs: {words: growth.kept, stock: bundle}}
";

/// The seed in it.
pub(crate) const SEED: u64 = 7;
const MAX_STEPS: u32 = 5;

/// Returns the workflow with settings that must not matter.
pub(crate) fn growth(in_flight: u32, batch: u32, threads: u32) -> String {
    GROWTH
        .replace("{loop}", &format!("{{in_flight: {in_flight}}}"))
        .replace("{body}", &format!("{{batch: {batch}, threads: {threads}}}"))
        .replace("{all}", &format!("{{batch: {batch}}}"))
}

/// What a run of it must give.
#[derive(Default)]
pub(crate) struct Expected {
    /// Path below the run's folder → content.
    pub(crate) results: BTreeMap<String, String>,
    pub(crate) cut: u64,
    pub(crate) no_state: u64,
    /// Units each body stage was asked about.
    pub(crate) asked: BTreeMap<&'static str, u64>,
    /// Units that were afraid in the loop.
    pub(crate) afraid: u64,
    /// Records without hints.
    pub(crate) unmatched: u64,
    /// Rows of every unit and step that `words` gave.
    pub(crate) words: Vec<(String, u32, Vec<Word>)>,
}

/// What is gathered of one record in the loop.
#[derive(Default)]
struct Gone {
    words: Option<Vec<Word>>,
    kept: Option<Vec<Word>>,
    last: Option<Text>,
}

pub(crate) fn simulate(seed: u64, texts: &[Text], some: &[Text]) -> Expected {
    let mut expected = Expected::default();
    let hints = splits("hints", some, &mut expected.results);
    let all_hints: Vec<&Word> = some.iter().filter_map(|text| hints.get(&text.id)).flatten().collect();
    let stock = pages(all_hints.into_iter());
    publish("stock/bundle", &stock, &mut expected.results);
    let stock_bytes = stock.values().map(|text| text.len() as u64).sum();
    let gone = texts.iter().map(|text| one(seed, text.clone(), &hints, stock_bytes, &mut expected));
    let gone: Vec<Gone> = gone.collect();

    let ids = || texts.iter().map(|text| text.id.as_str());
    let put = |results: &mut BTreeMap<String, String>, name: &str, text: String| {
        results.insert(name.to_owned(), text);
    };
    put(&mut expected.results, "lines/texts.jsonl", lines(texts));
    put(&mut expected.results, "some/texts.jsonl", lines(some));
    put(
        &mut expected.results,
        "growth/words.jsonl",
        lines(gone.iter().filter_map(|gone| gone.words.as_ref()).flatten()),
    );
    put(&mut expected.results, "growth/kept.jsonl", lines(gone.iter().filter_map(|gone| gone.kept.as_ref()).flatten()));
    let last: Vec<Text> = gone.iter().filter_map(|gone| gone.last.clone()).collect();
    put(&mut expected.results, "growth/texts.jsonl", lines(&last));
    splits("after", &last, &mut expected.results);

    let totals = ids().zip(&gone).filter_map(|(id, gone)| Some(total(id, gone.words.as_ref()?)));
    put(&mut expected.results, "totals/totals.jsonl", lines(totals.collect::<Vec<Total>>()));
    let mut bundle = pages(gone.iter().filter_map(|gone| gone.kept.as_ref()).flatten());
    let count = bundle["count.txt"].trim().to_owned();
    bundle.insert("extra.txt".into(), stock_bytes.to_string());
    publish("bundle/bundle", &bundle, &mut expected.results);
    let looked = gone.iter().filter_map(|gone| gone.kept.as_ref()).map(|kept| looked(kept, &count));
    put(&mut expected.results, "looked/words.jsonl", looked.collect());
    expected
}

/// One record's way through the loop.
fn one(seed: u64, mut text: Text, hints: &BTreeMap<String, Vec<Word>>, stock: u64, expected: &mut Expected) -> Gone {
    let mut gone = Gone::default();
    if text.end {
        gone = Gone { words: Some(Vec::new()), kept: Some(Vec::new()), last: Some(text) };
        return gone;
    }
    let mut asked = |stage| *expected.asked.entry(stage).or_default() += 1;
    for step in 0..MAX_STEPS {
        asked("words");
        let Some((words, _)) = split(&text) else {
            expected.afraid += 1;
            return gone;
        };
        asked("kept");
        let kept: Vec<Word> = words.iter().take(2).cloned().collect();
        expected.words.push((text.id.clone(), step, words.clone()));
        gone.words.get_or_insert_default().extend(words);
        gone.kept.get_or_insert_default().extend(kept.clone());
        let Some(hints) = hints.get(&text.id) else {
            expected.unmatched += 1;
            return gone;
        };
        asked("more");
        let soil = Soil { seed, stream: "grow", step, kept: &kept, hints, stock };
        let Some(more) = grow(&text, &soil) else {
            expected.no_state += 1;
            return gone;
        };
        text = more;
        if text.end {
            gone.last = Some(text);
            return gone;
        }
    }
    expected.cut += 1;
    gone.last = Some(text);
    gone
}

/// Splits texts outside the loop; those afraid are left out.
pub(crate) fn splits(
    stage: &str,
    texts: &[Text],
    results: &mut BTreeMap<String, String>,
) -> BTreeMap<String, Vec<Word>> {
    let done: Vec<_> = texts.iter().filter_map(|text| Some((text.id.clone(), split(text)?))).collect();
    results.insert(format!("{stage}/words.jsonl"), lines(done.iter().flat_map(|(_, (words, _))| words)));
    results.insert(format!("{stage}/dropped.jsonl"), lines(done.iter().flat_map(|(_, (_, dropped))| dropped)));
    done.into_iter().map(|(id, (words, _))| (id, words)).collect()
}

pub(crate) fn publish(place: &str, pages: &BTreeMap<String, String>, results: &mut BTreeMap<String, String>) {
    results.extend(pages.iter().map(|(name, text)| (format!("{place}/{name}"), text.clone())));
}

/// What looking up words gives: each with the digest of a page about it, then the count of the files.
fn looked(kept: &[Word], count: &str) -> String {
    let mut rows = String::new();
    for Word { word, letters } in kept {
        let page = blake3::hash(format!("the word {word}").as_bytes()).to_hex();
        rows += &format!("{{\"word\":\"{word}\",\"letters\":{letters},\"page\":\"{page}\"}}\n");
    }
    rows + &format!("{{\"word\":\"stock\",\"letters\":{count}}}\n")
}
