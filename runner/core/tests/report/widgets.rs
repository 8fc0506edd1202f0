//! What the sample's stages show: sentences made from what is in the pictures, with things that are not.

use sentinel_core::digest::Digest;
use sentinel_core::report::{Better, Card, Cell, Line, Number, PictureBox, Series, Tone, Widget};

use crate::sample::{Scene, picture};

/// What goes together in people's minds, though it is not always in the picture.
const EXPECTED: &[&str] = &["umbrella", "bench", "bottle", "kite", "spoon", "backpack", "clock", "handbag"];

fn legend(words: &[(Tone, &str)]) -> Vec<(Tone, String)> {
    words.iter().map(|(tone, word)| (*tone, (*word).to_owned())).collect()
}

fn standings() -> Vec<(Tone, String)> {
    legend(&[(Tone::Good, "factual"), (Tone::Doubtful, "uncertain"), (Tone::Bad, "hallucinated")])
}

/// Writes a line from pieces; `*` stands for an object with its tone.
fn said(pattern: &str, objects: &[(&str, Tone)]) -> Line {
    let mut spans = Vec::new();
    for (place, piece) in pattern.split('*').enumerate() {
        if place > 0 {
            let (name, tone) = objects[place - 1];
            spans.push((name.to_owned(), tone));
        }
        spans.push((piece.to_owned(), Tone::Plain));
    }
    Line { label: None, tone: Tone::Plain, spans }
}

fn card(scene: &Scene, lines: Vec<Line>) -> Card {
    Card { id: scene.id.clone(), picture: Some(Digest::of(&picture(&scene.id))), boxes: Vec::new(), lines }
}

/// Returns the name of the n-th object of a scene.
fn there(scene: &Scene, place: usize) -> &str {
    &scene.objects[place % scene.objects.len()].0
}

/// Returns something that is not in a scene.
fn absent(scene: &Scene, place: usize) -> &'static str {
    let absent = |name: &&&str| scene.objects.iter().all(|object| object.0 != **name);
    EXPECTED.iter().cycle().skip(place).find(absent).unwrap()
}

/// Cards with the boxes of two detectors, which miss something now and then.
pub(crate) fn judged(scenes: &[Scene]) -> Vec<Widget> {
    let cards = scenes.iter().enumerate().map(|(number, scene)| {
        let mut boxes = Vec::new();
        for (place, (name, x, y, w, h)) in scene.objects.iter().enumerate().filter(|(place, _)| place % 2 == number % 2)
        {
            let found = |group: &str, shift: f32| PictureBox {
                xyxy: [x - shift, y - shift, x + w + shift, y + h + 1.5 * shift],
                label: name.clone(),
                group: group.to_owned(),
            };
            boxes.push(found("yolo", 0.5));
            if (place + number) % 5 != 0 {
                boxes.push(found("detr", 3.0));
            }
        }
        let (one, two, three) = (there(scene, 0), there(scene, 2), there(scene, 4));
        let lines = vec![
            said("A * stands to the left of a *.", &[(one, Tone::Good), (two, Tone::Good)]),
            said("There is a * near a *.", &[(two, Tone::Good), (absent(scene, number), Tone::Bad)]),
            said("In front of the * one can see a small *.", &[(one, Tone::Good), (three, Tone::Doubtful)]),
            said(
                "A *, a * and a * are lying on the ground.",
                &[(one, Tone::Good), (three, Tone::Doubtful), (absent(scene, number + 2), Tone::Bad)],
            ),
            said("It is a quiet scene without people.", &[]),
            said("Behind the * a * is waiting.", &[(two, Tone::Good), (absent(scene, number + 3), Tone::Bad)]),
        ];
        Card { boxes, ..card(scene, lines) }
    });
    let title = "what the detectors say of what was said".to_owned();
    vec![Widget::Gallery { title, records: 300, legend: standings(), cards: cards.collect() }]
}

pub(crate) fn paired(scenes: &[Scene]) -> Vec<Widget> {
    let cards = scenes.iter().enumerate().map(|(number, scene)| {
        let line = |label: &str, tone, line: Line| Line { label: Some(label.to_owned()), tone, ..line };
        let context =
            if number % 3 == 0 { "(none yet)".to_owned() } else { format!("There is a {}.", there(scene, 1)) };
        let (one, two) = (there(scene, number), there(scene, number + 3));
        let lines = vec![
            Line { label: Some("context".to_owned()), tone: Tone::Plain, spans: vec![(context, Tone::Faint)] },
            line("chosen", Tone::Good, said("A * is next to a *.", &[(one, Tone::Good), (two, Tone::Good)])),
            line(
                "rejected",
                Tone::Bad,
                said(
                    "A * is next to a * and a *.",
                    &[(one, Tone::Good), (absent(scene, number), Tone::Bad), (two, Tone::Good)],
                ),
            ),
        ];
        Card { id: format!("{}, step {}", scene.id, number % 3 + 1), ..card(scene, lines) }
    });
    vec![Widget::Gallery {
        title: "preference pairs".to_owned(),
        records: 300,
        legend: standings(),
        cards: cards.collect(),
    }]
}

