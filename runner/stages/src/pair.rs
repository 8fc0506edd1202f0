//! `pair`: makes preference pairs of a step's candidates: a truthful sentence against a hallucinated one in the same context
//! (SENTINEL eq. 4). In the paper's mode context-coherent sentences (y⁺) are chosen before context-agnostic ones (y⁻).

use schemars::{JsonSchema, schema_for};
use sentinel_core::job::Job;
use sentinel_core::report::{Line, ReportIo, Tone, Widget};
use sentinel_core::stage::{
    Fault, Shape, Slot, Stage, StageError, Unit, UnitOutput, UnitStage, Work, parse_rows, to_rows,
};
use sentinel_domain::records::{Description, Pair, PairType, Sentence, Standing, Verdict};
use serde::Deserialize;
use serde_json::Value;

use crate::candidates::{Candidate, Mode, Stop};
use crate::gallery::{self, CARDS_MAX};
use crate::kind::{Entry, Given, Parsed, config, none_of, wrong};
use crate::lexicon;
use crate::released;

pub(crate) static ENTRY: Entry = Entry {
    name: "pair",
    summary: "makes preference pairs of a step's candidates: a truthful sentence against a hallucinated one",
    schema: || schema_for!(Config),
    parse,
    shapes: |_| vec![shape()],
};

/// Pairs of one step, in the paper's mode; the paper itself gives no number.
const PAIRS_MAX: u32 = 4;
/// Pairs of one card in the report.
const SHOWN_MAX: usize = 4;

/// What `pair` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Whose rules are followed.
    mode: Mode,
    /// Whether a chosen sentence must name an object that the context does not. Only in the paper's mode.
    chosen_names_something_new: bool,
    /// Most pairs of a step, by default 4. Only in the paper's mode; the released code knows no limit.
    #[schemars(range(min = 1, max = 256))]
    max_pairs: Option<u32>,
    /// When a description is complete, by default as `mode` has it; must be what `extend` follows, for pairs tell whether they
    /// are the last of their description.
    stop: Option<Stop>,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Paper, chosen_names_something_new: false, max_pairs: None, stop: None }
    }
}

fn parse(with: Value, _: &Given<'_>) -> Parsed {
    let Config { mode, chosen_names_something_new, max_pairs, stop } = config(with)?;
    let only_paper = [("chosen_names_something_new", chosen_names_something_new), ("max_pairs", max_pairs.is_some())];
    let told = only_paper.into_iter().filter(|(_, given)| *given && matches!(mode, Mode::Compat));
    let mistake = |name| wrong(&format!("/{name}"), format!("`{name}` has no meaning in mode `compat`"), None);
    none_of(told.flat_map(|(name, _)| mistake(name)).collect())?;
    let rules = Rules::of(mode);
    let pairs_max = max_pairs.map_or(rules.pairs_max, |most| most as usize);
    Ok(Box::new(Rules { chosen_names_something_new, pairs_max, stop: stop.unwrap_or(rules.stop), ..rules }))
}

/// How pairs are made.
pub(crate) struct Rules {
    mode: Mode,
    chosen_names_something_new: bool,
    pairs_max: usize,
    stop: Stop,
}

impl Rules {
    /// Returns the rules of a mode, all else by default.
    pub(crate) fn of(mode: Mode) -> Self {
        Self { mode, chosen_names_something_new: false, pairs_max: PAIRS_MAX as usize, stop: mode.stop() }
    }
}

fn shape() -> Shape {
    let inputs = [
        Slot::rows("descriptions", "descriptions"),
        Slot::rows("sentences", "sentences"),
        Slot::rows("verdicts", "verdicts"),
    ];
    Shape::units(inputs, [Slot::rows("pairs", "pairs")])
}

impl Stage for Rules {
    fn inputs(&self) -> Vec<Slot> {
        shape().inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape().outputs
    }
    fn version(&self) -> u32 {
        2
    }
    fn work(&self) -> Work<'_> {
        Work::Units(self)
    }

    fn widgets(&self, io: &dyn ReportIo) -> Result<Vec<Widget>, StageError> {
        let some = io.some_rows("pairs", CARDS_MAX)?;
        let mut cards = Vec::new();
        // Of every record the step with the most pairs, of several the first.
        for steps in some.units.chunk_by(|one, other| one.id == other.id) {
            let Some(unit) = steps.iter().rev().max_by_key(|unit| unit.rows.len()) else { continue };
            let pairs: Vec<Pair> = parse_rows("pairs", &unit.rows)?;
            let Some(first) = pairs.first() else { continue };
            let context = first.context.join(" ");
            let context =
                gallery::line(Some("context"), if context.is_empty() { "(none yet)" } else { &context }, Tone::Faint);
            let lines = std::iter::once(context).chain(pairs.iter().take(SHOWN_MAX).flat_map(lines)).collect();
            cards.push(gallery::card(&format!("{}, step {}", unit.id, first.step + 1), Some(first.picture), lines));
        }
        Ok(gallery::of("preference pairs", gallery::STANDINGS, (cards, some.records)))
    }
}

