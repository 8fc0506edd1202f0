//! Scaled dot-product attention as one operation: scores, mask, softmax and weighted values, with its gradient. It works on
//! activations as the linears leave them; one task is a row of the batch and a group of query heads that share keys.
//!
//! A query's bits depend on that query and its keys alone: not on the other queries, not on keys its mask hides at the end, not on
//! threads. The backward pass computes the weights again instead of keeping them.
// B batch, T queries, S keys, H query heads, G key and value heads, D head width

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::kernel::{LANES, exp, fused, greatest, operand, read, sum_lanes};

/// Queries worked on together: they share the loads of keys and values.
const QUERIES: usize = 4;

/// Attends q (B, T, H·D) to k and v (B, S, G·D) → (B, T, H·D). `mask` is added to the scores: (T, S) or (B, 1, T, S); keys it
/// hides with −∞ at the end of a query's row, or in whole blocks, cost nothing. Every query must see at least one key.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, head_dim: usize, mask: Option<&Tensor>) -> Result<Tensor> {
    let ((b, t, width), (_, s, key_width)) = (q.dims3()?, k.dims3()?);
    let (h, g) = (width / head_dim, key_width / head_dim);
    let fits = width == h * head_dim && key_width == g * head_dim && g > 0 && h % g == 0;
    if !fits || k.shape() != v.shape() || k.dim(0)? != b || mask.is_some_and(|m| !mask_fits(m, b, t, s)) {
        let mask = mask.map(Tensor::dims);
        candle_core::bail!(
            "attention of {:?} to {:?} and {:?}, head {head_dim}, mask {mask:?}",
            q.dims(),
            k.dims(),
            v.dims()
        );
    }
    let sizes = Sizes { b, t, s, h, g, d: head_dim };
    if !fused(q) {
        return composed(q, k, v, &sizes, mask);
    }
    let op = Attention { sizes, mask: mask.map(Visibility::of).transpose()? };
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
}

fn mask_fits(mask: &Tensor, b: usize, t: usize, s: usize) -> bool {
    mask.dims() == [t, s] || mask.dims() == [b, 1, t, s]
}

/// The same from candle's operations, for other devices and types. Query heads that share keys are folded into rows.
fn composed(q: &Tensor, k: &Tensor, v: &Tensor, sizes: &Sizes, mask: Option<&Tensor>) -> Result<Tensor> {
    let &Sizes { b, t, s, h, g, d } = sizes;
    let heads = |x: &Tensor, t, h| x.reshape((b, t, h, d))?.transpose(1, 2)?.contiguous();
    let q = (heads(q, t, h)? * (1.0 / (d as f64).sqrt()))?.reshape((b, g, h / g * t, d))?;
    let mut scores = q.matmul(&heads(k, s, g)?.t()?)?.reshape((b, h, t, s))?;
    if let Some(mask) = mask {
        scores = scores.broadcast_add(&mask.to_dtype(scores.dtype())?)?;
    }
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?.reshape((b, g, h / g * t, s))?;
    weights.matmul(&heads(v, s, g)?)?.reshape((b, h, t, d))?.transpose(1, 2)?.reshape((b, t, h * d))
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    b: usize,
    t: usize,
    s: usize,
    h: usize,
    g: usize,
    d: usize,
}

struct Attention {
    sizes: Sizes,
    mask: Option<Visibility>,
}

/// A mask and, for every query, how many keys from the first it may see at most.
struct Visibility {
    mask: Vec<f32>,
    reach: Vec<usize>,
}

impl Visibility {
    fn of(mask: &Tensor) -> Result<Self> {
        let s = mask.dim(D::Minus1)?;
        let mask = mask.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let seen = |row: &[f32]| row.iter().rposition(|&m| m > f32::NEG_INFINITY).map_or(0, |last| last + 1);
        let reach: Vec<usize> = mask.chunks_exact(s).map(seen).collect();
        if reach.contains(&0) {
            candle_core::bail!("a mask hides every key from a query");
        }
        Ok(Self { mask, reach })
    }
}

/// Keys and values of one group: both ways round, padded with zeros to whole blocks.
struct Packed {
    /// (D, S′): keys along the lanes, for products over the head's width.
    across: Vec<f32>,
    /// (S, D′): the head's width along the lanes, for sums over keys.
    along: Vec<f32>,
}