/// Curves of a training as it should go, with the noise of small batches.
pub(crate) fn curves() -> Vec<Widget> {
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) - 0.5
    };
    let mut curve = |title: &str, at: &dyn Fn(f64) -> f64, spread: f64| {
        let points = (1..=51).map(|step| (f64::from(step), at(f64::from(step) / 51.0) + spread * noise())).collect();
        let series = vec![Series { name: title.replace(' ', "_"), points }];
        Widget::Curve { title: title.to_owned(), x: "step".to_owned(), series }
    };
    let rise = |share: f64| 1.0 - (-4.0 * share).exp();
    vec![
        curve("loss", &|share| 0.69 - 0.55 * rise(share), 0.12),
        curve("reward margin", &|share| 3.1 * rise(share), 0.7),
        curve("accuracy", &|share| 0.5 + 0.45 * rise(share), 0.12),
        curve("gradient norm", &|share| 1.9 - 1.2 * rise(share), 0.5),
    ]
}

/// Returns what is said of a scene before or after training.
fn told(scene: &Scene, number: usize, before: bool) -> Vec<Line> {
    let (one, two, three) = (there(scene, 0), there(scene, 2), there(scene, 4));
    if before {
        vec![
            said("The picture shows a * and a *.", &[(one, Tone::Good), (absent(scene, number), Tone::Bad)]),
            said("A * is on the left, below a *.", &[(two, Tone::Good), (absent(scene, number + 1), Tone::Bad)]),
            said("There is also a * near the bottom.", &[(three, Tone::Good)]),
        ]
    } else {
        vec![
            said("The picture shows a * and a *.", &[(one, Tone::Good), (two, Tone::Good)]),
            said("A * is on the left, above a *.", &[(three, Tone::Good), (there(scene, 1), Tone::Good)]),
            said(
                "There is also a * near the bottom.",
                &[if number % 6 == 5 { (absent(scene, 5), Tone::Bad) } else { (there(scene, 3), Tone::Good) }],
            ),
        ]
    }
}

pub(crate) fn captions(scenes: &[Scene], before: bool) -> Vec<Widget> {
    let plain =
        |line: Line| Line { spans: line.spans.into_iter().map(|(text, _)| (text, Tone::Plain)).collect(), ..line };
    let cards = scenes.iter().enumerate();
    let cards = cards.map(|(number, scene)| card(scene, told(scene, number, before).into_iter().map(plain).collect()));
    vec![Widget::Gallery { title: "captions".to_owned(), records: 300, legend: Vec::new(), cards: cards.collect() }]
}

pub(crate) fn measured(scenes: &[Scene], before: bool) -> Vec<Widget> {
    let at = |values: [f64; 2]| values[usize::from(!before)];
    let row = |label: &str, value: f64, unit: &str, better, cases: u64| {
        let decimals = if unit == "%" { 1 } else { 2 };
        let value = Number { value, decimals, unit: unit.to_owned(), better };
        let cases = Number { value: cases as f64, decimals: 0, unit: String::new(), better: None };
        vec![Cell::Text(label.to_owned()), Cell::Number(value), Cell::Number(cases)]
    };
    let (lower, higher) = (Some(Better::Lower), Some(Better::Higher));
    let rows = vec![
        row("CHAIR_s", at([54.3, 4.3]), "%", lower, 300),
        row("CHAIR_i", at([18.2, 1.1]), "%", lower, at([1402.0, 1389.0]) as u64),
        row("recall of objects", at([57.9, 63.4]), "%", higher, 2130),
        row("recall of expected objects", at([81.2, 74.0]), "%", higher, 402),
        row("objects named", at([4.67, 4.63]), "", None, 300),
        row("words", at([21.4, 21.6]), "", None, 300),
        row("captions with a word twice in a row", at([0.3, 0.3]), "%", lower, 300),
    ];
    let columns = ["measure", "value", "of"].map(str::to_owned).to_vec();
    let cards = scenes.iter().enumerate().map(|(number, scene)| card(scene, told(scene, number, before)));
    vec![
        Widget::Table { title: "measurements".to_owned(), columns, rows },
        Widget::Gallery {
            title: "captions".to_owned(),
            records: 300,
            legend: legend(&[(Tone::Good, "in the picture"), (Tone::Bad, "not in the picture")]),
            cards: cards.collect(),
        },
    ]
}
