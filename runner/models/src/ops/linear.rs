//! The linear map and its gradient. Gradients go to tracked arguments only: a frozen weight, which candle's own product would give
//! a gradient nobody reads, costs nothing here.
// R rows, K inputs, N outputs

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::dots::dots;
use super::kernel::{add_to, for_rows, fused, operand, read, sum_rows};

/// Returns `x · wᵀ + b` for x (…, K), w (N, K), b (N) → (…, N).
///
/// On the CPU a row's bits do not depend on the other rows, nor on how many there are.
pub fn linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let x = x.contiguous()?;
    match bias {
        None => x.apply_op2(w, LinearOp),
        Some(bias) if fused(&x) => x.apply_op3(w, bias, LinearOp),
        Some(bias) => x.apply_op2(w, LinearOp)?.broadcast_add(bias),
    }
}

struct LinearOp;

/// Returns (R, N, K) and the shape of the product.
fn sizes(x: &Layout, w: &Layout) -> Result<(usize, usize, usize, Shape)> {
    let (n, k) = w.shape().dims2()?;
    let mut dims = x.dims().to_vec();
    if dims.last() != Some(&k) {
        candle_core::bail!("a linear layer of {k} inputs was given {:?}", x.dims());
    }
    let rows = x.shape().elem_count() / k.max(1);
    *dims.last_mut().expect("the last axis was just compared") = n;
    Ok((rows, n, k, Shape::from(dims)))
}

/// Multiplies on any backend: x (R, K) and w (N, K) as stored → (R, N).
fn product<S: BackendStorage>(x: &S, xl: &Layout, w: &S, wl: &Layout) -> Result<(S, Shape)> {
    let (rows, n, k, shape) = sizes(xl, wl)?;
    let lhs = Layout::contiguous_with_offset((rows, k), xl.start_offset());
    let out = x.matmul(w, (1, rows, n, k), &lhs, &wl.transpose(0, 1)?)?;
    Ok((out, shape))
}

/// As [`product`], on the CPU by our own kernel where it serves.
fn product_cpu(x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
    let (rows, n, k, shape) = sizes(xl, wl)?;
    if !matches!((x, w), (CpuStorage::F32(_), CpuStorage::F32(_))) {
        return product(x, xl, w, wl);
    }
    let out = dots(operand(x, xl)?, operand(w, wl)?, rows, n, k);
    Ok((CpuStorage::F32(out), shape))
}

impl LinearOp {
    /// Returns the gradients of x and w where they are wanted.
    fn gradients(x: &Tensor, w: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (n, k) = w.dims2()?;
        let rows = x.elem_count() / k.max(1);
        let grad = grad.contiguous()?.reshape((rows, n))?;
        let dx = match x.track_op() {
            true => Some(grad.matmul(&w.detach())?.reshape(x.shape())?), // (R, N) (N, K) → (R, K)
            false => None,
        };
        let dw = match w.track_op() {
            true => Some(grad.t()?.matmul(&x.detach().reshape((rows, k))?)?), // (N, R) (R, K) → (N, K)
            false => None,
        };
        Ok((dx, dw))
    }
}

impl CustomOp2 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        product_cpu(x, xl, w, wl)
    }

    fn cuda_fwd(&self, x: &CudaStorage, xl: &Layout, w: &CudaStorage, wl: &Layout) -> Result<(CudaStorage, Shape)> {
        product(x, xl, w, wl)
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Self::gradients(x, w, grad)
    }
}

impl CustomOp3 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        bias: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (mut out, shape) = product_cpu(x, xl, w, wl)?;
        let bias = operand(bias, bl)?;
        if let CpuStorage::F32(out) = &mut out {
            for_rows(
                out,
                bias.len(),
                #[inline(always)]
                |_, rows| rows.chunks_exact_mut(bias.len()).for_each(|row| add_to(row, bias)),
            );
        }
        Ok((out, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (dx, dw) = Self::gradients(x, w, &grad)?;
        if !bias.track_op() {
            return Ok((dx, dw, None));
        }
        let n = bias.elem_count();
        let sums = read([&grad], |[g]| {
            sum_rows(
                g.len() / n,
                n,
                #[inline(always)]
                |row, sums| add_to(sums, &g[row * n..][..n]),
            )
        })?;
        Ok((dx, dw, Some(Tensor::from_vec(sums, n, grad.device())?)))
    }
}