impl Packed {
    #[inline(always)]
    fn of(x: &[f32], sizes: &Sizes, b: usize, g: usize, both: bool) -> Self {
        let (padded_s, padded_d) = (sizes.s.next_multiple_of(LANES), sizes.d.next_multiple_of(LANES));
        let mut across = vec![0.0; if both { sizes.d * padded_s } else { 0 }];
        let mut along = vec![0.0; sizes.s * padded_d];
        for j in 0..sizes.s {
            let row = &x[((b * sizes.s + j) * sizes.g + g) * sizes.d..][..sizes.d];
            along[j * padded_d..][..sizes.d].copy_from_slice(row);
            if both {
                for (d, &value) in row.iter().enumerate() {
                    across[d * padded_s + j] = value;
                }
            }
        }
        Self { across, along }
    }
}

/// The queries of one block: their heads' places in q and the output, and their rows in the mask.
struct Block {
    count: usize,
    at: [usize; QUERIES],
    mask_row: [usize; QUERIES],
    reach: usize,
}

impl Attention {
    /// Cuts the queries of one group into blocks of neighbours in time, head after head.
    fn blocks(&self, b: usize, g: usize) -> impl Iterator<Item = Block> + '_ {
        let Sizes { t, s, h, d, .. } = self.sizes;
        let heads = h / self.sizes.g;
        (0..heads).flat_map(move |head| {
            (0..t).step_by(QUERIES).map(move |first| {
                let count = QUERIES.min(t - first);
                let query = |i: usize| first + i.min(count - 1);
                let mask_row = std::array::from_fn(|i| match &self.mask {
                    Some(mask) if mask.reach.len() > t => b * t + query(i),
                    _ => query(i),
                });
                let reach = |rows: &[usize; QUERIES]| {
                    rows.iter().map(|&row| self.mask.as_ref().map_or(s, |m| m.reach[row])).max()
                };
                Block {
                    count,
                    at: std::array::from_fn(|i| ((b * t + query(i)) * h + g * heads + head) * d),
                    reach: reach(&mask_row).expect("a block has queries"),
                    mask_row,
                }
            })
        })
    }

    /// Writes the softmax weights of a block's queries: (QUERIES, S′), zero beyond the reach.
    #[inline(always)]
    fn weights(&self, q: &[f32], keys: &Packed, block: &Block, weights: &mut [f32]) {
        let Sizes { s, d, .. } = self.sizes;
        let padded = s.next_multiple_of(LANES);
        let scale = 1.0 / (d as f32).sqrt();
        products(q, &keys.across, block, d, padded, weights);
        for (i, row) in weights.chunks_exact_mut(padded).enumerate() {
            for x in &mut row[..block.reach] {
                *x *= scale;
            }
            if let Some(mask) = &self.mask {
                super::kernel::add_to(&mut row[..block.reach], &mask.mask[block.mask_row[i] * s..][..block.reach]);
            }
            row[block.reach..].fill(f32::NEG_INFINITY);
            let greatest = greatest(row);
            for x in row.iter_mut() {
                *x = exp(*x - greatest);
            }
            let inverse = 1.0 / sum_lanes(padded, |j| row[j]);
            for x in row.iter_mut() {
                *x *= inverse;
            }
        }
    }

    fn forward(&self, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
        let Sizes { b, t, h, g, d, .. } = self.sizes;
        // One task a row and group; each returns its heads' outputs (H/G, T, D), which are then put in place.
        let outs =
            for_groups(b, g, |(row, group)| pulp::Arch::new().dispatch(ForwardGroup { op: self, q, k, v, row, group }));
        let mut out = vec![0.0; b * t * h * d];
        for (i, heads) in outs.iter().enumerate() {
            self.scatter(heads, i, &mut out);
        }
        out
    }

    /// Puts the outputs of task `i` (H/G, T, D) where they belong in (B, T, H, D).
    fn scatter(&self, heads: &[f32], i: usize, out: &mut [f32]) {
        let Sizes { t, h, g, d, .. } = self.sizes;
        let (row, group) = (i / g, i % g);
        for (j, values) in heads.chunks_exact(d).enumerate() {
            let at = ((row * t + j % t) * h + group * (h / g) + j / t) * d;
            out[at..at + d].copy_from_slice(values);
        }
    }

    /// Returns the gradients of q, k and v.
    fn backward(&self, q: &[f32], k: &[f32], v: &[f32], out: &[f32], dout: &[f32]) -> [Vec<f32>; 3] {
        let Sizes { b, t, s, h, g, d } = self.sizes;
        let groups = for_groups(b, g, |(row, group)| {
            pulp::Arch::new().dispatch(BackwardGroup { op: self, q, k, v, out, dout, row, group })
        });
        let mut dq = vec![0.0; b * t * h * d];
        let (mut dk, mut dv) = (vec![0.0; b * s * g * d], vec![0.0; b * s * g * d]);
        let padded_d = d.next_multiple_of(LANES);
        for (i, [heads, keys, values]) in groups.iter().enumerate() {
            self.scatter(heads, i, &mut dq);
            for j in 0..s {
                let at = ((i / g * s + j) * g + i % g) * d;
                dk[at..at + d].copy_from_slice(&keys[j * padded_d..][..d]);
                dv[at..at + d].copy_from_slice(&values[j * padded_d..][..d]);
            }
        }
        [dq, dk, dv]
    }
}

