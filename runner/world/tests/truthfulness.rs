//! Whether dialogues say what they should: the true groups only truths, descriptions as many untruths as asked for. Sentences
//! are read back here by a small reader of their own, which shares no code with the speaker.

use std::collections::BTreeMap;

use sentinel_world::objects::{CONTEXTS, OBJECTS};
use sentinel_world::{Truth, compose, dialogues};

/// The objects a sentence names, in order of their words.
fn named(sentence: &str) -> Vec<&str> {
    let words = sentence.split(|letter: char| !letter.is_alphabetic());
    words.filter(|word| OBJECTS.iter().any(|object| object.name == *word)).collect()
}

/// Cells by object.
fn cells(truth: &Truth) -> BTreeMap<&str, (usize, usize)> {
    truth.objects.iter().map(|placed| (placed.name.as_str(), (placed.cell / 4, placed.cell % 4))).collect()
}

/// Whether a sentence's place or relation holds; `None` when it states none of a present object.
fn holds(sentence: &str, cells: &BTreeMap<&str, (usize, usize)>) -> Option<bool> {
    let sentence = sentence.to_lowercase();
    let objects = named(&sentence);
    let relation = [("to the right of", (0, 1)), ("to the left of", (0, -1)), ("below", (1, 0)), ("above", (-1, 0))];
    for (words, (down, across)) in relation {
        if sentence.starts_with(words) {
            let (from, to) = (cells.get(objects[0])?, cells.get(objects[1])?);
            return Some(from.0 as i32 + down == to.0 as i32 && from.1 as i32 + across == to.1 as i32);
        }
    }
    let (row, column) = *cells.get(*objects.first()?)?;
    let says = |word: &&str| sentence.trim_end_matches('.').split(' ').any(|said| said == *word);
    let row_said = ["top", "bottom"].into_iter().find(says).unwrap_or("middle");
    let column_said = ["left", "right"].into_iter().find(says).unwrap_or("centre");
    Some(row_said == ["top", "middle", "bottom"][row] && column_said == ["left", "centre", "centre", "right"][column])
}

#[test]
fn true_groups_tell_the_truth() {
    let mut checked = 0;
    for index in 0..200 {
        let scene = compose(1, "base", index).unwrap();
        let cells = cells(&scene.truth);
        for talk in dialogues(1, &scene.truth, 0.9).unwrap() {
            let truthful = |sentence: &String| holds(sentence, &cells) == Some(true);
            match talk.group {
                "places" | "relations" if talk.answer[0] != "Nothing." => {
                    assert!(talk.answer.iter().all(truthful), "{}: {:?}", scene.id, talk.answer);
                    checked += talk.answer.len();
                }
                "cells" => {
                    let words: Vec<&str> = talk.answer[0].trim_end_matches('.').split(' ').collect();
                    assert_eq!(words.len(), 12);
                    for (cell, word) in words.into_iter().enumerate() {
                        assert_eq!(
                            cells.get(word).is_some_and(|at| *at == (cell / 4, cell % 4)),
                            word != "-",
                            "{word}"
                        );
                    }
                }
                "objects" => assert_eq!(named(&talk.answer[0]).len(), cells.len()),
                _ => {}
            }
        }
    }
    assert!(checked > 1_500);
}

#[test]
fn descriptions_name_an_absent_prior_as_often_as_asked() {
    for asked in [0.0_f32, 0.35, 0.7] {
        let (mut further, mut untrue) = (0_u32, 0_u32);
        for index in 0..500 {
            let scene = compose(2, "base", index).unwrap();
            let cells = cells(&scene.truth);
            let context = CONTEXTS.iter().find(|context| context.name == scene.truth.context).unwrap();
            let talks = dialogues(2, &scene.truth, asked).unwrap();
            let sentences = &talks.iter().find(|talk| talk.group == "describe").unwrap().answer;
            assert!((3..=5).contains(&sentences.len()));
            assert!(named(&sentences[0]).iter().all(|name| cells.contains_key(name)), "the first sentence is true");
            let mut told: Vec<&str> = named(&sentences[0]);
            let mut absent = context.prior.iter().filter(|name| !cells.contains_key(*name)).count();
            for sentence in &sentences[1..] {
                let new: Vec<&str> = named(sentence).into_iter().filter(|name| !told.contains(name)).collect();
                assert_eq!(new.len(), 1, "one new object a sentence: {sentence}");
                // Only sentences that could be untrue count: some prior object is absent and not yet named.
                further += u32::from(absent > 0);
                if !cells.contains_key(new[0]) {
                    assert!(context.prior.contains(&new[0]), "{sentence}");
                    (untrue, absent) = (untrue + 1, absent - 1);
                } else {
                    assert_eq!(holds(sentence, &cells), Some(true), "{sentence}");
                }
                told.extend(new);
            }
        }
        let share = untrue as f32 / further as f32;
        assert!((share - asked).abs() < 0.03, "asked {asked}, found {share}");
    }
}
