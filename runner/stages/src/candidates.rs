//! The candidate sentences of one step, told apart and weighed: what `pair` chooses from and what `extend` goes on with. Also the
//! rule by which a description ends, which both must know.

use schemars::JsonSchema;
use sentinel_domain::records::{Sentence, Standing, Verdict};
use serde::{Deserialize, Serialize};

/// Whose rules pairs and contexts follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// The paper's.
    Paper,
    /// Those of the released code, wherever they are deterministic. Objects are told by their canonical names, each once, and are
    /// those of the sentence as sampled; the released code writes them as they are spelled, again and again, and takes them from
    /// the sentence as it rewrote it.
    Compat,
}

/// When a description is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stop {
    /// More than half of the candidates end it.
    Eos,
    /// At most four of ten candidates are distinct and not empty (the released code).
    Distinct,
}

impl Mode {
    /// Returns the stop rule that goes with the mode.
    pub(crate) fn stop(self) -> Stop {
        match self {
            Self::Paper => Stop::Eos,
            Self::Compat => Stop::Distinct,
        }
    }
}

impl Stop {
    /// Whether a description is complete with this step.
    pub(crate) fn holds(self, sentences: &[Sentence]) -> bool {
        let ending = match self {
            Self::Eos => sentences.iter().filter(|sentence| sentence.ended).count(),
            Self::Distinct => sentences.len() - distinct(sentences).len(),
        };
        2 * ending > sentences.len() || sentences.is_empty()
    }
}

/// A candidate sentence and the objects it names, by what was decided about them, each in order of first mention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    pub(crate) text: &'a str,
    pub(crate) cut: bool,
    pub(crate) factual: Vec<&'a str>,
    pub(crate) uncertain: Vec<&'a str>,
    pub(crate) hallucinated: Vec<&'a str>,
}

impl<'a> Candidate<'a> {
    /// Returns the distinct candidates that say something, in order.
    pub(crate) fn all(sentences: &'a [Sentence], verdicts: &'a [Verdict]) -> Vec<Self> {
        let candidate = |sentence: &'a Sentence| {
            let of = |standing| {
                let own = verdicts.iter().filter(move |verdict| verdict.standing == standing);
                own.filter(|verdict| verdict.candidates.contains(&sentence.candidate))
                    .map(|verdict| verdict.name.as_str())
                    .collect()
            };
            let (factual, uncertain, hallucinated) =
                (of(Standing::Factual), of(Standing::Uncertain), of(Standing::Hallucinated));
            Self { text: &sentence.text, cut: sentence.cut, factual, uncertain, hallucinated }
        };
        distinct(sentences).into_iter().map(candidate).collect()
    }

    /// Returns those worth learning from or going on with: not cut at the token limit, and not said in the context already.
    pub(crate) fn fresh<'c>(all: &'c [Self], context: &[String]) -> Vec<&'c Self> {
        let said = |candidate: &Self| context.iter().any(|sentence| sentence == candidate.text);
        all.iter().filter(|candidate| !candidate.cut && !said(candidate)).collect()
    }

    /// Whether it names something, and nothing that is not factual.
    pub(crate) fn is_truthful(&self) -> bool {
        !self.factual.is_empty() && self.uncertain.is_empty() && self.hallucinated.is_empty()
    }

    /// Whether it names nothing at all.
    pub(crate) fn is_neutral(&self) -> bool {
        self.factual.is_empty() && self.uncertain.is_empty() && self.hallucinated.is_empty()
    }

    /// Whether it takes up the context: names something that the context names.
    pub(crate) fn is_coherent(&self, named: &[String]) -> bool {
        self.objects().any(|object| named.iter().any(|name| name == object))
    }

    /// Whether it names something that the context does not.
    pub(crate) fn names_something_new(&self, named: &[String]) -> bool {
        self.objects().any(|object| named.iter().all(|name| name != object))
    }

    /// Returns all its objects.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &'a str> {
        self.factual.iter().chain(&self.uncertain).chain(&self.hallucinated).copied()
    }
}

/// Returns the first of each text that is not empty, in order.
fn distinct(sentences: &[Sentence]) -> Vec<&Sentence> {
    let mut seen: Vec<&Sentence> = Vec::new();
    for sentence in sentences {
        if !sentence.text.is_empty() && seen.iter().all(|other| other.text != sentence.text) {
            seen.push(sentence);
        }
    }
    seen
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns candidates with these texts; an empty one is the model ending at once.
    pub(crate) fn sentences(texts: &[&str]) -> Vec<Sentence> {
        let sentence = |(candidate, text): (u32, &&str)| Sentence {
            candidate,
            text: (*text).to_owned(),
            ended: text.is_empty(),
            cut: false,
            tokens: 1,
        };
        (0..).zip(texts).map(sentence).collect()
    }

    /// Returns verdicts on every word of some texts that is `f…`, `u…` or `h…` and a number: factual, uncertain, hallucinated.
    pub(crate) fn verdicts(sentences: &[Sentence]) -> Vec<Verdict> {
        let mut verdicts: Vec<Verdict> = Vec::new();
        for sentence in sentences {
            for word in sentence.text.split_whitespace() {
                let standing = match word.as_bytes() {
                    [b'f', b'0'..=b'9'] => Standing::Factual,
                    [b'u', b'0'..=b'9'] => Standing::Uncertain,
                    [b'h', b'0'..=b'9'] => Standing::Hallucinated,
                    _ => continue,
                };
                match verdicts.iter_mut().find(|verdict| verdict.name == word) {
                    Some(verdict) => verdict.candidates.push(sentence.candidate),
                    None => verdicts.push(Verdict {
                        name: word.to_owned(),
                        standing,
                        candidates: vec![sentence.candidate],
                        found_by: vec![],
                        missed_by: vec![],
                    }),
                }
            }
        }
        verdicts
    }

    /// The five cases that were run against the released code: ten candidates, so many of them empty, so many distinct.
    #[test]
    fn the_released_stop_rule() {
        for (empty, distinct, stops) in [(0, 4, true), (0, 5, false), (5, 5, false), (6, 4, true), (5, 1, true)] {
            let texts: Vec<String> = (0..10)
                .map(|index| if index < empty { String::new() } else { format!("s{}", index % distinct) })
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let found = texts.iter().filter(|text| !text.is_empty()).collect::<std::collections::BTreeSet<_>>().len();
            assert_eq!(found, distinct, "the case is what it says");
            assert_eq!(Stop::Distinct.holds(&sentences(&texts)), stops, "{empty} empty, {distinct} distinct");
        }
    }

    #[test]
    fn the_papers_stop_rule() {
        for (texts, stops) in
            [(&["", "a", "a", "a"][..], false), (&["", "", "a", "b"], false), (&["", "", "", "b"], true), (&[], true)]
        {
            assert_eq!(Stop::Eos.holds(&sentences(texts)), stops, "{texts:?}");
        }
    }

    #[test]
    fn candidates_are_distinct_and_weighed() {
        let sentences = sentences(&["f1 and u1", "", "f1 and u1", "h1 near f1", "nothing"]);
        let verdicts = verdicts(&sentences);
        let all = Candidate::all(&sentences, &verdicts);
        let told: Vec<_> =
            all.iter().map(|candidate| (candidate.text, candidate.objects().collect::<Vec<_>>())).collect();
        assert_eq!(told, [("f1 and u1", vec!["f1", "u1"]), ("h1 near f1", vec!["f1", "h1"]), ("nothing", vec![])]);
    }
}
