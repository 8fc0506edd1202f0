//! Log-probabilities of chosen tokens, and the log-sigmoid of preference losses.
// R rows, V vocabulary

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};

use super::kernel::{dispatch, exp, for_rows, for_rows_costing, fused, greatest, operand, read, sigmoid, sum_lanes};

/// Returns the log-probability of each target under a softmax over the last axis: logits (R, V), targets (R) of u32 → (R).
///
/// Fused with its gradient (one-hot − softmax): the (R, V) log-probabilities are never kept.
pub fn token_logp(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let (rows, vocabulary) = logits.dims2()?;
    if targets.dims1()? != rows {
        candle_core::bail!("{rows} rows of logits, {} targets", targets.elem_count());
    }
    if !fused(logits) {
        return candle_nn::ops::log_softmax(logits, D::Minus1)?.gather(&targets.unsqueeze(1)?, 1)?.squeeze(1);
    }
    let targets = targets.to_vec1::<u32>()?;
    if let Some(out) = targets.iter().find(|&&target| target as usize >= vocabulary) {
        candle_core::bail!("target {out} is outside the vocabulary of {vocabulary}");
    }
    logits.contiguous()?.apply_op1(TokenLogp { targets, vocabulary })
}

/// Returns log(1 / (1 + e⁻ˣ)) elementwise, without overflow.
pub fn log_sigmoid(x: &Tensor) -> Result<Tensor> {
    if fused(x) {
        return x.contiguous()?.apply_op1(LogSigmoid);
    }
    // min(x, 0) − log(1 + e^−|x|)
    x.minimum(0f64)? - (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}

struct TokenLogp {
    targets: Vec<u32>,
    vocabulary: usize,
}

struct LogSigmoid;

/// Returns the greatest logit and the sum of exponentials above it.
#[inline(always)]
fn partition(logits: &[f32]) -> (f32, f32) {
    let greatest = greatest(logits);
    (greatest, sum_lanes(logits.len(), |i| exp(logits[i] - greatest)))
}

impl CustomOp1 for TokenLogp {
    fn name(&self) -> &'static str {
        "token-logp"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (logits, v) = (operand(logits, layout)?, self.vocabulary);
        let mut out = vec![0.0; self.targets.len()];
        for_rows_costing(
            &mut out,
            1,
            v,
            #[inline(always)]
            |first, out| {
                for (i, out) in out.iter_mut().enumerate() {
                    let row = &logits[(first + i) * v..][..v];
                    let (greatest, sum) = partition(row);
                    *out = row[self.targets[first + i] as usize] - greatest - sum.ln();
                }
            },
        );
        Ok((CpuStorage::F32(out), Shape::from(self.targets.len())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let v = self.vocabulary;
        let out = read([logits, &grad.contiguous()?], |[logits, dy]| {
            let mut out = vec![0.0; logits.len()];
            for_rows(
                &mut out,
                v,
                #[inline(always)]
                |first, rows| {
                    for (i, out) in rows.chunks_exact_mut(v).enumerate() {
                        let (row, dy) = (&logits[(first + i) * v..][..v], dy[first + i]);
                        let (greatest, sum) = partition(row);
                        let scale = -dy / sum;
                        for (out, &x) in out.iter_mut().zip(row) {
                            *out = scale * exp(x - greatest);
                        }
                        out[self.targets[first + i] as usize] += dy;
                    }
                },
            );
            out
        })?;
        Ok(Some(Tensor::from_vec(out, logits.shape(), logits.device())?))
    }
}

impl CustomOp1 for LogSigmoid {
    fn name(&self) -> &'static str {
        "log-sigmoid"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = operand(x, layout)?.iter().map(|&x| x.min(0.0) - (-x.abs()).exp().ln_1p()).collect();
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dx = read([x, &grad.contiguous()?], |[x, dy]| {
            dispatch(
                #[inline(always)]
                || x.iter().zip(dy).map(|(&x, &dy)| dy * sigmoid(-x)).collect::<Vec<_>>(),
            )
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
