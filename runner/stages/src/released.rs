//! The formats and habits of the released SENTINEL code: the rows of `<model>.jsonl` and `<model>_data_pair.jsonl`, which are
//! written, the published pair sets, which are read, and what the code makes of a sentence before it uses it.

use sentinel_core::digest::Digest;
use sentinel_domain::records::{Description, FoundBox, Pair, PairType};
use serde::{Deserialize, Serialize};

/// Returns a sentence as the released code uses it: what follows the last `. ` of the context's last sentence and this one. That
/// cuts after `Mr.`, and repeats the previous sentence if that ended with `!` or `?`; but never more than one sentence, although an
/// entry of the context may hold two for this reason.
pub(crate) fn tail(context: &[String], sentence: &str) -> String {
    let begin = |last: &str| ["! ", "? "].iter().filter_map(|end| last.rfind(end)).max().map_or(0, |at| at + 2);
    let last = context.last().map(|last| &last[begin(last)..]);
    let joined = last.map_or_else(|| sentence.to_owned(), |last| format!("{last} {sentence}"));
    joined.rsplit(". ").next().unwrap_or_default().to_owned()
}

/// A row of `<model>_data_pair.jsonl`.
#[derive(Serialize)]
pub(crate) struct PairRow<'a> {
    image_id: &'a str,
    image_path: &'a str,
    question: &'a str,
    context: String,
    y_win: &'a str,
    y_lose: &'a str,
    nonhallu_objects: &'a [String],
    context_gen_objects: &'a [String],
    context_gen_hallu_objects: &'a [String],
    objects_of_y_win: &'a [String],
    hallu_objects_of_y_lose: &'a [String],
    is_last_sent: bool,
    #[serde(rename = "type")]
    pair_type: PairType,
}

impl<'a> From<&'a Pair> for PairRow<'a> {
    fn from(pair: &'a Pair) -> Self {
        Self {
            image_id: &pair.id,
            image_path: &pair.image_path,
            question: &pair.question,
            context: pair.context.join(" "),
            y_win: &pair.chosen,
            y_lose: &pair.rejected,
            nonhallu_objects: &pair.factual,
            context_gen_objects: &pair.named,
            context_gen_hallu_objects: &pair.named_hallucinated,
            objects_of_y_win: &pair.objects_of_chosen,
            hallu_objects_of_y_lose: &pair.hallucinated_in_rejected,
            is_last_sent: pair.is_last,
            pair_type: pair.pair_type,
        }
    }
}

/// A row of `<model>.jsonl`.
#[derive(Serialize)]
pub(crate) struct ImageRow<'a> {
    image_id: &'a str,
    image_path: &'a str,
    question: &'a str,
    caption: String,
    sentences_cnt: usize,
    hallu_objects: &'a [String],
    uncertain_objects: &'a [String],
    nonhallu_objects: &'a [String],
    hard_positive: Vec<&'a str>,
    small_objects: Vec<&'a str>,
    edge_objects: Vec<&'a str>,
}

/// A largest box of less than this share of the picture makes a small object.
const SMALL_AREA: f32 = 0.02;
/// A centre nearer to an edge than this share of the side makes an edge object.
const EDGE_DISTANCE: f32 = 0.1;

impl<'a> ImageRow<'a> {
    /// Returns the row of a description; `boxes` are those of the detector with a closed vocabulary, in a picture of `size`
    /// (width, height) pixels.
    pub(crate) fn of(description: &'a Description, boxes: &'a [FoundBox], size: (f32, f32)) -> Self {
        let mut found: Vec<&str> = boxes.iter().map(|found| found.name.as_str()).collect();
        found.sort_unstable();
        found.dedup();
        let (memory, mut small) = (&description.memory, found.clone());
        let (mut hard, mut edge) = (found.clone(), found);
        let of = |name: &str| {
            boxes.iter().filter(|found| found.name == name).map(|found| scaled(found.xyxy, size)).collect::<Vec<_>>()
        };
        hard.retain(|name| memory.standing(name).is_none());
        small.retain(|name| {
            of(name).into_iter().map(|[x0, y0, x1, y1]| (x1 - x0) * (y1 - y0)).fold(0.0, f32::max) < SMALL_AREA
        });
        edge.retain(|name| {
            memory.factual.iter().any(|factual| factual == name)
                && of(name).into_iter().map(to_edge).fold(1.0, f32::min) < EDGE_DISTANCE
        });
        Self {
            image_id: &description.id,
            image_path: &description.image_path,
            question: &description.question,
            caption: description.context.join(" "),
            sentences_cnt: description.context.len(),
            hallu_objects: &memory.hallucinated,
            uncertain_objects: &memory.uncertain,
            nonhallu_objects: &memory.factual,
            hard_positive: hard,
            small_objects: small,
            edge_objects: edge,
        }
    }
}

fn scaled([x0, y0, x1, y1]: [f32; 4], (width, height): (f32, f32)) -> [f32; 4] {
    [x0 / width, y0 / height, x1 / width, y1 / height]
}