impl UnitStage for Rules {
    fn run(&self, units: &[Unit], _: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError> {
        let pairs = |unit: &Unit| {
            let description: Description = unit.one("descriptions")?;
            let (sentences, verdicts) = (unit.list("sentences")?, unit.list("verdicts")?);
            Ok(Ok(vec![to_rows(pair(&description, unit.step, &sentences, &verdicts, self))]))
        };
        units.iter().map(pairs).collect()
    }
}

/// Returns the pairs of one step.
pub(crate) fn pair(
    description: &Description,
    step: u32,
    sentences: &[Sentence],
    verdicts: &[Verdict],
    rules: &Rules,
) -> Vec<Pair> {
    let candidates = Candidate::all(sentences, verdicts);
    let (chosen, rejected) = match rules.mode {
        Mode::Paper => by_the_paper(&candidates, description, rules.chosen_names_something_new),
        Mode::Compat => as_released(&candidates, &description.named),
    };
    let most = match rules.mode {
        Mode::Paper => rules.pairs_max,
        Mode::Compat => usize::MAX,
    };
    let text = |candidate: &Candidate<'_>| match rules.mode {
        Mode::Paper => candidate.text.to_owned(),
        Mode::Compat => released::tail(&description.context, candidate.text),
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut memory = description.memory.clone();
    verdicts.iter().for_each(|verdict| memory.remember(&verdict.name, verdict.standing));
    let hallucinated = |name: &&String| memory.standing(name) == Some(Standing::Hallucinated);
    let is_last = rules.stop.holds(sentences);
    let pairs = chosen.into_iter().zip(rejected).take(most).map(|(chosen, rejected)| Pair {
        id: description.id.clone(),
        step,
        picture: description.picture,
        image_path: description.image_path.clone(),
        question: description.question.clone(),
        context: description.context.clone(),
        chosen: text(chosen),
        rejected: text(rejected),
        objects_of_chosen: owned(&chosen.factual),
        hallucinated_in_rejected: owned(&rejected.hallucinated),
        factual: memory.factual.clone(),
        named: description.named.clone(),
        named_hallucinated: description.named.iter().filter(hallucinated).cloned().collect(),
        is_last,
        pair_type: if chosen.is_coherent(&description.named) { PairType::Coherent } else { PairType::Agnostic },
    });
    pairs.collect()
}

type Sides<'c, 'a> = (Vec<&'c Candidate<'a>>, Vec<&'c Candidate<'a>>);

/// Truthful sentences, context-coherent ones first, against hallucinated ones.
fn by_the_paper<'c, 'a>(candidates: &'c [Candidate<'a>], description: &Description, new: bool) -> Sides<'c, 'a> {
    let Description { named, context, .. } = description;
    let fit = |candidate: &&Candidate<'_>| candidate.is_truthful() && (!new || candidate.names_something_new(named));
    let (mut chosen, mut rejected) = (Candidate::fresh(candidates, context), Candidate::fresh(candidates, context));
    chosen.retain(fit);
    chosen.sort_by_key(|candidate| !candidate.is_coherent(named));
    rejected.retain(|candidate| !candidate.hallucinated.is_empty());
    (chosen, rejected)
}

/// Context-coherent truthful sentences against hallucinated ones; nothing where all candidates say the same.
fn as_released<'c, 'a>(candidates: &'c [Candidate<'a>], named: &[String]) -> Sides<'c, 'a> {
    if candidates.len() <= 1 {
        return (Vec::new(), Vec::new());
    }
    let chosen =
        candidates.iter().filter(|candidate| candidate.is_truthful() && candidate.is_coherent(named)).collect();
    (chosen, candidates.iter().filter(|candidate| !candidate.hallucinated.is_empty()).collect())
}

