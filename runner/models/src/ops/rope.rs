//! Rotary positions (arXiv 2104.09864) on activations as the linears leave them: no transposition, no copy but the result.
// B batch, T tokens, H heads, D head width

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};

use super::kernel::{for_rows, fused, operand, read};

/// Rotates the two halves of each head against each other (the Llama layout): x (B, T, H·D), cos and sin (T, D/2) or (B, T, D/2).
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (b, t, width) = x.dims3()?;
    let half = cos.dim(D::Minus1)?;
    let positions = cos.elem_count() / half;
    if cos.shape() != sin.shape() || width % (2 * half) != 0 || (positions != t && positions != b * t) {
        candle_core::bail!("rope of {:?} with tables {:?} and {:?}", x.shape(), cos.shape(), sin.shape());
    }
    if fused(x) {
        return x.contiguous()?.apply_op1(Rope { cos: cos.contiguous()?, sin: sin.contiguous()?, backwards: false });
    }
    let heads = x.reshape((b, t, width / (2 * half), 2, half))?;
    let (first, second) = (heads.narrow(3, 0, 1)?, heads.narrow(3, 1, 1)?);
    let table = |y: &Tensor| y.to_dtype(x.dtype())?.reshape((positions / t, t, 1, 1, half));
    let (cos, sin) = (table(cos)?, table(sin)?);
    let rotated = [
        (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?,
        (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?,
    ];
    Tensor::cat(&rotated, 3)?.reshape((b, t, width))
}

struct Rope {
    cos: Tensor,
    sin: Tensor,
    /// Turns the other way: the gradient of a rotation is the rotation back.
    backwards: bool,
}

impl Rope {
    fn turn(&self, x: &[f32], width: usize) -> Result<Vec<f32>> {
        let half = self.cos.dim(D::Minus1)?;
        let sign = if self.backwards { -1.0 } else { 1.0 };
        read([&self.cos, &self.sin], |[cos, sin]| {
            let mut out = vec![0.0; x.len()];
            let positions = cos.len() / half;
            for_rows(
                &mut out,
                width,
                #[inline(always)]
                |first, rows| {
                    for (i, out) in rows.chunks_exact_mut(width).enumerate() {
                        let (row, at) = (first + i, (first + i) % positions * half);
                        let (cos, sin) = (&cos[at..][..half], &sin[at..][..half]);
                        let heads = x[row * width..][..width].chunks_exact(2 * half);
                        for (x, out) in heads.zip(out.chunks_exact_mut(2 * half)) {
                            let ((a, b), (out_a, out_b)) = (x.split_at(half), out.split_at_mut(half));
                            for j in 0..half {
                                out_a[j] = a[j] * cos[j] - b[j] * (sign * sin[j]);
                                out_b[j] = b[j] * cos[j] + a[j] * (sign * sin[j]);
                            }
                        }
                    }
                },
            );
            out
        })
    }
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = self.turn(operand(x, xl)?, xl.dims()[xl.dims().len() - 1])?;
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let back = Self { cos: self.cos.clone(), sin: self.sin.clone(), backwards: !self.backwards };
        grad.contiguous()?.apply_op1_no_bwd(&back).map(Some)
    }
}
