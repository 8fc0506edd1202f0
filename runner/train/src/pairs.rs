//! Preference pairs as tokens. Prompt and context stand before both sentences, so they are run once: a row is prefix, chosen,
//! rejected; the rejected sentence stands where the chosen one does and does not see it.
// B pairs, T tokens (padded), L learnt tokens in all rows

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use sentinel_models::families::llama::Positions;
use sentinel_models::layers::Adapter;
use sentinel_models::model::{Model, Place};
use sentinel_models::ops;

use crate::TrainError;
use crate::rows::axes;

/// A pair in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairIds {
    /// Prompt and context; the image's place is held by as many `<image>` ids as a picture has features.
    pub prefix: Vec<u32>,
    /// Position of the first `<image>` id.
    pub image_at: usize,
    /// How the image stands there.
    pub place: Place,
    /// The chosen sentence.
    pub chosen: Vec<u32>,
    /// The rejected sentence.
    pub rejected: Vec<u32>,
}

impl PairIds {
    /// Returns how many tokens it has.
    pub fn len(&self) -> usize {
        self.prefix.len() + self.chosen.len() + self.rejected.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn chosen_at(&self) -> Range<usize> {
        self.prefix.len()..self.prefix.len() + self.chosen.len()
    }

    fn rejected_at(&self) -> Range<usize> {
        self.prefix.len() + self.chosen.len()..self.len()
    }

    /// Returns the position of a token; padding stands behind everything.
    fn position(&self, t: usize) -> u32 {
        let at = if t < self.rejected_at().start { t } else { t - self.chosen.len() };
        at as u32
    }

    /// Whether the token at `t` sees the one at `s`.
    fn sees(&self, t: usize, s: usize) -> bool {
        let is_hidden = t >= self.rejected_at().start && self.chosen_at().contains(&s);
        s <= t && !is_hidden
    }

    /// Returns each learnt token with the place its logits come from: chosen first, then rejected.
    fn learnt(&self) -> impl Iterator<Item = (usize, u32, bool)> + '_ {
        let last = self.prefix.len() - 1;
        let side = move |at: Range<usize>, ids: &'_ [u32], is_rejected: bool| {
            let from = move |i: usize| if i == 0 { last } else { at.start + i - 1 };
            ids.iter().enumerate().map(move |(i, id)| (from(i), *id, is_rejected)).collect::<Vec<_>>()
        };
        let chosen = side(self.chosen_at(), &self.chosen, false);
        chosen.into_iter().chain(side(self.rejected_at(), &self.rejected, true))
    }
}

/// Returns the summed log-probabilities of the chosen and of the rejected sentences: (B) each. `features`, (N, C) each, belong to
/// the pairs in order.
pub fn pair_logps(
    model: &Model,
    features: &[Tensor],
    pairs: &[&PairIds],
    adapter: Option<&Adapter>,
) -> Result<(Tensor, Tensor), TrainError> {
    let device = model.decoder.device();
    let at = check(model, pairs)?;
    let (b, t) = (pairs.len(), pairs.iter().map(|pair| pair.len()).max().unwrap_or(0));
    let mut ids = Vec::with_capacity(b * t);
    let mut positions = Vec::with_capacity(b * t);
    let mut mask = Vec::with_capacity(b * t * t);
    let most = model.config().text.max_positions as u32 - 1;
    for pair in pairs {
        ids.extend(pair.prefix.iter().chain(&pair.chosen).chain(&pair.rejected));
        ids.resize(ids.len() + t - pair.len(), 0);
        positions.extend((0..t).map(|t| pair.position(t).min(most)));
        for query in 0..t {
            mask.extend((0..t).map(|key| if pair.sees(query, key) { 0.0f32 } else { f32::NEG_INFINITY }));
        }
    }
    let ids = Tensor::from_vec(ids, (b, t), device)?;
    let positions = Tensor::from_vec(positions, (b, t), device)?;
    let mask = Tensor::from_vec(mask, (b, 1, t, t), device)?;
    let embedded = model.splice(&ids, features, at)?; // (B, T, C)
    let standing: Vec<(usize, Place)> = pairs.iter().map(|pair| (pair.image_at, pair.place)).collect();
    let axes = axes(model, &standing, t, |row, t| pairs[row].position(t) as usize)?;
    let positions = axes.as_ref().map_or(Positions::Given(&positions), Positions::Axes);
    let hidden = model.decoder.forward(&embedded, positions, Some(&mask), None, adapter, |_| ())?;
    let learnt = || pairs.iter().enumerate().flat_map(|(b, pair)| pair.learnt().map(move |one| (b, one)));
    let from: Vec<u32> = learnt().map(|(b, (from, _, _))| (b * t + from) as u32).collect();
    let targets: Vec<u32> = learnt().map(|(_, (_, id, _))| id).collect();
    let owners: Vec<u32> =
        learnt().map(|(row, (_, _, is_rejected))| (row + if is_rejected { b } else { 0 }) as u32).collect();
    let hidden = hidden.flatten_to(1)?.index_select(&vector(from, device)?, 0)?; // (L, C)
    let logps = ops::token_logp(&model.decoder.logits(&hidden)?, &vector(targets, device)?)?;
    let sums = Tensor::zeros(2 * b, DType::F32, device)?.index_add(&vector(owners, device)?, &logps, 0)?;
    Ok((sums.narrow(0, 0, b)?, sums.narrow(0, b, b)?))
}

fn vector(values: Vec<u32>, device: &Device) -> Result<Tensor, TrainError> {
    let length = values.len();
    Ok(Tensor::from_vec(values, length, device)?)
}

/// Returns the common image position; a pair that does not fit the model is an error before any work.
pub(crate) fn check(model: &Model, pairs: &[&PairIds]) -> Result<usize, TrainError> {
    let config = model.config();
    let at = pairs.first().map(|pair| pair.image_at);
    let at = at.ok_or_else(|| TrainError::Row("a batch has no pairs".to_owned()))?;
    for pair in pairs {
        let longest = pair.prefix.len() + pair.chosen.len().max(pair.rejected.len());
        let limit = config.text.max_positions;
        if longest > limit {
            return Err(TrainError::Row(format!("a pair has {longest} tokens, the model has room for {limit}")));
        }
        if pair.image_at != at || at + pair.place.tokens > pair.prefix.len() {
            return Err(TrainError::Row(format!("a pair's image stands at {}, the batch's at {at}", pair.image_at)));
        }
        if pair.chosen.is_empty() || pair.rejected.is_empty() {
            return Err(TrainError::Row("a pair has a sentence without a token".to_owned()));
        }
    }
    Ok(at)
}
