//! What the made-up stages compute, as plain functions on plain values. The stages call them unit by unit through the runner, the
//! simulation record by record without it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A text that grows word by word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Text {
    pub(crate) id: String,
    pub(crate) text: String,
    /// Words it grows by before it is finished.
    pub(crate) goal: u32,
    /// Words it has grown by.
    pub(crate) grown: u32,
    /// When it has grown by so many words, splitting it is a fault of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fear: Option<u32>,
    /// When it has grown by so many words, growing it gives nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vanish: Option<u32>,
    /// No stage sees it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) remark: String,
    /// A file of the shelf, then the digest of its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attached: Option<String>,
    /// Whether it leaves the loop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) end: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Word {
    pub(crate) word: String,
    pub(crate) letters: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dropped {
    pub(crate) word: String,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Total {
    pub(crate) id: String,
    pub(crate) words: usize,
    pub(crate) letters: usize,
}

/// Splits a text into words; those with an x are unwanted. `None`: it was afraid.
pub(crate) fn split(text: &Text) -> Option<(Vec<Word>, Vec<Dropped>)> {
    if text.fear == Some(text.grown) {
        return None;
    }
    let (mut words, mut dropped) = (Vec::new(), Vec::new());
    for word in text.text.split_whitespace() {
        if word.contains('x') {
            dropped.push(Dropped { word: word.into(), reason: "unwanted".into() });
        } else {
            words.push(Word { word: word.into(), letters: word.chars().count() });
        }
    }
    Some((words, dropped))
}

/// What a text grows from.
pub(crate) struct Soil<'a> {
    pub(crate) seed: u64,
    pub(crate) stream: &'a str,
    pub(crate) step: u32,
    pub(crate) kept: &'a [Word],
    pub(crate) hints: &'a [Word],
    /// Bytes of files that are there for all.
    pub(crate) stock: u64,
}

/// Grows a text by one word, drawn at random; `None` if it vanishes.
pub(crate) fn grow(text: &Text, soil: &Soil<'_>) -> Option<Text> {
    if text.vanish == Some(text.grown) {
        return None;
    }
    let Soil { seed, stream, step, kept, hints, stock } = soil;
    let (kept, hints) = (kept.iter(), hints.iter());
    let near: String = kept.chain(hints).map(|word| word.word.as_str()).collect();
    let drawn = scrambled(&format!("{seed}/{stream}/{}/{step}/{near}/{stock}", text.id));
    let letters = "abcdefghijklmnopqrstuvwxyz".as_bytes();
    let letter = |place: u32| char::from(letters[(drawn >> (5 * place)) as usize % letters.len()]);
    let word: String = (0..2 + drawn as u32 % 4).map(letter).collect();
    let grown = text.grown + 1;
    let (text_now, end) = (format!("{} {word}", text.text), grown >= text.goal);
    Some(Text { text: text_now, grown, end, remark: String::new(), attached: None, ..text.clone() })
}

/// Sorts words into a file a letter, and counts them in one more.
pub(crate) fn pages<'w>(words: impl Iterator<Item = &'w Word>) -> BTreeMap<String, String> {
    let (mut pages, mut count) = (BTreeMap::new(), 0);
    for word in words {
        let page: &mut String = pages.entry(format!("letters/{}.txt", &word.word[..1])).or_default();
        page.push_str(&word.word);
        page.push('\n');
        count += 1;
    }
    pages.insert("count.txt".into(), format!("{count}\n"));
    pages
}

pub(crate) fn total(id: &str, words: &[Word]) -> Total {
    Total { id: id.into(), words: words.len(), letters: words.iter().map(|word| word.letters).sum() }
}

/// FNV-1a, scrambled further.
fn scrambled(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 7
}

/// Texts of every sort: they end at different steps, at once, or never in time; two are afraid in mid-loop, some vanish, some have
/// no wanted word.
pub(crate) fn texts(count: usize) -> Vec<Text> {
    let text = |number: usize| Text {
        id: format!("t{number:03}"),
        text: ["one two", "three", "x xx", "four five six", ""][number % 5].to_owned(),
        goal: 1 + (number as u32 * 7) % 8,
        fear: [(20, 2), (41, 1)].iter().find(|(afraid, _)| *afraid == number).map(|(_, at)| *at),
        vanish: (number % 17 == 3).then_some(number as u32 % 3),
        remark: format!("remark {number}"),
        end: number % 13 == 5,
        ..Text::default()
    };
    (0..count).map(text).collect()
}

/// Writes records as JSON lines.
pub(crate) fn lines<T: Serialize>(records: impl IntoIterator<Item = T>) -> String {
    records.into_iter().map(|record| serde_json::to_string(&record).unwrap() + "\n").collect()
}
