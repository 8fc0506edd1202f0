//! Token rows, and the log-probability of what is learnt in them. Which tokens are learnt is known by position, from the pieces a
//! row was built of; nothing ever searches for a context inside token ids.
// B rows, T tokens (padded), N image features, C width, L learnt tokens in all rows

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use sentinel_models::families::llama::Positions;
use sentinel_models::layers::{Adapter, causal_mask};
use sentinel_models::model::{Model, Place};
use sentinel_models::ops;

use crate::TrainError;

/// One sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Token ids; the image's place is held by as many `<image>` ids as a picture has features.
    pub ids: Vec<u32>,
    /// Position of the first `<image>` id.
    pub image_at: usize,
    /// How the image stands there.
    pub place: Place,
    /// Positions of the tokens that are learnt; the first has something before it.
    pub learnt: Range<usize>,
}

/// Returns the log-probability of each learnt token and the row it belongs to: (L), (L) of u32.
///
/// `features`, (N, C) each, belong to the rows in order. Rows are padded on the right, where a causal mask hides the padding.
pub fn token_logps(
    model: &Model,
    features: &[Tensor],
    rows: &[Row],
    adapter: Option<&Adapter>,
) -> Result<(Tensor, Tensor), TrainError> {
    let device = model.decoder.device();
    let at = check(model, rows)?;
    let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
    let padded: Vec<u32> = rows
        .iter()
        .flat_map(|row| row.ids.iter().copied().chain(std::iter::repeat_n(0, longest - row.ids.len())))
        .collect();
    let ids = Tensor::from_vec(padded, (rows.len(), longest), device)?;
    let embedded = model.splice(&ids, features, at)?; // (B, T, C)
    let mask = causal_mask(longest, longest, device)?;
    let standing: Vec<(usize, Place)> = rows.iter().map(|row| (row.image_at, row.place)).collect();
    let axes = axes(model, &standing, longest, |_, t| t)?;
    let positions = axes.as_ref().map_or(Positions::From(0), Positions::Axes);
    let hidden = model.decoder.forward(&embedded, positions, Some(&mask), None, adapter, |_| ())?;
    let learnt = || rows.iter().enumerate().flat_map(|(b, row)| row.learnt.clone().map(move |t| (b, t)));
    let before: Vec<u32> = learnt().map(|(b, t)| (b * longest + t - 1) as u32).collect();
    let targets: Vec<u32> = learnt().map(|(b, t)| rows[b].ids[t]).collect();
    let owners: Vec<u32> = learnt().map(|(b, _)| b as u32).collect();
    let hidden = hidden.flatten_to(1)?.index_select(&vector(before, device)?, 0)?; // (L, C)
    let logp = ops::token_logp(&model.decoder.logits(&hidden)?, &vector(targets, device)?)?;
    Ok((logp, vector(owners, device)?))
}

/// Returns the summed log-probability of each row's learnt tokens (B).
pub fn row_logps(
    model: &Model,
    features: &[Tensor],
    rows: &[Row],
    adapter: Option<&Adapter>,
) -> Result<Tensor, TrainError> {
    let (logp, owners) = token_logps(model, features, rows, adapter)?;
    let sums = Tensor::zeros(rows.len(), DType::F32, model.decoder.device())?;
    Ok(sums.index_add(&owners, &logp, 0)?)
}

/// Returns the positions (3, B, T) of rows' tokens on the axes of time, row and column, or none where all stand in a line. `index`
/// is a token's place in its text, of row and place in the row; padding stands behind everything.
pub(crate) fn axes(
    model: &Model,
    rows: &[(usize, Place)],
    t: usize,
    index: impl Fn(usize, usize) -> usize,
) -> Result<Option<Tensor>, TrainError> {
    if rows.iter().all(|(_, place)| place.grid.is_none()) {
        return Ok(None);
    }
    let most = model.config().text.max_positions - 1;
    let mut positions = Vec::with_capacity(3 * rows.len() * t);
    for axis in 0..3 {
        for (number, (at, place)) in rows.iter().enumerate() {
            positions.extend((0..t).map(|t| place.position(*at, index(number, t))[axis].min(most) as u32));
        }
    }
    Ok(Some(Tensor::from_vec(positions, (3, rows.len(), t), model.decoder.device())?))
}

fn vector(values: Vec<u32>, device: &Device) -> Result<Tensor, TrainError> {
    let length = values.len();
    Ok(Tensor::from_vec(values, length, device)?)
}

/// Returns the common image position; a row that does not fit the model is an error before any work.
pub(crate) fn check(model: &Model, rows: &[Row]) -> Result<usize, TrainError> {
    let config = model.config();
    let at = rows.first().map(|row| row.image_at).ok_or_else(|| TrainError::Row("a batch has no rows".to_owned()))?;
    for row in rows {
        let length = row.ids.len();
        if length > config.text.max_positions {
            let limit = config.text.max_positions;
            return Err(TrainError::Row(format!("a row has {length} tokens, the model has room for {limit}")));
        }
        if row.image_at != at || at + row.place.tokens > length {
            return Err(TrainError::Row(format!("a row's image stands at {}, the batch's at {at}", row.image_at)));
        }
        if row.learnt.start == 0 || row.learnt.end > length || row.learnt.is_empty() {
            return Err(TrainError::Row(format!("nothing to learn at {:?} of {length} tokens", row.learnt)));
        }
    }
    Ok(at)
}
