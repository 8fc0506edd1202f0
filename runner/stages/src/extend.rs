//! `extend`: lets a description grow by one sentence (SENTINEL §3.4, iterative contextual bootstrapping). In the paper's mode the
//! sentence is truthful, so that the context stays free of hallucinations: the chosen side of a pair where the step made one,
//! of a context-coherent one if it can be.
//! The choice among several is drawn by the seed for this record and step.

use schemars::{JsonSchema, schema_for};
use sentinel_core::job::Job;
use sentinel_core::stage::{Fault, Input, Shape, Slot, Stage, StageError, Unit, UnitOutput, UnitStage, Work, to_rows};
use sentinel_domain::records::{Description, End, Sentence, Verdict};
use serde::Deserialize;
use serde_json::Value;

use crate::candidates::{Candidate, Mode, Stop};
use crate::draw::choice;
use crate::kind::{Entry, Given, Parsed, config};
use crate::released;

pub(crate) static ENTRY: Entry = Entry {
    name: "extend",
    summary: "lets each description grow by one truthful sentence, and tells when it is complete",
    schema: || schema_for!(Config),
    parse,
    shapes: |_| vec![shape()],
};

/// What `extend` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Whose rules are followed.
    mode: Mode,
    /// When a description is complete, by default as `mode` has it.
    stop: Option<Stop>,
    /// Name of the random stream.
    stream: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Paper, stop: None, stream: None }
    }
}

fn parse(with: Value, _: &Given<'_>) -> Parsed {
    let Config { mode, stop, stream } = config(with)?;
    Ok(Box::new(Extend { mode, stop: stop.unwrap_or(mode.stop()), stream }))
}

struct Extend {
    mode: Mode,
    stop: Stop,
    stream: Option<String>,
}

fn shape() -> Shape {
    let inputs = [
        Slot::rows("descriptions", "descriptions"),
        Slot::rows("sentences", "sentences"),
        Slot::rows("verdicts", "verdicts"),
        Slot::rows("pairs", "pairs").view(&["chosen"]).optional(),
    ];
    Shape::units(inputs, [Slot::rows("descriptions", "descriptions")])
}

impl Stage for Extend {
    fn inputs(&self) -> Vec<Slot> {
        shape().inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape().outputs
    }
    fn version(&self) -> u32 {
        2
    }
    fn draws(&self) -> bool {
        true
    }
    fn stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }
    fn work(&self) -> Work<'_> {
        Work::Units(self)
    }
}

#[derive(Deserialize)]
struct Chosen {
    chosen: String,
}

impl UnitStage for Extend {
    fn run(&self, units: &[Unit], job: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError> {
        let stream = self.stream.as_deref().unwrap_or(ENTRY.name);
        let grown = |unit: &Unit| {
            let description: Description = unit.one("descriptions")?;
            let (sentences, verdicts) = (unit.list("sentences")?, unit.list("verdicts")?);
            let paired: Vec<Chosen> = match unit.inputs.get("pairs") {
                Some(Input::Rows(_)) => unit.list("pairs")?,
                _ => Vec::new(),
            };
            let paired: Vec<String> = paired.into_iter().map(|Chosen { chosen }| chosen).collect();
            let mut draw = |count| choice(job.seed(), stream, &unit.id, unit.step, count);
            let step = Step { sentences: &sentences, verdicts: &verdicts, paired: &paired };
            Ok(Ok(vec![to_rows([extend(description, &step, self.mode, self.stop, &mut draw)])]))
        };
        units.iter().map(grown).collect()
    }
}

/// What one step brought.
pub(crate) struct Step<'a> {
    pub(crate) sentences: &'a [Sentence],
    pub(crate) verdicts: &'a [Verdict],
    /// The chosen sides of its pairs.
    pub(crate) paired: &'a [String],
}

/// Returns the description after one step. `draw` gives a number below its argument.
pub(crate) fn extend(
    description: Description,
    step: &Step<'_>,
    mode: Mode,
    stop: Stop,
    draw: &mut dyn FnMut(usize) -> usize,
) -> Description {
    let mut grown = description;
    let candidates = Candidate::all(step.sentences, step.verdicts);
    step.verdicts.iter().for_each(|verdict| grown.memory.remember(&verdict.name, verdict.standing));
    let fit = match mode {
        Mode::Paper => by_the_paper(&candidates, step.paired, &grown),
        Mode::Compat => as_released(&candidates, &grown.named),
    };
    let next = fit.get(draw(fit.len()));
    if let Some(next) = next {
        let text = match mode {
            Mode::Paper => next.text.to_owned(),
            Mode::Compat => released::tail(&grown.context, next.text),
        };
        grown.context.push(text);
        for object in next.objects() {
            if grown.named.iter().all(|name| name != object) {
                grown.named.push(object.to_owned());
            }
        }
    }
    grown.end = match next {
        _ if stop.holds(step.sentences) => Some(End::Finished),
        None => Some(End::NothingTruthful),
        Some(_) => None,
    };
    grown
}

/// The chosen sides of the step's pairs, of the context-coherent ones if there are any (y_w⁺); without pairs, the truthful
/// sentences; without those, sentences that name nothing.
fn by_the_paper<'c, 'a>(
    candidates: &'c [Candidate<'a>],
    paired: &[String],
    Description { context, named, .. }: &Description,
) -> Vec<&'c Candidate<'a>> {
    let fresh = Candidate::fresh(candidates, context);
    let paired = |candidate: &Candidate<'_>| paired.iter().any(|chosen| chosen == candidate.text);
    let of = |wanted: &dyn Fn(&Candidate<'_>) -> bool| {
        fresh.iter().copied().filter(|candidate| wanted(candidate)).collect::<Vec<_>>()
    };
    let ranks = [
        of(&|candidate| candidate.is_truthful() && paired(candidate) && candidate.is_coherent(named)),
        of(&|candidate| candidate.is_truthful() && paired(candidate)),
        of(&|candidate| candidate.is_truthful()),
        of(&|candidate| candidate.is_neutral()),
    ];
    ranks.into_iter().find(|rank| !rank.is_empty()).unwrap_or_default()
}

