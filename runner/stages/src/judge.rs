//! `judge`: decides for every object a step names whether it is factual, uncertain or hallucinated (SENTINEL §3.2): factual when
//! the detectors agree that it is there, hallucinated when they agree that it is not, uncertain otherwise. What an earlier step
//! decided stays decided.

mod cards;

use schemars::{JsonSchema, schema_for};
use sentinel_core::job::Job;
use sentinel_core::report::{ReportIo, Widget};
use sentinel_core::stage::{Fault, Shape, Slot, Stage, StageError, Unit, UnitOutput, UnitStage, Work, to_rows};
use sentinel_domain::records::{Detection, Memory, Standing, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::gallery;
use crate::kind::{Entry, Given, Parsed, config};
use crate::lexicon::canonical;

pub(crate) static ENTRY: Entry = Entry {
    name: "judge",
    summary: "decides whether the objects a step names are factual, uncertain or hallucinated",
    schema: || schema_for!(Config),
    parse,
    shapes: |_| vec![shape()],
};

/// What `judge` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// How the detectors' votes make a verdict.
    policy: Policy,
    /// What it means that a detector does not know an object's name.
    vocabulary: Vocabulary,
}

impl Default for Config {
    fn default() -> Self {
        Self { policy: Policy::Unanimous, vocabulary: Vocabulary::Closed }
    }
}

/// How votes make a verdict.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    /// All found it: factual. All missed it: hallucinated. Else: uncertain.
    Unanimous,
}

/// What it means that a detector does not know a name.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Vocabulary {
    /// As in the released code: it counts as found, so that only what every detector knows can be hallucinated; but the word of
    /// those that do not know it alone makes nothing factual.
    Closed,
    /// As in the paper, where every detector knows every name: those that do not know it have no vote.
    Open,
}

fn parse(with: Value, _: &Given<'_>) -> Parsed {
    Ok(Box::new(Judge { config: config(with)? }))
}

struct Judge {
    config: Config,
}

fn shape() -> Shape {
    let inputs = [
        Slot::rows("descriptions", "descriptions").view(&["memory"]),
        Slot::rows("mentions", "mentions").view(&["candidate", "name"]),
        Slot::rows("detections", "detections"),
        // Only the report looks at the sentences: no verdict depends on them.
        Slot::rows("sentences", "sentences").view(&[]).optional(),
    ];
    Shape::units(inputs, [Slot::rows("verdicts", "verdicts")])
}

impl Stage for Judge {
    fn inputs(&self) -> Vec<Slot> {
        shape().inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape().outputs
    }
    fn version(&self) -> u32 {
        1
    }
    fn work(&self) -> Work<'_> {
        Work::Units(self)
    }
    fn widgets(&self, io: &dyn ReportIo) -> Result<Vec<Widget>, StageError> {
        Ok(gallery::of("what the detectors say of what was said", gallery::STANDINGS, cards::cards(io)?))
    }
}

/// An object named in a candidate sentence, as far as a verdict depends on it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Naming {
    pub(crate) candidate: u32,
    pub(crate) name: String,
}

#[derive(Deserialize)]
struct View {
    memory: Memory,
}

impl UnitStage for Judge {
    fn run(&self, units: &[Unit], _: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError> {
        let verdicts = |unit: &Unit| {
            let View { memory } = unit.one("descriptions")?;
            let (namings, detections) = (unit.list("mentions")?, unit.list("detections")?);
            let Config { policy, vocabulary } = self.config;
            Ok(Ok(vec![to_rows(judge(&memory, &namings, &detections, policy, vocabulary))]))
        };
        units.iter().map(verdicts).collect()
    }
}

/// Returns a verdict on every object named, in order of first mention.
pub(crate) fn judge(
    memory: &Memory,
    namings: &[Naming],
    detections: &[Detection],
    policy: Policy,
    vocabulary: Vocabulary,
) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    for naming in namings {
        let name = canonical(&naming.name);
        match verdicts.iter_mut().find(|verdict| verdict.name == name) {
            Some(verdict) if verdict.candidates.contains(&naming.candidate) => {}
            Some(verdict) => verdict.candidates.push(naming.candidate),
            None => verdicts.push(Verdict {
                candidates: vec![naming.candidate],
                ..decide(memory, name, detections, policy, vocabulary)
            }),
        }
    }
    verdicts.iter_mut().for_each(|verdict| verdict.candidates.sort_unstable());
    verdicts
}

