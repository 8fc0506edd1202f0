//! Attention while sentences are drawn: many candidates stand on one prefix. A candidate's query attends to the keys of its record's
//! prefix and to its own, and the prefix is there once however many candidates share it. There is no gradient.
//!
//! A query's bits depend on that query and its keys alone.
// R rows in all, H query heads, G key and value heads, D head width, P prefix tokens, T own tokens

use candle_core::{D, Result, Tensor};

use super::kernel::{exp, for_rows_costing, fused, greatest, read, sum_lanes};

/// Rows that share a prefix.
pub struct Span<'a> {
    /// Keys and values of the prefix: (1, P, G·D) each.
    pub prefix: (&'a Tensor, &'a Tensor),
    /// Keys and values of the rows' own tokens, the newest included: (rows, T, G·D) each.
    pub own: (&'a Tensor, &'a Tensor),
}

/// Attends q (R, H·D) → (R, H·D); rows belong to the spans in order.
pub fn attend_shared(q: &Tensor, spans: &[Span<'_>], head_dim: usize) -> Result<Tensor> {
    let width = q.dim(1)?;
    if !fused(q) {
        let mut start = 0;
        let mut parts = Vec::with_capacity(spans.len());
        for span in spans {
            let rows = span.own.0.dim(0)?;
            parts.push(composed(&q.narrow(0, start, rows)?, span, head_dim)?);
            start += rows;
        }
        return Tensor::cat(&parts, 0);
    }
    let mut out = vec![0.0; q.elem_count()];
    let mut rest = out.as_mut_slice();
    let mut start = 0;
    for span in spans {
        let rows = span.own.0.dim(0)?;
        let (part, after) = rest.split_at_mut(rows * width);
        let q = q.narrow(0, start, rows)?.contiguous()?;
        fill(part, &q, span, head_dim)?;
        rest = after;
        start += rows;
    }
    Tensor::from_vec(out, q.shape(), q.device())
}

/// The fused kernel for one span.
fn fill(out: &mut [f32], q: &Tensor, span: &Span<'_>, d: usize) -> Result<()> {
    let (width, key_width) = (q.dim(1)?, span.prefix.0.dim(2)?);
    let (p, t) = (span.prefix.0.dim(1)?, span.own.0.dim(1)?);
    let (heads, shared_by) = (width / d, width / key_width);
    let scale = 1.0 / (d as f32).sqrt();
    let operands = [q, span.prefix.0, span.prefix.1, span.own.0, span.own.1];
    read(operands, |[q, prefix_keys, prefix_values, own_keys, own_values]| {
        for_rows_costing(
            out,
            width,
            (p + t) * width,
            #[inline(always)]
            |first, rows| {
                let mut weights = vec![0.0; p + t];
                for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                    let query_row = &q[(first + i) * width..][..width];
                    let own = (first + i) * t * key_width;
                    for head in 0..heads {
                        let (query, at) = (&query_row[head * d..][..d], head / shared_by * d);
                        let key = |j: usize| match j < p {
                            true => &prefix_keys[j * key_width + at..][..d],
                            false => &own_keys[own + (j - p) * key_width + at..][..d],
                        };
                        let value = |j: usize| match j < p {
                            true => &prefix_values[j * key_width + at..][..d],
                            false => &own_values[own + (j - p) * key_width + at..][..d],
                        };
                        for (j, weight) in weights.iter_mut().enumerate() {
                            let key = key(j);
                            *weight = sum_lanes(d, |c| query[c] * key[c]) * scale;
                        }
                        let most = greatest(&weights);
                        weights.iter_mut().for_each(|weight| *weight = exp(*weight - most));
                        let total = sum_lanes(p + t, |j| weights[j]);
                        let out = &mut row[head * d..][..d];
                        for (j, weight) in weights.iter().enumerate() {
                            out.iter_mut().zip(value(j)).for_each(|(out, value)| *out += weight * value);
                        }
                        out.iter_mut().for_each(|out| *out /= total);
                    }
                }
            },
        );
    })
}

/// The same from candle's operations, for other devices and types.
fn composed(q: &Tensor, span: &Span<'_>, d: usize) -> Result<Tensor> {
    let (n, t, key_width) = span.own.0.dims3()?;
    let (p, groups) = (span.prefix.0.dim(1)?, key_width / d);
    let shared_by = q.dim(1)? / key_width;
    let q = (q.reshape((n, groups, shared_by, d))? * (1.0 / (d as f64).sqrt()))?;
    // The prefix sees all rows of a group as one matrix.
    let by_group = q.transpose(0, 1)?.reshape((groups, n * shared_by, d))?;
    let prefix = |x: &Tensor| x.reshape((p, groups, d))?.transpose(0, 1)?.contiguous();
    let own = |x: &Tensor| x.reshape((n, t, groups, d))?.transpose(1, 2)?.contiguous();
    let on_prefix = by_group.matmul(&prefix(span.prefix.0)?.t()?)?.reshape((groups, n, shared_by, p))?;
    let on_own = q.contiguous()?.matmul(&own(span.own.0)?.t()?)?;
    let scores = Tensor::cat(&[&on_prefix.transpose(0, 1)?.contiguous()?, &on_own], D::Minus1)?;
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
    let from_prefix = weights.narrow(3, 0, p)?.transpose(0, 1)?.reshape((groups, n * shared_by, p))?;
    let from_prefix = from_prefix.contiguous()?.matmul(&prefix(span.prefix.1)?)?;
    let from_prefix = from_prefix.reshape((groups, n, shared_by, d))?.transpose(0, 1)?;
    let from_own = weights.narrow(3, p, t)?.contiguous()?.matmul(&own(span.own.1)?)?;
    (from_prefix + from_own)?.reshape((n, groups * shared_by * d))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn both_ways_agree_and_a_row_does_not_see_the_others() {
        let (heads, groups, d, p, t, n) = (4, 2, 24, 21, 5, 3);
        let random = |dims: &[usize]| Tensor::randn(0f32, 1.0, dims, &Device::Cpu).unwrap();
        let (prefix_keys, prefix_values) = (random(&[1, p, groups * d]), random(&[1, p, groups * d]));
        let (own_keys, own_values) = (random(&[n, t, groups * d]), random(&[n, t, groups * d]));
        let q = random(&[n, heads * d]);
        let span = Span { prefix: (&prefix_keys, &prefix_values), own: (&own_keys, &own_values) };
        let reference = composed(&q, &span, d).unwrap().to_vec2::<f32>().unwrap();
        let ours = attend_shared(&q, &[span], d).unwrap().to_vec2::<f32>().unwrap();
        for (row, (ours, reference)) in ours.iter().zip(&reference).enumerate() {
            assert!(ours.iter().zip(reference).all(|(a, b)| (a - b).abs() < 1e-5), "row {row}");
            let alone = |x: &Tensor| x.narrow(0, row, 1).unwrap().contiguous().unwrap();
            let (keys, values) = (alone(&own_keys), alone(&own_values));
            let span = Span { prefix: (&prefix_keys, &prefix_values), own: (&keys, &values) };
            let alone = attend_shared(&alone(&q), &[span], d).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(&alone[0], ours, "row {row}");
        }
    }
}