/// Truthful sentences that name only new objects; without those, other truthful ones; without those, any at all.
fn as_released<'c, 'a>(candidates: &'c [Candidate<'a>], named: &[String]) -> Vec<&'c Candidate<'a>> {
    if candidates.len() <= 1 {
        return candidates.iter().collect();
    }
    let (coherent, agnostic): (Vec<_>, Vec<_>) = candidates
        .iter()
        .filter(|candidate| candidate.is_truthful())
        .partition(|candidate| candidate.is_coherent(named));
    let ranks = [agnostic, coherent, candidates.iter().collect()];
    ranks.into_iter().find(|rank| !rank.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidates::tests::{sentences, verdicts};
    use sentinel_core::digest::Digest;
    use sentinel_domain::records::Memory;

    fn description(context: &[&str], named: &[&str]) -> Description {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let (id, image_path, question) = ("a".to_owned(), "a.png".to_owned(), "?".to_owned());
        let (context, named, memory) = (owned(context), owned(named), Memory::default());
        Description { id, picture: Digest::of(b""), image_path, question, context, named, memory, end: None }
    }

    /// Returns every sentence the description can grow by, and the end it comes to.
    fn grows(
        texts: &[&str],
        context: &[&str],
        named: &[&str],
        paired: &[&str],
        mode: Mode,
    ) -> (Vec<String>, Option<End>) {
        let sentences = sentences(texts);
        let verdicts = verdicts(&sentences);
        let paired: Vec<String> = paired.iter().map(|text| (*text).to_owned()).collect();
        let step = Step { sentences: &sentences, verdicts: &verdicts, paired: &paired };
        let mut said = Vec::new();
        let mut fit = 1;
        let mut end = None;
        for index in 0.. {
            if index >= fit {
                return (said, end);
            }
            let mut draw = |count: usize| {
                fit = count;
                index
            };
            let grown = extend(description(context, named), &step, mode, mode.stop(), &mut draw);
            said.extend(grown.context.get(context.len()).cloned());
            end = grown.end;
        }
        unreachable!("the loop above has no end of its own")
    }

    #[test]
    fn in_the_papers_mode_only_the_truth_is_appended() {
        let paper = |texts: &[&str], paired: &[&str]| grows(texts, &["f1 ."], &["f1"], paired, Mode::Paper);
        assert_eq!(paper(&["f2 .", "f1 by f3 .", "h1 .", "u1 .", "so ."], &[]).0, ["f2 .", "f1 by f3 ."]);
        assert_eq!(
            paper(&["f2 .", "f1 by f3 .", "h1 .", "u1 .", "so ."], &["f1 by f3 ."]).0,
            ["f1 by f3 ."],
            "pairs lead"
        );
        assert_eq!(
            paper(&["f2 .", "f1 by f3 .", "h1 ."], &["f2 .", "f1 by f3 ."]).0,
            ["f1 by f3 ."],
            "y_w⁺ is appended"
        );
        assert_eq!(paper(&["f2 .", "f1 by f3 .", "h1 ."], &["f2 ."]).0, ["f2 ."]);
        assert_eq!(paper(&["f2 .", "h1 ."], &["gone ."]).0, ["f2 ."], "a pair filtered away leads nowhere");
        assert_eq!(paper(&["h1 .", "u1 .", "so ."], &[]), (vec!["so .".to_owned()], None));
        assert_eq!(
            paper(&["f1 .", "h1 ."], &[]),
            (vec![], Some(End::NothingTruthful)),
            "what was said is not said again"
        );
        assert_eq!(paper(&["", "", "f2 ."], &[]), (vec!["f2 .".to_owned()], Some(End::Finished)));
        assert_eq!(paper(&["", ""], &[]), (vec![], Some(End::Finished)));
    }

    #[test]
    fn the_released_rules() {
        let ten = |texts: &[&str]| {
            let filler = ["h2 .", "h3 .", "h4 .", "h5 .", "h6 ."];
            let texts: Vec<&str> = texts.iter().copied().chain(filler).collect();
            grows(&texts, &["f1 ."], &["f1"], &[], Mode::Compat).0
        };
        assert_eq!(ten(&["f1 by f2 .", "f3 .", "h1 ."]), ["f3 ."], "new objects first");
        assert_eq!(ten(&["f1 by f2 .", "u3 ."]), ["f1 by f2 ."]);
        assert_eq!(ten(&[]).len(), 5, "anything, hallucinations too");
        assert_eq!(grows(&["h1 ."; 10], &[], &[], &[], Mode::Compat), (vec!["h1 .".to_owned()], Some(End::Finished)));
    }

    #[test]
    fn a_description_remembers() {
        let sentences = sentences(&["f2 and f1 .", "h1 by u1 ."]);
        let verdicts = verdicts(&sentences);
        let step = Step { sentences: &sentences, verdicts: &verdicts, paired: &[] };
        let grown = extend(description(&["f1 ."], &["f1"]), &step, Mode::Paper, Stop::Eos, &mut |_| 0);
        assert_eq!(grown.named, ["f1", "f2"]);
        assert_eq!(
            (grown.memory.factual, grown.memory.uncertain, grown.memory.hallucinated),
            (vec!["f1".into(), "f2".into()], vec!["u1".into()], vec!["h1".into()])
        );
    }
}
