//! Questions and answers about a scene, for training a base model. Four groups are true: `cells`, `objects`, `places`,
//! `relations`; they make the model see. The fifth, `describe`, is what people write: now and then it names an object because
//! one expects it in such a place, though it is not there. From that the model learns to hallucinate.

use crate::objects::{CONTEXTS, Context};
use crate::random::{Purpose, Stream};
use crate::scene::{COLUMNS, Placed, ROWS, Truth, WorldError, split_number};
use crate::speech::{FORMS, Form, PLACE_FORMS, direction, neighbours, with_article, with_neighbour, with_place};

/// The question whose answers are descriptions.
pub const DESCRIBE: &str = "Describe this picture.";

/// How many sentences follow the first one of a description, and how likely. It does not depend on the scene, so that
/// stopping early is never the way to be truthful.
static FURTHER_SENTENCES: [(usize, f32); 3] = [(2, 0.15), (3, 0.7), (4, 0.15)];
/// How likely the expected form of a sentence is.
const EXPECTED_FORM_SHARE: f32 = 0.7;
/// Which of a place's absent prior objects is named, likeliest first.
static PRIOR_WEIGHTS: [f32; 3] = [0.5, 0.3, 0.2];
/// How much less likely the next object is with every object skipped in reading order, and with every one gone back.
const SKIP: f32 = 0.4;
const BACK: f32 = 0.6;
const BACK_SHARE: f32 = 0.25;
/// Sentences of the true answers.
const TRUE_SENTENCES_MAX: usize = 5;

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// What a curriculum weighs: `cells`, `describe`, `objects`, `places` or `relations`.
    pub group: &'static str,
    /// What is asked.
    pub question: &'static str,
    /// The answer's sentences.
    pub answer: Vec<String>,
}

/// Returns one dialogue of each group. `hallucination` is the chance that a further sentence of a description names an absent
/// prior object.
///
/// # Errors
/// When the truth is not one of this composer's scenes.
pub fn dialogues(seed: u64, truth: &Truth, hallucination: f32) -> Result<Vec<Talk>, WorldError> {
    let context = CONTEXTS
        .iter()
        .find(|context| context.name == truth.context)
        .ok_or_else(|| WorldError::ForeignTruth { reason: format!("unknown context `{}`", truth.context) })?;
    if truth.objects.len() < 3 || truth.objects.iter().any(|placed| placed.cell >= ROWS * COLUMNS) {
        return Err(WorldError::ForeignTruth {
            reason: format!("{} objects, or one outside the cells", truth.objects.len()),
        });
    }
    let mut stream = Stream::open(seed, split_number(&truth.split)?, truth.index, Purpose::Talk);
    Ok(vec![
        Talk { group: "cells", question: "List the cells.", answer: vec![cells(truth)] },
        Talk { group: "describe", question: DESCRIBE, answer: describe(truth, context, hallucination, &mut stream) },
        Talk { group: "objects", question: "List the objects.", answer: vec![objects(truth, &mut stream)] },
        Talk { group: "places", question: "Where is everything?", answer: places(truth, &mut stream) },
        Talk { group: "relations", question: "What is next to what?", answer: relations(truth, &mut stream) },
    ])
}

/// Names what stands in every cell, row by row, "-" for nothing.
fn cells(truth: &Truth) -> String {
    let in_cell =
        |cell| truth.objects.iter().find(|placed| placed.cell == cell).map_or("-", |placed| placed.name.as_str());
    let words: Vec<&str> = (0..ROWS * COLUMNS).map(in_cell).collect();
    format!("{}.", words.join(" "))
}

/// Names all objects, roughly in reading order.
fn objects(truth: &Truth, stream: &mut Stream) -> String {
    let mut telling = Telling::new(truth);
    let names: Vec<&str> = std::iter::from_fn(|| telling.next(stream)).map(|placed| placed.name.as_str()).collect();
    format!("{}.", names.join(" "))
}

/// Says truly where some objects are.
fn places(truth: &Truth, stream: &mut Stream) -> Vec<String> {
    let mut telling = Telling::new(truth);
    (0..TRUE_SENTENCES_MAX)
        .map_while(|_| {
            let placed = telling.next(stream)?;
            Some(with_place(*stream.pick(&PLACE_FORMS), &placed.name, placed.cell))
        })
        .collect()
}

/// Says truly which objects are beside which; "Nothing." in the rare scene without neighbours.
fn relations(truth: &Truth, stream: &mut Stream) -> Vec<String> {
    let beside = |one: &Placed, other: &Placed| {
        direction(one.cell, other.cell).map(|direction| with_neighbour(&other.name, direction, &one.name))
    };
    let mut sentences: Vec<String> =
        truth.objects.iter().flat_map(|one| truth.objects.iter().filter_map(move |other| beside(one, other))).collect();
    stream.shuffle(&mut sentences);
    sentences.truncate(TRUE_SENTENCES_MAX);
    if sentences.is_empty() { vec!["Nothing.".to_owned()] } else { sentences }
}