/// The forward pass of one group of a row. It is a type, not a closure, because only a type's method can be forced into the
/// code compiled for the widest instructions; outside of it every fused multiply-add is a call.
struct ForwardGroup<'a> {
    op: &'a Attention,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    row: usize,
    group: usize,
}

impl pulp::WithSimd for ForwardGroup<'_> {
    /// (H/G, T, D)
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Vec<f32> {
        let Self { op, q, k, v, row, group } = self;
        let Sizes { t, s, h, g, d, .. } = op.sizes;
        let (padded_s, padded_d) = (s.next_multiple_of(LANES), d.next_multiple_of(LANES));
        let (keys, values) = (Packed::of(k, &op.sizes, row, group, true), Packed::of(v, &op.sizes, row, group, false));
        let mut weights = vec![0.0; QUERIES * padded_s];
        let mut sums = vec![0.0; QUERIES * padded_d];
        let mut out = Vec::with_capacity(h / g * t * d);
        for block in op.blocks(row, group) {
            op.weights(q, &keys, &block, &mut weights);
            weighted(&weights, &values.along, padded_s, padded_d, block.reach, &mut sums);
            sums.chunks_exact(padded_d).take(block.count).for_each(|sum| out.extend_from_slice(&sum[..d]));
        }
        out
    }
}

/// The backward pass of one group of a row: dq (H/G, T, D), dk and dv (S, D′). With w the weights and ∘ elementwise:
/// dv = wᵀ do; ds = w ∘ (do vᵀ − Σ do∘o); dq = scale · ds k; dk = scale · dsᵀ q.
struct BackwardGroup<'a> {
    op: &'a Attention,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    out: &'a [f32],
    dout: &'a [f32],
    row: usize,
    group: usize,
}

impl pulp::WithSimd for BackwardGroup<'_> {
    type Output = [Vec<f32>; 3];

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> [Vec<f32>; 3] {
        let Self { op, q, k, v, out, dout, row, group } = self;
        let Sizes { t, s, h, g, d, .. } = op.sizes;
        let (padded_s, padded_d) = (s.next_multiple_of(LANES), d.next_multiple_of(LANES));
        let (keys, values) = (Packed::of(k, &op.sizes, row, group, true), Packed::of(v, &op.sizes, row, group, true));
        let scale = 1.0 / (d as f32).sqrt();
        let (mut weights, mut slopes) = (vec![0.0; QUERIES * padded_s], vec![0.0; QUERIES * padded_s]);
        let mut sums = vec![0.0; QUERIES * padded_d];
        let (mut dk, mut dv) = (vec![0.0; s * padded_d], vec![0.0; s * padded_d]);
        let mut dq = Vec::with_capacity(h / g * t * d);
        for block in op.blocks(row, group) {
            op.weights(q, &keys, &block, &mut weights);
            products(dout, &values.across, &block, d, padded_s, &mut slopes);
            for i in 0..QUERIES {
                let (o, grad) = (&out[block.at[i]..][..d], &dout[block.at[i]..][..d]);
                // A block's empty places repeat its last query; they must add nothing.
                let scale = if i < block.count { scale } else { 0.0 };
                let along = sum_lanes(d, |j| o[j] * grad[j]);
                let (w, slope) = (&mut weights[i * padded_s..][..padded_s], &mut slopes[i * padded_s..][..padded_s]);
                for (slope, w) in slope.iter_mut().zip(w.iter()) {
                    *slope = w * (*slope - along) * scale;
                }
                if i >= block.count {
                    w.fill(0.0);
                }
            }
            weighted(&slopes, &keys.along, padded_s, padded_d, block.reach, &mut sums);
            sums.chunks_exact(padded_d).take(block.count).for_each(|sum| dq.extend_from_slice(&sum[..d]));
            spread(&slopes, q, &block, d, padded_s, padded_d, &mut dk);
            spread(&weights, dout, &block, d, padded_s, padded_d, &mut dv);
        }
        [dq, dk, dv]
    }
}

