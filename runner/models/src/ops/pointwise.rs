//! Activations, fused and vectorised: candle's own cost six to twenty times as much on a core.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use super::kernel::{exp, for_rows, fused, operand, read, sigmoid};
use crate::config::Activation;

/// Returns `silu(gate) · up` (SwiGLU, arXiv 2002.05202), both of one shape.
pub fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    match fused(gate) {
        true => gate.contiguous()?.apply_op2(&up.contiguous()?, SiluMul),
        false => gate.silu()? * up,
    }
}

/// Applies an activation.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    if fused(x) {
        return x.contiguous()?.apply_op1(Activate(activation));
    }
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::QuickGelu => x * candle_nn::ops::sigmoid(&(x * f64::from(QUICK))?)?,
        Activation::Silu => x.silu(),
    }
}

/// The slope of CLIP's quick GELU.
const QUICK: f32 = 1.702;

struct SiluMul;
struct Activate(Activation);

/// Elements a chunk of work is measured in; any width does for pointwise work.
const WIDTH: usize = 64;

#[inline(always)]
fn map(out: &mut [f32], f: impl Fn(usize) -> f32 + Sync) {
    for_rows(
        out,
        WIDTH,
        #[inline(always)]
        |first, chunk| {
            let start = first * WIDTH;
            for (i, out) in chunk.iter_mut().enumerate() {
                *out = f(start + i);
            }
        },
    );
}

/// The normal distribution function Φ and density φ. Φ by Abramowitz and Stegun 7.1.26: 1.5e-7 absolute.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let p = t.mul_add(1.061_405_4, -1.453_152);
    let p = t.mul_add(p, 1.421_413_8);
    let p = t.mul_add(p, -0.284_496_72);
    let p = t.mul_add(p, 0.254_829_6);
    let density = exp(-z * z);
    let tail = 0.5 * t * p * density;
    (if x < 0.0 { tail } else { 1.0 - tail }, density * 0.398_942_3)
}

#[inline(always)]
fn value(x: f32, activation: Activation) -> f32 {
    match activation {
        Activation::Gelu => x * normal(x).0,
        Activation::QuickGelu => x * sigmoid(QUICK * x),
        Activation::Silu => x * sigmoid(x),
    }
}

#[inline(always)]
fn slope(x: f32, activation: Activation) -> f32 {
    let steep = |k: f32| {
        let s = sigmoid(k * x);
        s * (1.0 + k * x * (1.0 - s))
    };
    match activation {
        Activation::Gelu => {
            let (distribution, density) = normal(x);
            x.mul_add(density, distribution)
        }
        Activation::QuickGelu => steep(QUICK),
        Activation::Silu => steep(1.0),
    }
}

/// Runs `f` with the activation known at compile time, so that its loop vectorises.
macro_rules! by_activation {
    ($activation:expr, $name:ident => $body:expr) => {
        match $activation {
            Activation::Gelu => {
                const $name: Activation = Activation::Gelu;
                $body
            }
            Activation::QuickGelu => {
                const $name: Activation = Activation::QuickGelu;
                $body
            }
            Activation::Silu => {
                const $name: Activation = Activation::Silu;
                $body
            }
        }
    };
}

impl CustomOp1 for Activate {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = operand(x, xl)?;
        let mut out = vec![0.0; x.len()];
        by_activation!(self.0, A => map(&mut out, #[inline(always)] |i| value(x[i], A)));
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dx = read([x, &grad.contiguous()?], |[x, dy]| {
            let mut dx = vec![0.0; x.len()];
            by_activation!(self.0, A => map(&mut dx, #[inline(always)] |i| dy[i] * slope(x[i], A)));
            dx
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

impl CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, gate: &CpuStorage, gl: &Layout, up: &CpuStorage, ul: &Layout) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (operand(gate, gl)?, operand(up, ul)?);
        if gl.shape() != ul.shape() {
            candle_core::bail!("silu-mul of {:?} and {:?}", gl.shape(), ul.shape());
        }
        let mut out = vec![0.0; gate.len()];
        map(
            &mut out,
            #[inline(always)]
            |i| value(gate[i], Activation::Silu) * up[i],
        );
        Ok((CpuStorage::F32(out), gl.shape().clone()))
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dgate, dup) = read([gate, up, &grad.contiguous()?], |[gate, up, dy]| {
            let (mut dgate, mut dup) = (vec![0.0; gate.len()], vec![0.0; gate.len()]);
            map(
                &mut dgate,
                #[inline(always)]
                |i| dy[i] * up[i] * slope(gate[i], Activation::Silu),
            );
            map(
                &mut dup,
                #[inline(always)]
                |i| dy[i] * value(gate[i], Activation::Silu),
            );
            (dgate, dup)
        })?;
        let tensor = |values| Tensor::from_vec(values, gate.shape(), gate.device());
        Ok((Some(tensor(dgate)?), Some(tensor(dup)?)))
    }
}