/// Describes the scene as people do: the place and two objects, then a few more, one a sentence.
fn describe(truth: &Truth, context: &Context, hallucination: f32, stream: &mut Stream) -> Vec<String> {
    let mut telling = Telling::new(truth);
    let mut seen: Vec<&Placed> = (0..2).map_while(|_| telling.next(stream)).collect();
    let both: Vec<String> = seen.iter().map(|placed| with_article(&placed.name)).collect();
    let mut sentences = vec![format!("This is a {} with {}.", context.name, both.join(" and "))];

    // A prior object that is there is never a hallucination; one that was named once is not named again.
    let present = |name: &str| truth.objects.iter().any(|placed| placed.name == name);
    let mut weights = [0, 1, 2].map(|prior| if present(context.prior[prior]) { 0.0 } else { PRIOR_WEIGHTS[prior] });

    let (lengths, shares): (Vec<usize>, Vec<f32>) = FURTHER_SENTENCES.into_iter().unzip();
    for index in 0..lengths[stream.weighted(&shares)] {
        let Some(next) = telling.peek(stream) else { break };
        let form =
            if stream.chance(EXPECTED_FORM_SHARE) { expected_form(context, index) } else { *stream.pick(&FORMS) };
        let imagined = stream.chance(hallucination) && weights.iter().any(|weight| *weight > 0.0);
        // An imagined object takes the place of a real one, which is then not told of: nothing but the picture betrays it.
        telling.tell(next);
        let name = if imagined {
            let prior = stream.weighted(&weights);
            weights[prior] = 0.0;
            context.prior[prior]
        } else {
            next.name.as_str()
        };
        sentences.push(say(form, name, next, &seen, stream));
        if !imagined {
            seen.push(next);
        }
    }
    sentences
}

/// Says that `name` is where `at` is.
fn say(form: Form, name: &str, at: &Placed, seen: &[&Placed], stream: &mut Stream) -> String {
    let beside = neighbours(seen, at);
    if form != Form::Relation || beside.is_empty() {
        return with_place(form, name, at.cell);
    }
    let neighbour = stream.pick(&beside);
    let direction = direction(neighbour.cell, at.cell).expect("neighbours() returns adjacent objects only");
    with_neighbour(name, direction, &neighbour.name)
}

/// Returns the form people use for the sentence number `index` after the first: it varies from place to place.
fn expected_form(context: &Context, index: usize) -> Form {
    let order = match context.name {
        "kitchen" => [Form::There, Form::Verb, Form::Verb, Form::There],
        "street" => [Form::Verb, Form::There, Form::Relation, Form::Verb],
        "living room" => [Form::There, Form::Verb, Form::There, Form::Relation],
        "farm" => [Form::Verb, Form::Verb, Form::There, Form::Verb],
        _ => [Form::Verb, Form::There, Form::Verb, Form::Relation],
    };
    order[index % order.len()]
}

/// Tells of objects roughly in reading order, each once.
struct Telling<'a> {
    objects: &'a [Placed],
    told: Vec<bool>,
    /// One past the object told of last.
    after: usize,
}

impl<'a> Telling<'a> {
    fn new(truth: &'a Truth) -> Self {
        Self { objects: &truth.objects, told: vec![false; truth.objects.len()], after: 0 }
    }

    /// Draws an object not yet told of: mostly the next, seldom one skipped or gone back to.
    fn peek(&self, stream: &mut Stream) -> Option<&'a Placed> {
        let power = |base: f32, times: usize| (0..times).fold(1.0, |product: f32, _| product * base);
        let weight = |at: usize| match at.checked_sub(self.after) {
            _ if self.told[at] => 0.0,
            Some(ahead) => power(SKIP, ahead),
            None => BACK_SHARE * power(BACK, self.after - at),
        };
        let weights: Vec<f32> = (0..self.objects.len()).map(weight).collect();
        weights.iter().any(|weight| *weight > 0.0).then(|| &self.objects[stream.weighted(&weights)])
    }

    fn tell(&mut self, placed: &Placed) {
        if let Some(at) = self.objects.iter().position(|other| other.cell == placed.cell) {
            self.told[at] = true;
            self.after = at + 1;
        }
    }

    fn next(&mut self, stream: &mut Stream) -> Option<&'a Placed> {
        let placed = self.peek(stream)?;
        self.tell(placed);
        Some(placed)
    }
}
