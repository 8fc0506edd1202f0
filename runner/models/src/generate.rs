//! Sentences drawn after prefixes: all candidates of all records of a group make a token together, those that are done leave. A
//! candidate's tokens depend on its prefix and its stream alone, never on its company.
// R rows under way, C decoder width, V vocabulary

use candle_core::{Result, Tensor};

use sentinel_domain::sentence::{Boundary, boundary};

use crate::ModelError;
use crate::families::llama::{KeyValue, Llama, Positions};
use crate::layers::Adapter;
use crate::ops::{Span, attend_shared};
use crate::prefix::Prefix;
use crate::sampler::{Stream, Warp};
use crate::text::Text;

/// How sentences are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) warp: Warp,
    /// Whether the token of `.`, `!` or `?` ends a sentence, and nothing else does.
    pub(crate) by_token: bool,
}

/// What is drawn after one prefix.
pub(crate) struct Start<'a> {
    pub(crate) prefix: &'a Prefix,
    /// A stream for each candidate.
    pub(crate) streams: Vec<Stream>,
    /// Tokens drawn from these streams before.
    pub(crate) drawn: u32,
    /// Token limit of the sentence.
    pub(crate) max_tokens: u32,
}

/// A drawn sentence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Drawn {
    /// Without surrounding white space.
    pub(crate) text: String,
    /// Whether the model said that it is done.
    pub(crate) ended: bool,
    /// Whether a limit cut it.
    pub(crate) cut: bool,
    /// Tokens, end-of-sequence included.
    pub(crate) tokens: u32,
}

/// A candidate under way.
struct Row {
    start: usize,
    candidate: usize,
    ids: Vec<u32>,
    /// The text of `ids`.
    said: String,
    /// A length of `said` at which the sentence ends if what comes next does not go on with it, and how many of `ids` say that.
    perhaps: Option<(usize, usize)>,
}

