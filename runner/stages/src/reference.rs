//! What the pure functions of this crate make of cases that others decided: see `tests/reference/chair.py` and
//! `tests/reference/pairs.py`, and the numbers recorded beside them.

use std::collections::BTreeMap;

use sentinel_core::digest::Digest;
use sentinel_domain::records::{Caption, Description, Detection, FoundBox, Memory, Sentence, Standing};
use serde::Deserialize;

use crate::candidates::{Mode, Stop};
use crate::extend::{Step, extend};
use crate::judge::{Naming, Policy, Vocabulary, judge};
use crate::metrics::{Metric, Told, Truth, measure};
use crate::pair::{Rules, pair};

#[derive(Deserialize)]
struct Chair {
    scenes: BTreeMap<u64, Vec<String>>,
    agree: Vec<Read>,
    differ: Vec<Read>,
    summary: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Read {
    picture: u64,
    caption: String,
    mentioned: Vec<String>,
    absent: Vec<String>,
}

fn truth(scenes: &BTreeMap<u64, Vec<String>>) -> Truth {
    let mut names: Vec<&String> = scenes.values().flatten().collect();
    names.sort_unstable();
    names.dedup();
    let number = |name| names.binary_search(&name).unwrap();
    let images: Vec<_> =
        scenes.keys().map(|id| serde_json::json!({ "id": id, "file_name": format!("{id}.png") })).collect();
    let instances = scenes.iter().flat_map(|(id, names)| names.iter().map(move |name| (id, name)));
    let annotations: Vec<_> =
        instances.map(|(id, name)| serde_json::json!({ "image_id": id, "category_id": number(name) })).collect();
    let categories: Vec<_> = names.iter().map(|name| serde_json::json!({ "id": number(name), "name": name })).collect();
    let file = serde_json::json!({ "images": images, "annotations": annotations, "categories": categories });
    Truth::parse(file.to_string().as_bytes()).unwrap()
}

fn captions(reads: &[Read]) -> Vec<Caption> {
    let caption = |read: &Read| Caption {
        id: read.picture.to_string(),
        picture: Digest::of(b""),
        image_path: String::new(),
        question: String::new(),
        sentences: vec![read.caption.clone()],
        cut: false,
        tokens: 0,
    };
    reads.iter().map(caption).collect()
}

#[test]
fn chair_agrees_with_an_independent_implementation() {
    let Chair { scenes, agree, differ, summary } =
        serde_json::from_str(include_str!("../../../tests/reference/chair.json")).unwrap();
    let truth = truth(&scenes);
    let names =
        |told: &Told<'_>| told.mentions.iter().flatten().map(|mention| mention.name.clone()).collect::<Vec<_>>();
    let all = captions(&agree);
    let told: Vec<Told<'_>> = all.iter().map(|caption| Told::of(caption, truth.scene(caption).unwrap())).collect();
    for (read, told) in agree.iter().zip(&told) {
        assert_eq!(names(told), read.mentioned, "{}", read.caption);
        let absent: Vec<String> = names(told).into_iter().filter(|name| !told.is_there(name)).collect();
        assert_eq!(absent, read.absent, "{}", read.caption);
    }
    let measured = measure(Metric::Chair, &told).unwrap();
    for (measurement, name) in measured.iter().zip(["CHAIRs", "CHAIRi", "object_recall"]) {
        // One rounding of the JSON reader.
        assert!(
            (measurement.value - summary[name]).abs() < 1e-15,
            "{name}: {} and {}",
            measurement.value,
            summary[name]
        );
    }
    let ours: [&[&str]; 7] = [
        &["couch"],
        &["horse", "scissors"],
        &["vase"],
        &["mouse"],
        &[],
        &["person", "person", "cup", "tie"],
        &["teddy bear"],
    ];
    for ((read, caption), ours) in differ.iter().zip(captions(&differ)).zip(ours) {
        let told = names(&Told::of(&caption, truth.scene(&caption).unwrap()));
        assert_eq!(told, ours, "{}", read.caption);
        assert_ne!(told, read.mentioned, "`{}` agrees now: it belongs to the others", read.caption);
    }
}

#[derive(Deserialize)]
struct Case {
    given: Given,
    expected: Expected,
}

#[derive(Deserialize)]
struct Given {
    sentences: Vec<String>,
    objects: BTreeMap<String, Vec<String>>,
    factual: Vec<String>,
    uncertain: Vec<String>,
    hallucinated: Vec<String>,
    context_objects: Vec<String>,
    dino: Vec<String>,
    yolo_names: Vec<String>,
    yolo_found: Vec<String>,
}

#[derive(Deserialize)]
struct Expected {
    stops: bool,
    factual: Vec<String>,
    uncertain: Vec<String>,
    hallucinated: Vec<String>,
    pairs: Vec<(String, String)>,
    grows: Vec<String>,
}

impl Given {
    fn sentences(&self) -> Vec<Sentence> {
        let sentence = |(candidate, text): (u32, &String)| Sentence {
            candidate,
            text: text.clone(),
            ended: text.is_empty(),
            cut: false,
            tokens: 1,
        };
        (0..).zip(&self.sentences).map(sentence).collect()
    }

