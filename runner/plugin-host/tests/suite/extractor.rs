//! The bundled extractor through the sandbox. Which words name which object is tested where the words are
//! (`plugins/bundled/coco-objects/src/lexicon.rs`); here is what crosses the border.

use sentinel_domain::records::{Mention, Sentence};

use crate::bench::{host, shipped};

fn sentences(texts: &[&str]) -> Vec<Sentence> {
    let sentence = |(candidate, text): (u32, &&str)| Sentence {
        candidate,
        text: (*text).to_owned(),
        ended: false,
        cut: false,
        tokens: 1,
    };
    (0..).zip(texts).map(sentence).collect()
}

/// Candidate, name, words.
fn told(mention: &Mention) -> (u32, &str, &str) {
    (mention.candidate, &mention.name, &mention.surface)
}

#[test]
fn mentions_come_back_in_order_with_their_places() {
    let extractor = host().extractor(&shipped("coco-objects")).unwrap();
    let texts = ["Two puppies chase a Frisbee.", "", "Eine Tür 🐕; a baby elephant, traffic lights", "Nothing here."];
    let units = [sentences(&texts), Vec::new(), sentences(&["A man's tie."])];
    let answers = extractor.extract("{}", &units).unwrap();
    let told: Vec<Vec<_>> = answers.iter().map(|answer| answer.as_ref().unwrap().iter().map(told).collect()).collect();
    let first = [
        (0, "dog", "puppies"),
        (0, "frisbee", "Frisbee"),
        (2, "elephant", "baby elephant"),
        (2, "traffic light", "traffic lights"),
    ];
    assert_eq!(told, [first.to_vec(), vec![], vec![(0, "person", "man's"), (0, "tie", "tie")]]);
    for mention in answers[0].as_ref().unwrap() {
        let text = texts[mention.candidate as usize];
        assert_eq!(text[mention.start as usize..mention.end as usize], mention.surface);
    }
}

#[test]
fn a_unit_is_answered_alike_in_any_company() {
    let extractor = host().extractor(&shipped("coco-objects")).unwrap();
    let units: Vec<_> = ["A cat.", "A dog and a cat.", "", "Oxen."].map(|text| sentences(&[text])).into();
    let together = extractor.extract("{}", &units).unwrap();
    for (unit, answer) in units.iter().zip(&together) {
        assert_eq!(extractor.extract("{}", std::slice::from_ref(unit)).unwrap()[0], *answer);
    }
    let threads: Vec<_> = std::thread::scope(|scope| {
        let ask = || extractor.extract("{}", &units).unwrap();
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(threads.iter().all(|answers| *answers == together));
}

#[test]
fn long_texts_stay_inside_the_limits() {
    let extractor = host().extractor(&shipped("coco-objects")).unwrap();
    let text = "A dog and a very old hot dog stand near a bus stop. ".repeat(4_000);
    let answer = extractor.extract("{}", &[sentences(&[&text])]).unwrap().remove(0).unwrap();
    assert_eq!(answer.len(), 4_000);
}
