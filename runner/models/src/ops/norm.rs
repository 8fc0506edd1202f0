//! Root-mean-square norm and layer norm over the last axis, fused, with gradients for input, weight and bias. The statistics are
//! computed again in the backward pass: that is cheaper than keeping them.
// R rows, C width

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor};

use super::kernel::{add_to, for_rows, fused, operand, read, sum_lanes, sum_rows};

/// Root-mean-square norm (arXiv 1910.07467): `x / sqrt(mean(x²) + ε) · w` for x (…, C), w (C).
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    if fused(x) {
        return x.contiguous()?.apply_op2(w, RmsNorm { eps: eps as f32 });
    }
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    x.broadcast_div(&scale)?.broadcast_mul(w)
}

/// Layer norm (arXiv 1607.06450): `(x − mean) / sqrt(var + ε) · w + b` for x (…, C), w and b (C).
pub fn layer_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f64) -> Result<Tensor> {
    if fused(x) {
        return x.contiguous()?.apply_op3(w, b, LayerNorm { eps: eps as f32 });
    }
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let scale = (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    centred.broadcast_div(&scale)?.broadcast_mul(w)?.broadcast_add(b)
}

struct RmsNorm {
    eps: f32,
}

struct LayerNorm {
    eps: f32,
}

/// A row's mean (0 for the root-mean-square norm) and the inverse of its scale.
#[derive(Clone, Copy)]
struct Statistics {
    mean: f32,
    inverse: f32,
}

#[inline(always)]
fn rms(x: &[f32], eps: f32) -> Statistics {
    let mean_square = sum_lanes(x.len(), |i| x[i] * x[i]) / x.len() as f32;
    Statistics { mean: 0.0, inverse: 1.0 / (mean_square + eps).sqrt() }
}

#[inline(always)]
fn moments(x: &[f32], eps: f32) -> Statistics {
    let mean = sum_lanes(x.len(), |i| x[i]) / x.len() as f32;
    let variance = sum_lanes(x.len(), |i| (x[i] - mean) * (x[i] - mean)) / x.len() as f32;
    Statistics { mean, inverse: 1.0 / (variance + eps).sqrt() }
}

/// Writes x̂·w + b for every row, x̂ = (x − mean) · inverse.
fn forward(x: &[f32], w: &[f32], b: Option<&[f32]>, statistics: impl Fn(&[f32]) -> Statistics + Sync) -> Vec<f32> {
    let c = w.len();
    let mut out = vec![0.0; x.len()];
    for_rows(
        &mut out,
        c,
        #[inline(always)]
        |first, rows| {
            for (i, out) in rows.chunks_exact_mut(c).enumerate() {
                let x = &x[(first + i) * c..][..c];
                let s = statistics(x);
                for ((out, &x), &w) in out.iter_mut().zip(x).zip(w) {
                    *out = (x - s.mean) * s.inverse * w;
                }
                if let Some(b) = b {
                    add_to(out, b);
                }
            }
        },
    );
    out
}

/// Returns dx. With g = dy·w: dx = inverse · (g − [centred] mean(g) − x̂ · mean(g·x̂)).
fn input_gradient(
    x: &[f32],
    w: &[f32],
    dy: &[f32],
    centred: bool,
    statistics: impl Fn(&[f32]) -> Statistics + Sync,
) -> Vec<f32> {
    let c = w.len();
    let mut dx = vec![0.0; x.len()];
    for_rows(
        &mut dx,
        c,
        #[inline(always)]
        |first, rows| {
            for (i, dx) in rows.chunks_exact_mut(c).enumerate() {
                let (x, dy) = (&x[(first + i) * c..][..c], &dy[(first + i) * c..][..c]);
                let s = statistics(x);
                let along = sum_lanes(c, |j| dy[j] * w[j] * ((x[j] - s.mean) * s.inverse)) / c as f32;
                let mean = if centred { sum_lanes(c, |j| dy[j] * w[j]) / c as f32 } else { 0.0 };
                for j in 0..c {
                    let normed = (x[j] - s.mean) * s.inverse;
                    dx[j] = s.inverse * (dy[j] * w[j] - mean - normed * along);
                }
            }
        },
    );
    dx
}

/// Returns dw (C): Σ dy · x̂.
fn weight_gradient(x: &[f32], dy: &[f32], c: usize, statistics: impl Fn(&[f32]) -> Statistics + Sync) -> Vec<f32> {
    sum_rows(
        x.len() / c,
        c,
        #[inline(always)]
        |row, sums| {
            let (x, dy) = (&x[row * c..][..c], &dy[row * c..][..c]);
            let s = statistics(x);
            for ((sum, &x), &dy) in sums.iter_mut().zip(x).zip(dy) {
                *sum += dy * ((x - s.mean) * s.inverse);
            }
        },
    )
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = forward(
            operand(x, xl)?,
            operand(w, wl)?,
            None,
            #[inline(always)]
            |row| rms(row, self.eps),
        );
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let statistics = |row: &[f32]| rms(row, self.eps);
        let (dx, dw) = read([x, w, &grad], |[xs, ws, dy]| {
            let dx = x.track_op().then(|| input_gradient(xs, ws, dy, false, statistics));
            (dx, w.track_op().then(|| weight_gradient(xs, dy, ws.len(), statistics)))
        })?;
        let tensor = |values: Option<Vec<f32>>, like: &Tensor| {
            values.map(|values| Tensor::from_vec(values, like.shape(), like.device())).transpose()
        };
        Ok((tensor(dx, x)?, tensor(dw, w)?))
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = operand(b, bl)?;
        let out = forward(
            operand(x, xl)?,
            operand(w, wl)?,
            Some(bias),
            #[inline(always)]
            |row| moments(row, self.eps),
        );
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let statistics = |row: &[f32]| moments(row, self.eps);
        let (dx, dw, db) = read([x, w, &grad], |[xs, ws, dy]| {
            let c = ws.len();
            let dx = x.track_op().then(|| input_gradient(xs, ws, dy, true, statistics));
            let dw = w.track_op().then(|| weight_gradient(xs, dy, c, statistics));
            let db = b.track_op().then(|| {
                sum_rows(
                    dy.len() / c,
                    c,
                    #[inline(always)]
                    |row, sums| add_to(sums, &dy[row * c..][..c]),
                )
            });
            (dx, dw, db)
        })?;
        let tensor = |values: Option<Vec<f32>>, like: &Tensor| {
            values.map(|values| Tensor::from_vec(values, like.shape(), like.device())).transpose()
        };
        Ok((tensor(dx, x)?, tensor(dw, w)?, tensor(db, b)?))
    }
}
