//! The workflow most tests run, and what must come of it: a set of texts, split unit by unit, a few words kept of each, all of them
//! summed and packed.

use std::collections::BTreeMap;

use crate::simulation::{publish, splits};
use crate::texts::{Text, Word, lines, pages, texts, total};

/// The workflow.
pub(crate) const PLAIN: &str = "\
version: 1
name: plain
stages:
  lines: {kind: lines, with: {file: texts.jsonl}}
  words: {kind: split, exec: {batch: 4}, needs: {texts: lines}}
  few: {kind: pick, needs: {records: words}, with: {most: 2}}
  totals: {kind: sum, needs: {words: few}}
  bundle: {kind: pack, needs: {words: words}}
";

/// Returns texts that no stage is afraid of.
pub(crate) fn plain(count: usize) -> Vec<Text> {
    texts(count).into_iter().map(|text| Text { fear: None, ..text }).collect()
}

/// Returns texts of which these are set aside when they are split.
pub(crate) fn afraid(count: usize, numbers: &[usize]) -> Vec<Text> {
    let texts = plain(count).into_iter().enumerate();
    texts.map(|(number, text)| Text { fear: numbers.contains(&number).then_some(0), ..text }).collect()
}

/// Returns what a run must give: path below its folder → content.
pub(crate) fn expected(texts: &[Text]) -> BTreeMap<String, String> {
    let mut results = BTreeMap::from([("lines/texts.jsonl".to_owned(), lines(texts))]);
    let words = splits("words", texts, &mut results);
    let in_order = || texts.iter().filter_map(|text| Some((&text.id, words.get(&text.id)?)));
    let few: Vec<(&String, &[Word])> = in_order().map(|(id, words)| (id, &words[..words.len().min(2)])).collect();
    results.insert("few/records.jsonl".into(), lines(few.iter().flat_map(|(_, words)| *words)));
    results.insert("totals/totals.jsonl".into(), lines(few.iter().map(|(id, words)| total(id, words))));
    publish("bundle/bundle", &pages(in_order().flat_map(|(_, words)| words)), &mut results);
    results
}