/// Returns the distance of a box's centre to the nearest edge.
fn to_edge([x0, y0, x1, y1]: [f32; 4]) -> f32 {
    let (x, y) = (f32::midpoint(x0, x1), f32::midpoint(y0, y1));
    x.min(1.0 - x).min(y).min(1.0 - y)
}

/// An id as data write it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Id {
    /// `"42"`.
    Text(String),
    /// `42`.
    Number(i64),
}

impl Id {
    /// Returns the id as text.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// A pair of a published set, in any of its spellings: rows of `_data_pair.jsonl`, and the entries of a `.json` that maps image
/// ids to lists.
#[derive(Debug, Deserialize)]
pub(crate) struct PublishedPair {
    /// Absent in a `.json`, where it is the key.
    pub(crate) image_id: Option<Id>,
    pub(crate) image_path: Option<String>,
    question: Option<String>,
    context: Option<String>,
    #[serde(alias = "win")]
    y_win: String,
    #[serde(alias = "lose")]
    y_lose: String,
    #[serde(default)]
    nonhallu_objects: Vec<String>,
    #[serde(default)]
    context_gen_objects: Vec<String>,
    #[serde(default)]
    context_gen_hallu_objects: Vec<String>,
    #[serde(default)]
    objects_of_y_win: Vec<String>,
    #[serde(default, alias = "hallu_objects_of_lose")]
    hallu_objects_of_y_lose: Vec<String>,
    #[serde(default)]
    is_last_sent: bool,
    #[serde(rename = "type")]
    pair_type: Option<String>,
}

impl PublishedPair {
    /// Returns the pair, or what is wrong with it. The context stays the text it is: a list of one.
    pub(crate) fn pair(self, id: &str, image_path: String, picture: Digest, question: &str) -> Result<Pair, String> {
        for (name, side) in [("y_win", &self.y_win), ("y_lose", &self.y_lose)] {
            if side.trim().is_empty() {
                return Err(format!("`{name}` is empty"));
            }
        }
        let context: Vec<String> = self.context.filter(|context| !context.is_empty()).into_iter().collect();
        let pair_type = match self.pair_type.as_deref() {
            Some("y+" | "yw+_yl") => PairType::Coherent,
            Some("y-" | "yw-_yl") => PairType::Agnostic,
            None if context.is_empty() => PairType::Agnostic,
            None => PairType::Coherent,
            Some(other) => return Err(format!("`type` is `{other:.40}`; expected `y+`, `yw+_yl`, `y-` or `yw-_yl`")),
        };
        Ok(Pair {
            id: id.to_owned(),
            step: 0,
            picture,
            image_path,
            question: self.question.unwrap_or_else(|| question.to_owned()),
            context,
            chosen: self.y_win,
            rejected: self.y_lose,
            objects_of_chosen: self.objects_of_y_win,
            hallucinated_in_rejected: self.hallu_objects_of_y_lose,
            factual: self.nonhallu_objects,
            named: self.context_gen_objects,
            named_hallucinated: self.context_gen_hallu_objects,
            is_last: self.is_last_sent,
            pair_type,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_domain::records::{Memory, Standing};

    #[test]
    fn tails_as_run_against_the_released_code() {
        let table = [
            (Some("A dog."), "Mr. Smith sits.", "Smith sits."),
            (Some("Look!"), "A cat sits.", "Look! A cat sits."),
            (Some("A dog."), "A cat sits.", "A cat sits."),
            (None, "A cat sits.", "A cat sits."),
            (None, "A view of St. John stands.", "John stands."),
        ];
        for (context, sentence, expected) in table {
            let context: Vec<String> = context.map(str::to_owned).into_iter().collect();
            assert_eq!(tail(&context, sentence), expected);
        }
    }

    #[test]
    fn an_image_row_tells_hard_small_and_edge_objects() {
        let mut memory = Memory::default();
        for (name, standing) in
            [("cat", Standing::Factual), ("cup", Standing::Factual), ("dog", Standing::Hallucinated)]
        {
            memory.remember(name, standing);
        }
        let text = |text: &str| text.to_owned();
        let (context, named) = (vec![text("A cat."), text("A cup.")], vec![text("cat"), text("cup")]);
        let (id, image_path, question) = (text("a"), text("a.png"), text("?"));
        let description =
            Description { id, picture: Digest::of(b""), image_path, question, context, named, memory, end: None };
        let found = |name: &str, xyxy| FoundBox { name: text(name), score: 0.5, xyxy };
        let boxes = [
            found("cat", [10.0, 10.0, 20.0, 20.0]),
            found("cat", [10.0, 40.0, 40.0, 80.0]),
            found("cup", [90.0, 45.0, 100.0, 55.0]),
            found("kite", [0.0, 0.0, 10.0, 10.0]),
        ];
        let row = ImageRow::of(&description, &boxes, (100.0, 100.0));
        assert_eq!((row.caption.as_str(), row.sentences_cnt), ("A cat. A cup.", 2));
        assert_eq!(row.hard_positive, ["kite"]);
        assert_eq!(row.small_objects, ["cup", "kite"], "of two cats the larger counts");
        assert_eq!(row.edge_objects, ["cup"], "a kite nobody named is none");
    }
}