/// Draws sentences: one list a start, one sentence a stream.
pub(crate) fn sentences(
    decoder: &Llama,
    text: &Text,
    adapter: Option<&Adapter>,
    starts: &[Start<'_>],
    rules: &Rules,
    cancelled: &dyn Fn() -> bool,
) -> std::result::Result<Option<Vec<Vec<Drawn>>>, ModelError> {
    let mut drawn: Vec<Vec<Drawn>> = starts.iter().map(|start| vec![Drawn::default(); start.streams.len()]).collect();
    let mut rows = Vec::new();
    for (number, start) in starts.iter().enumerate() {
        for (candidate, stream) in start.streams.iter().enumerate() {
            let mut row = Row { start: number, candidate, ids: Vec::new(), said: String::new(), perhaps: None };
            let token = next(&start.prefix.logits, stream.number(start.drawn), rules)?;
            match row.take(token, start, text, rules, decoder.config().max_positions)? {
                Some(done) => drawn[number][candidate] = done,
                None => rows.push(row),
            }
        }
    }
    let mut own = Own::new(decoder.config().layers, &rows, starts.len());
    while !rows.is_empty() {
        if cancelled() {
            return Ok(None);
        }
        let logits = step(decoder, adapter, starts, &rows, &mut own)?;
        let mut stay = Vec::with_capacity(rows.len());
        for (place, (row, logits)) in rows.iter_mut().zip(&logits).enumerate() {
            let start = &starts[row.start];
            let index = start.drawn + row.ids.len() as u32;
            let token = next(logits, start.streams[row.candidate].number(index), rules)?;
            match row.take(token, start, text, rules, decoder.config().max_positions)? {
                Some(done) => drawn[row.start][row.candidate] = done,
                None => stay.push(place),
            }
        }
        if stay.len() < rows.len() {
            own.retain(&stay)?;
            let mut keep = stay.iter().peekable();
            let mut place = 0;
            rows.retain(|_| {
                let stays = keep.next_if_eq(&&place).is_some();
                place += 1;
                stays
            });
        }
    }
    Ok(Some(drawn))
}

/// Chooses a token. The model's own logits are all finite; only warping, behind this check, rules tokens out.
fn next(logits: &[f32], number: f64, rules: &Rules) -> std::result::Result<u32, ModelError> {
    match logits.iter().position(|logit| !logit.is_finite()) {
        None => Ok(rules.warp.choose(logits, number)),
        Some(token) => Err(ModelError::Logit { token, logit: logits[token] }),
    }
}

/// Runs the last token of every row; returns the logits of the next, a list a row.
fn step(
    decoder: &Llama,
    adapter: Option<&Adapter>,
    starts: &[Start<'_>],
    rows: &[Row],
    own: &mut Own,
) -> Result<Vec<Vec<f32>>> {
    let device = starts[0].prefix.layers[0].0.device();
    let last: Vec<u32> = rows.iter().map(|row| *row.ids.last().expect("a row under way has a token")).collect();
    let places = rows.iter().map(|row| (starts[row.start].prefix.next + row.ids.len() - 1) as u32);
    let places = Tensor::from_vec(places.collect::<Vec<u32>>(), (1, rows.len()), device)?;
    let embedded = decoder.embed(&Tensor::from_vec(last, (1, rows.len()), device)?)?;
    let head_dim = decoder.config().head_dim;
    let hidden = decoder.forward_with(&embedded, Positions::Given(&places), adapter, |layer, q, k, v| {
        own.append(layer, &k.squeeze(0)?, &v.squeeze(0)?)?;
        let spans = own.spans.iter().zip(&own.layers[layer]);
        let spans: Vec<Span<'_>> = spans
            .map(|((start, _), (keys, values))| {
                let (prefix_keys, prefix_values) = &starts[*start].prefix.layers[layer];
                Span { prefix: (prefix_keys, prefix_values), own: (keys, values) }
            })
            .collect();
        attend_shared(&q.squeeze(0)?, &spans, head_dim)?.unsqueeze(0)
    })?;
    decoder.logits(&hidden)?.squeeze(0)?.to_vec2::<f32>()
}

/// Keys and values of the tokens drawn so far.
struct Own {
    /// (start, rows under way), in order; starts without rows are left out.
    spans: Vec<(usize, usize)>,
    /// A layer's keys and values, a pair a span: (rows, T, G·D) each; empty before the first token has run.
    layers: Vec<Vec<KeyValue>>,
}

impl Own {
    fn new(layers: usize, rows: &[Row], starts: usize) -> Self {
        let counts = (0..starts).map(|start| (start, rows.iter().filter(|row| row.start == start).count()));
        Self { spans: counts.filter(|(_, count)| *count > 0).collect(), layers: vec![Vec::new(); layers] }
    }

    /// Appends a token's keys and values (R, G·D) to every row.
    fn append(&mut self, layer: usize, k: &Tensor, v: &Tensor) -> Result<()> {
        let mut first = 0;
        let mut new = Vec::with_capacity(self.spans.len());
        for (number, (_, rows)) in self.spans.iter().enumerate() {
            let of = |x: &Tensor| x.narrow(0, first, *rows)?.unsqueeze(1)?.contiguous();
            let (k, v) = (of(k)?, of(v)?);
            new.push(match self.layers[layer].get(number) {
                None => (k, v),
                Some((keys, values)) => (Tensor::cat(&[keys, &k], 1)?, Tensor::cat(&[values, &v], 1)?),
            });
            first += rows;
        }
        self.layers[layer] = new;
        Ok(())
    }

    /// Keeps the rows at these places.
    fn retain(&mut self, stay: &[usize]) -> Result<()> {
        let mut first = 0;
        let mut spans = Vec::new();
        let mut picks: Vec<Option<Tensor>> = Vec::new();
        for (start, rows) in &self.spans {
            let mine = stay.iter().filter(|place| (first..first + rows).contains(*place));
            let mine: Vec<u32> = mine.map(|place| (place - first) as u32).collect();
            first += rows;
            picks.push(match mine.len() {
                0 => None,
                count => {
                    spans.push((*start, count));
                    Some(Tensor::from_vec(mine, count, self.layers[0][0].0.device())?)
                }
            });
        }
        for layer in &mut self.layers {
            let kept = layer.iter().zip(&picks).filter_map(|((keys, values), pick)| {
                let pick = pick.as_ref()?;
                let keys = keys.index_select(pick, 0);
                Some(keys.and_then(|keys| Ok((keys, values.index_select(pick, 0)?))))
            });
            *layer = kept.collect::<Result<_>>()?;
        }
        self.spans = spans;
        Ok(())
    }
}

impl Row {
    /// Takes a token; returns the sentence if it is done.
    fn take(
        &mut self,
        token: u32,
        start: &Start<'_>,
        text: &Text,
        rules: &Rules,
        positions: usize,
    ) -> std::result::Result<Option<Drawn>, ModelError> {
        let tokens = self.ids.len() as u32 + 1;
        if text.is_end(token) {
            let said = std::mem::take(&mut self.said);
            return Ok(Some(Drawn { text: said.trim().to_owned(), ended: true, cut: false, tokens }));
        }
        self.ids.push(token);
        self.said = text.decode(&self.ids)?;
        let ended = match rules.by_token {
            true => text.is_stop(token).then_some((self.said.len(), self.ids.len())),
            false => self.ended(),
        };
        if let Some((length, count)) = ended {
            return Ok(Some(done(&self.said[..length], count as u32, false)));
        }
        // The next token would stand behind the last position the model knows.
        let is_full = start.prefix.length + self.ids.len() >= positions;
        let is_cut = self.perhaps.is_none_or(|(length, _)| !self.said[length..].trim().is_empty());
        Ok((tokens >= start.max_tokens || is_full).then(|| done(&self.said, tokens, is_cut)))
    }

    /// Returns where the sentence has ended: a length of `said`, and how many of `ids` say that.
    fn ended(&mut self) -> Option<(usize, usize)> {
        let all = self.ids.len();
        let known = |length, perhaps: Option<(usize, usize)>| perhaps.filter(|(known, _)| *known == length);
        match boundary(&self.said) {
            Boundary::Inside => self.perhaps = None,
            Boundary::Perhaps(length) => self.perhaps = known(length, self.perhaps).or(Some((length, all))),
            Boundary::Ended(length) => return known(length, self.perhaps).or(Some((length, all))),
        }
        None
    }
}

fn done(said: &str, tokens: u32, cut: bool) -> Drawn {
    Drawn { text: said.trim().to_owned(), ended: false, cut, tokens }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Feeds a text's tokens, and the end of the text; returns the first sentence and how many tokens were looked at.
    fn first(text: &Text, said: &str, max_tokens: u32, by_token: bool) -> (Drawn, usize) {
        let prefix = Prefix { layers: Vec::new(), length: 0, next: 0, logits: Vec::new() };
        let start = Start { prefix: &prefix, streams: Vec::new(), drawn: 0, max_tokens };
        let rules = Rules { warp: Warp { temperature: 0.0, top_p: 1.0, top_k: 0 }, by_token };
        let mut row = Row { start: 0, candidate: 0, ids: Vec::new(), said: String::new(), perhaps: None };
        let ids = text.sentence(said).unwrap().into_iter().chain([text.end()]);
        let mut drawn = (1..).zip(ids).filter_map(|(looked, id)| {
            let done = row.take(id, &start, text, &rules, 1024).unwrap();
            done.map(|done| (done, looked))
        });
        drawn.next().unwrap()
    }

    #[test]
    fn a_sentence_is_as_many_tokens_as_say_it_however_many_were_looked_at() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/text");
        for name in ["llama", "byte-level"] {
            let text = Text::read(&fixtures.join(name), 440).unwrap();
            let tokens = |said: &str| text.sentence(said).unwrap().len();
            for (sentence, next, at_once) in [
                ("It is a dog.", "It sits.", true),
                ("It is no.", "It sits.", false),
                ("It is no.", "\"It\" sits.", false),
                ("It is 3.", "It sits.", false),
                ("It is by J.", "It is a dog.", false),
                ("It is by J. R. and e.g. Mr. Smith.", "It sits.", true),
            ] {
                let (drawn, looked) = first(&text, &format!("{sentence} {next}"), 512, false);
                let expected =
                    Drawn { text: sentence.into(), ended: false, cut: false, tokens: tokens(sentence) as u32 };
                assert_eq!(drawn, expected, "{name}");
                assert_eq!(looked == tokens(sentence), at_once, "{name}: {looked} for {sentence:?}");
            }
            // Said to the end, and cut where a sentence may or may not have ended.
            let (said, count) = ("It is by J.", tokens("It is by J.") as u32);
            let drawn = |text: &str, ended, cut, tokens| Drawn { text: text.into(), ended, cut, tokens };
            assert_eq!(first(&text, said, 512, false).0, drawn(said, true, false, count + 1), "{name}");
            assert_eq!(first(&text, said, count, false).0, drawn(said, false, false, count), "{name}");
            assert_eq!(first(&text, said, count - 1, false).0, drawn("It is by J", false, true, count - 1), "{name}");
            assert!(first(&text, "It is by J. R.", tokens("It is by J. R") as u32, false).0.cut, "{name}");
            // By tokens the first period ends it.
            assert_eq!(first(&text, "It is no. 5 or 6.", 512, true).0.text, "It is no.", "{name}");
        }
    }
}