/// Runs a task for every row and group, in order of (row, group).
fn for_groups<R: Send>(b: usize, g: usize, task: impl Fn((usize, usize)) -> R + Sync) -> Vec<R> {
    (0..b * g).into_par_iter().map(|i| task((i / g, i % g))).collect()
}

/// Writes x·yᵀ for a block's rows of x (D each, at `block.at`) and `across` (D, S′) → (QUERIES, S′), up to the reach.
#[inline(always)]
fn products(x: &[f32], across: &[f32], block: &Block, d: usize, padded_s: usize, out: &mut [f32]) {
    let rows: [&[f32]; QUERIES] = std::array::from_fn(|i| &x[block.at[i]..][..d]);
    for j in (0..block.reach).step_by(LANES) {
        let mut sums = [[0.0f32; LANES]; QUERIES];
        for c in 0..d {
            let lanes = lanes(across, c * padded_s + j);
            for (sum, row) in sums.iter_mut().zip(&rows) {
                let x = row[c];
                for (sum, &y) in sum.iter_mut().zip(lanes) {
                    *sum = x.mul_add(y, *sum);
                }
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            out[i * padded_s + j..][..LANES].copy_from_slice(sum);
        }
    }
}

/// Writes w·y for weights (QUERIES, S′) and `along` (S, D′) → (QUERIES, D′), over the keys in reach.
#[inline(always)]
fn weighted(w: &[f32], along: &[f32], padded_s: usize, padded_d: usize, reach: usize, out: &mut [f32]) {
    let rows: [&[f32]; QUERIES] = std::array::from_fn(|i| &w[i * padded_s..][..reach]);
    for c in (0..padded_d).step_by(LANES) {
        let mut sums = [[0.0f32; LANES]; QUERIES];
        for j in 0..reach {
            let lanes = lanes(along, j * padded_d + c);
            for (sum, row) in sums.iter_mut().zip(&rows) {
                let x = row[j];
                for (sum, &y) in sum.iter_mut().zip(lanes) {
                    *sum = x.mul_add(y, *sum);
                }
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            out[i * padded_d + c..][..LANES].copy_from_slice(sum);
        }
    }
}

/// Adds wᵀ·x to `total` (S, D′) for weights (QUERIES, S′) and a block's rows of x.
#[inline(always)]
fn spread(w: &[f32], x: &[f32], block: &Block, d: usize, padded_s: usize, padded_d: usize, total: &mut [f32]) {
    let rows: [&[f32]; QUERIES] = std::array::from_fn(|i| &w[i * padded_s..][..block.reach]);
    for c in (0..d).step_by(LANES) {
        let width = LANES.min(d - c);
        let mut lanes = [[0.0f32; LANES]; QUERIES];
        for (lanes, &at) in lanes.iter_mut().zip(&block.at) {
            lanes[..width].copy_from_slice(&x[at + c..][..width]);
        }
        for j in 0..block.reach {
            let total = &mut total[j * padded_d + c..][..LANES];
            for l in 0..LANES {
                let mut sum = total[l];
                for (row, lanes) in rows.iter().zip(&lanes) {
                    sum = row[j].mul_add(lanes[l], sum);
                }
                total[l] = sum;
            }
        }
    }
}

/// Returns a block of lanes.
#[inline(always)]
fn lanes(x: &[f32], at: usize) -> &[f32; LANES] {
    x[at..at + LANES].first_chunk().expect("the slice has LANES elements")
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        k: &CpuStorage,
        kl: &Layout,
        v: &CpuStorage,
        vl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let out = self.forward(operand(q, ql)?, operand(k, kl)?, operand(v, vl)?);
        Ok((CpuStorage::F32(out), ql.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dq, dk, dv] =
            read([q, k, v, out, &grad.contiguous()?], |[q, k, v, out, grad]| self.backward(q, k, v, out, grad))?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device()).map(Some);
        Ok((tensor(dq, q)?, tensor(dk, k)?, tensor(dv, v)?))
    }
}