/// Returns the two sentences of a pair, their objects toned.
fn lines(pair: &Pair) -> [Line; 2] {
    let tone = |name: &String| {
        if pair.hallucinated_in_rejected.contains(name) {
            Tone::Bad
        } else if pair.factual.contains(name) {
            Tone::Good
        } else {
            Tone::Doubtful
        }
    };
    let toned = |label, marked, text: &str| {
        let pieces =
            lexicon::mentions(text).into_iter().map(|mention| (mention.start, mention.end, tone(&mention.name)));
        Line { tone: marked, ..gallery::toned(Some(label), text, pieces) }
    };
    [toned("chosen", Tone::Good, &pair.chosen), toned("rejected", Tone::Bad, &pair.rejected)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidates::tests::{sentences, verdicts};
    use sentinel_core::digest::Digest;

    fn description(context: &[&str], named: &[&str]) -> Description {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Description {
            id: "a".to_owned(),
            picture: Digest::of(b""),
            image_path: "a.png".to_owned(),
            question: "?".to_owned(),
            context: owned(context),
            named: owned(named),
            memory: sentinel_domain::records::Memory::default(),
            end: None,
        }
    }

    /// Returns pairs as `chosen > rejected`.
    fn told(description: &Description, texts: &[&str], rules: &Rules) -> Vec<String> {
        let sentences = sentences(texts);
        let pairs = pair(description, 0, &sentences, &verdicts(&sentences), rules);
        pairs.iter().map(|pair| format!("{} > {}", pair.chosen, pair.rejected)).collect()
    }

    #[test]
    fn in_the_papers_mode_coherent_sentences_come_first() {
        let candidates = ["a f2 .", "f1 by f3 .", "f1 and u1 .", "h1 .", "f1 with h2 .", "no thing .", "f4 .", "f4 ."];
        let started = description(&["f1 ."], &["f1"]);
        assert_eq!(
            told(&started, &candidates, &Rules::of(Mode::Paper)),
            ["f1 by f3 . > h1 .", "a f2 . > f1 with h2 ."]
        );
        assert!(told(&started, &["f1 .", "h1 ."], &Rules::of(Mode::Paper)).is_empty(), "what was said is not chosen");
        let first = description(&[], &[]);
        assert_eq!(told(&first, &candidates, &Rules::of(Mode::Paper)), ["a f2 . > h1 .", "f1 by f3 . > f1 with h2 ."]);
        let few = Rules { pairs_max: 1, ..Rules::of(Mode::Paper) };
        assert_eq!(told(&first, &candidates, &few), ["a f2 . > h1 ."]);
    }

    #[test]
    fn a_chosen_sentence_can_be_made_to_name_something_new() {
        let new = Rules { chosen_names_something_new: true, ..Rules::of(Mode::Paper) };
        let started = description(&["f1 ."], &["f1"]);
        assert_eq!(told(&started, &["f1 again .", "f1 by f3 .", "h1 .", "h2 ."], &new), ["f1 by f3 . > h1 ."]);
    }

    #[test]
    fn the_released_rules() {
        let candidates = ["a f2 .", "f1 by f3 .", "f1 and u1 .", "h1 .", "f1 with h2 .", "f1 alone ."];
        let started = description(&["f1 ."], &["f1"]);
        let compat = Rules::of(Mode::Compat);
        assert_eq!(told(&started, &candidates, &compat), ["f1 by f3 . > h1 .", "f1 alone . > f1 with h2 ."]);
        assert!(told(&description(&[], &[]), &candidates, &compat).is_empty(), "the first step never yields a pair");
        assert!(
            told(&started, &["f1 with h1 .", "f1 with h1 ."], &compat).is_empty(),
            "one distinct sentence yields none"
        );
    }

    #[test]
    fn a_pair_tells_where_it_stands() {
        let sentences = sentences(&["f1 by f2 .", "h1 with u1 .", "", ""]);
        let mut description = description(&["f1 and h0 ."], &["f1", "h0"]);
        description.memory.remember("h0", Standing::Hallucinated);
        let pairs = pair(&description, 3, &sentences, &verdicts(&sentences), &Rules::of(Mode::Paper));
        let [pair] = pairs.as_slice() else { panic!("{pairs:?}") };
        assert_eq!((pair.step, pair.is_last, pair.pair_type), (3, false, PairType::Coherent));
        assert_eq!(
            (&pair.objects_of_chosen, &pair.hallucinated_in_rejected),
            (&vec!["f1".into(), "f2".into()], &vec!["h1".into()])
        );
        assert_eq!((&pair.factual, &pair.named_hallucinated), (&vec!["f1".into(), "f2".into()], &vec!["h0".into()]));
    }
}
