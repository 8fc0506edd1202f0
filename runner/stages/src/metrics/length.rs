//! How long captions are, and whether their language broke: a word said twice in a row, a sentence said again, a caption cut at its
//! limit.

use std::collections::BTreeSet;

use sentinel_domain::records::Measurement;

use super::{Told, mean, share};

/// Returns mean numbers of distinct objects and of words, and the shares of captions that were cut, that say a word twice in a row,
/// and that say a sentence again.
pub(super) fn length(told: &[Told<'_>]) -> Vec<Measurement> {
    let objects = told.iter().map(|one| one.named().collect::<BTreeSet<_>>().len()).sum();
    let words = told
        .iter()
        .map(|one| one.caption.sentences.iter().map(|sentence| words(sentence).count()).sum::<usize>())
        .sum();
    let cut = told.iter().filter(|one| one.caption.cut).count();
    let again = told.iter().filter(|one| says_again(&one.caption.sentences)).count();
    let repeating = told.iter().filter(|one| repeats(&one.caption.sentences)).count();
    vec![
        mean("objects", "objects named", objects, told.len()),
        mean("words", "words", words, told.len()),
        share("cut", "captions cut at a limit", cut, told.len(), Some(true)),
        share("word_repetition", "captions with a word twice in a row", repeating, told.len(), Some(true)),
        share("sentence_repetition", "captions with a sentence said again", again, told.len(), Some(true)),
    ]
}

fn words(sentence: &str) -> impl Iterator<Item = &str> {
    sentence
        .split_whitespace()
        .map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()))
        .filter(|word| !word.is_empty())
}

fn repeats(sentences: &[String]) -> bool {
    let all: Vec<String> = sentences.iter().flat_map(|sentence| words(sentence)).map(str::to_lowercase).collect();
    all.windows(2).any(|pair| pair[0] == pair[1])
}

fn says_again(sentences: &[String]) -> bool {
    let mut said = BTreeSet::new();
    !sentences.iter().all(|sentence| said.insert(sentence.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_said_again() {
        for (texts, found) in [
            (&["A dog.", "A cat.", " A dog."][..], true),
            (&["A dog.", "A cat."], false),
            (&["A dog. A dog."], false),
            (&[], false),
        ] {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(says_again(&texts), found, "{texts:?}");
        }
    }

    #[test]
    fn a_word_twice_in_a_row() {
        for (text, found) in [
            ("This is a a dog.", true),
            ("A dog. A dog.", false),
            ("It is. Is it?", true),
            ("That - that!", true),
            ("a cat, an cat", false),
            ("", false),
        ] {
            assert_eq!(repeats(&[text.to_owned()]), found, "{text}");
        }
        assert!(repeats(&["A dog".to_owned(), "dog".to_owned()]), "across sentences");
    }
}