    fn namings(&self) -> Vec<Naming> {
        let of = |(candidate, text): (u32, &String)| {
            let names = self.objects.get(text).cloned().unwrap_or_default();
            names.into_iter().map(move |name| Naming { candidate, name })
        };
        (0..).zip(&self.sentences).flat_map(of).collect()
    }

    fn detections(&self) -> [Detection; 2] {
        let boxes = |names: &[String]| {
            names.iter().map(|name| FoundBox { name: name.clone(), score: 1.0, xyxy: [0.0; 4] }).collect()
        };
        let (dino, yolo) = ("dino".to_owned(), "yolo".to_owned());
        [
            Detection { detector: dino, vocabulary: None, boxes: boxes(&self.dino) },
            Detection { detector: yolo, vocabulary: Some(self.yolo_names.clone()), boxes: boxes(&self.yolo_found) },
        ]
    }

    fn description(&self) -> Description {
        let mut memory = Memory::default();
        for (names, standing) in [
            (&self.factual, Standing::Factual),
            (&self.uncertain, Standing::Uncertain),
            (&self.hallucinated, Standing::Hallucinated),
        ] {
            names.iter().for_each(|name| memory.remember(name, standing));
        }
        let (id, image_path, question) = (String::new(), String::new(), String::new());
        let (context, named) = (Vec::new(), self.context_objects.clone());
        Description { id, picture: Digest::of(b""), image_path, question, context, named, memory, end: None }
    }
}

#[test]
fn the_compat_mode_decides_as_the_released_rules_do() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../tests/reference/pairs.json")).unwrap();
    for (number, Case { given, expected }) in cases.iter().enumerate() {
        let (sentences, description) = (given.sentences(), given.description());
        let verdicts =
            judge(&description.memory, &given.namings(), &given.detections(), Policy::Unanimous, Vocabulary::Closed);
        assert_eq!(Stop::Distinct.holds(&sentences), expected.stops, "case {number}");
        let pairs = pair(&description, 0, &sentences, &verdicts, &Rules::of(Mode::Compat));
        let told: Vec<_> = pairs.into_iter().map(|pair| (pair.chosen, pair.rejected)).collect();
        assert_eq!(told, expected.pairs, "case {number}");
        let step = Step { sentences: &sentences, verdicts: &verdicts, paired: &[] };
        let mut grows = Vec::new();
        for index in 0..sentences.len() {
            let mut within = true;
            let mut draw = |count| {
                within = index < count;
                index
            };
            let grown = extend(description.clone(), &step, Mode::Compat, Stop::Distinct, &mut draw);
            let memory = (grown.memory.factual, grown.memory.uncertain, grown.memory.hallucinated);
            assert_eq!(
                memory,
                (expected.factual.clone(), expected.uncertain.clone(), expected.hallucinated.clone()),
                "case {number}"
            );
            grows.extend(grown.context.into_iter().filter(|_| within));
        }
        assert_eq!(grows, expected.grows, "case {number}");
    }
}
