//! Sentences drawn after prefixes: all candidates of all records of a group make a token together, those that are done leave. A
//! candidate's tokens depend on its prefix and its stream alone, never on its company.
// R rows under way, C decoder width, V vocabulary

use candle_core::{Result, Tensor};

use crate::ModelError;
use crate::families::llama::{KeyValue, Llama, Positions};
use crate::layers::Adapter;
use crate::ops::{Span, attend_shared};
use crate::prefix::Prefix;
use crate::sampler::{Stream, Warp};
use crate::sentence::{Boundary, boundary};
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
    /// How many of `ids` make a sentence, if what comes next does not go on with its last word.
    perhaps: Option<usize>,
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
    let places = rows.iter().map(|row| (starts[row.start].prefix.length + row.ids.len() - 1) as u32);
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
        let said = text.decode(&self.ids)?;
        if let Some(count) = self.perhaps.take() {
            let goes_on = said.strip_prefix(self.said.as_str()).is_none_or(|new| !new.starts_with(char::is_whitespace));
            if !goes_on {
                return Ok(Some(done(&self.said, count as u32, false)));
            }
        }
        let ends = match rules.by_token {
            true => text.is_stop(token),
            false => match boundary(&said) {
                Boundary::Ended => true,
                Boundary::Inside => false,
                Boundary::Perhaps => {
                    self.perhaps = Some(self.ids.len());
                    false
                }
            },
        };
        self.said = said;
        if ends {
            return Ok(Some(done(&self.said, tokens, false)));
        }
        // The next token would stand behind the last position the model knows.
        let is_full = start.prefix.length + self.ids.len() >= positions;
        Ok((tokens >= start.max_tokens || is_full).then(|| done(&self.said, tokens, self.perhaps.is_none())))
    }
}

fn done(said: &str, tokens: u32, cut: bool) -> Drawn {
    Drawn { text: said.trim().to_owned(), ended: false, cut, tokens }
}