fn decide(memory: &Memory, name: String, detections: &[Detection], policy: Policy, vocabulary: Vocabulary) -> Verdict {
    if let Some(standing) = memory.standing(&name) {
        return Verdict { name, standing, candidates: Vec::new(), found_by: Vec::new(), missed_by: Vec::new() };
    }
    let (mut found_by, mut missed_by, mut unknowing) = (Vec::new(), Vec::new(), 0);
    for Detection { detector, vocabulary, boxes } in detections {
        if boxes.iter().any(|found| found.name == name) {
            found_by.push(detector.clone());
        } else if vocabulary.as_ref().is_none_or(|names| names.contains(&name)) {
            missed_by.push(detector.clone());
        } else {
            unknowing += 1;
        }
    }
    let assumed = match vocabulary {
        Vocabulary::Closed => unknowing,
        Vocabulary::Open => 0,
    };
    let standing = match policy {
        Policy::Unanimous => match (found_by.len(), missed_by.len()) {
            (1.., 0) => Standing::Factual,
            (0, 1..) if assumed == 0 => Standing::Hallucinated,
            _ => Standing::Uncertain,
        },
    };
    Verdict { name, standing, candidates: Vec::new(), found_by, missed_by }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_domain::records::FoundBox;

    fn detection(detector: &str, vocabulary: Option<&[&str]>, found: &[&str]) -> Detection {
        let found_box = |name: &&str| FoundBox { name: (*name).to_owned(), score: 0.5, xyxy: [0.0, 0.0, 1.0, 1.0] };
        let vocabulary = vocabulary.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Detection { detector: detector.to_owned(), vocabulary, boxes: found.iter().map(found_box).collect() }
    }

    fn naming(candidate: u32, name: &str) -> Naming {
        Naming { candidate, name: name.to_owned() }
    }

    /// What an open (`dino`) and a closed detector (`yolo`) together say of a dog. Letters: F, U, H.
    #[test]
    fn the_released_truth_table() {
        let table = [
            // dino finds it, yolo knows it, yolo finds it, closed reading, open reading
            (true, true, true, 'F', 'F'),
            (true, true, false, 'U', 'U'),
            (false, true, true, 'U', 'U'),
            (false, true, false, 'H', 'H'),
            (true, false, false, 'F', 'F'),
            (false, false, false, 'U', 'H'),
        ];
        for (dino, knows, yolo, closed, open) in table {
            let found = |found: bool| if found { vec!["dog"] } else { vec!["cat"] };
            let names: &[&str] = if knows { &["cat", "dog"] } else { &["cat"] };
            let detections = [detection("dino", None, &found(dino)), detection("yolo", Some(names), &found(yolo))];
            for (vocabulary, expected) in [(Vocabulary::Closed, closed), (Vocabulary::Open, open)] {
                let verdicts =
                    judge(&Memory::default(), &[naming(0, "dog")], &detections, Policy::Unanimous, vocabulary);
                assert_eq!(letter(&verdicts[0]), expected, "{dino} {knows} {yolo} {vocabulary:?}");
            }
        }
    }

    fn letter(verdict: &Verdict) -> char {
        match verdict.standing {
            Standing::Factual => 'F',
            Standing::Uncertain => 'U',
            Standing::Hallucinated => 'H',
        }
    }

    /// Any number of detectors: `+` found, `-` missed, `?` does not know it.
    #[test]
    fn any_number_of_detectors() {
        let table = [
            ("+", 'F', 'F'),
            ("-", 'H', 'H'),
            ("?", 'U', 'U'),
            ("", 'U', 'U'),
            ("+++", 'F', 'F'),
            ("---", 'H', 'H'),
            ("++-", 'U', 'U'),
            ("+??", 'F', 'F'),
            ("-??", 'U', 'H'),
            ("??", 'U', 'U'),
            ("+-?", 'U', 'U'),
            ("--?", 'U', 'H'),
        ];
        for (votes, closed, open) in table {
            let vote = |vote: char| match vote {
                '+' => detection("a", Some(&["dog"]), &["dog"]),
                '-' => detection("a", Some(&["dog"]), &[]),
                _ => detection("a", Some(&["cat"]), &[]),
            };
            let detections: Vec<Detection> = votes.chars().map(vote).collect();
            for (vocabulary, expected) in [(Vocabulary::Closed, closed), (Vocabulary::Open, open)] {
                let verdicts =
                    judge(&Memory::default(), &[naming(0, "dog")], &detections, Policy::Unanimous, vocabulary);
                assert_eq!(letter(&verdicts[0]), expected, "{votes} {vocabulary:?}");
            }
        }
    }

    #[test]
    fn names_are_equal_by_canonical_name_and_never_by_substring() {
        let detections = [
            detection("a", Some(&["car", "dog", "hot dog"]), &["hot dog"]),
            detection("b", None, &["hot dog", "carpet"]),
        ];
        let namings = [naming(0, "puppy"), naming(0, "car"), naming(1, "dogs"), naming(1, "hot dog")];
        let verdicts = judge(&Memory::default(), &namings, &detections, Policy::Unanimous, Vocabulary::Closed);
        let told: Vec<_> = verdicts
            .iter()
            .map(|verdict| (verdict.name.as_str(), letter(verdict), verdict.candidates.as_slice()))
            .collect();
        assert_eq!(told, [("dog", 'H', &[0, 1][..]), ("car", 'H', &[0]), ("hot dog", 'F', &[1])]);
    }

    #[test]
    fn what_was_decided_stays_decided() {
        let memory = Memory { hallucinated: vec!["dog".to_owned()], ..Memory::default() };
        let detections = [detection("a", None, &["dog"]), detection("b", None, &["dog"])];
        let verdicts = judge(&memory, &[naming(4, "dog")], &detections, Policy::Unanimous, Vocabulary::Closed);
        assert_eq!((letter(&verdicts[0]), verdicts[0].found_by.len()), ('H', 0));
    }
}
