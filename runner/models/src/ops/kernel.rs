//! What the CPU kernels share: reading f32 tensors, work over rows on several threads, the vectorised exponential, dispatch to the
//! widest instructions of the machine. It knows no model.
//!
//! Every sum is made in one fixed order (lanes of [`LANES`], blocks of [`ROWS`]), so that results are the same bits whatever the
//! number of threads and whatever else is in the batch.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};
use rayon::prelude::*;

/// Independent partial sums of a reduction: two AVX2 registers.
pub(super) const LANES: usize = 16;
/// Rows summed into one partial gradient of a weight; part of the order of summation, so never derived from the thread count.
pub(super) const ROWS: usize = 64;
/// Fewest elements worth handing to another thread.
const ELEMENTS_MIN: usize = 16 << 10;

/// Whether the fused f32 kernels serve this tensor; other devices and types take the composed operations.
pub(super) fn fused(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == candle_core::DType::F32
}

/// Runs a kernel compiled for the widest instructions this machine has. What is handed to it, and to the functions below, must be
/// marked `#[inline(always)]`: a closure that is not becomes code of its own, compiled for the narrowest, where every fused
/// multiply-add is a call.
#[inline(always)]
pub(super) fn dispatch<R>(kernel: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(kernel)
}

/// Returns the elements of a contiguous f32 operand of a custom operation.
pub(super) fn operand<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        (CpuStorage::F32(_), None) => bail!("a fused operation wants contiguous operands, found {layout:?}"),
        _ => bail!("a fused operation wants f32, found {:?}", storage.dtype()),
    }
}

/// Lends the elements of contiguous f32 CPU tensors.
pub(super) fn read<const N: usize, R>(tensors: [&Tensor; N], f: impl FnOnce([&[f32]; N]) -> R) -> Result<R> {
    let guards = tensors.map(Tensor::storage_and_layout);
    let mut slices: [&[f32]; N] = [&[]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        *slice = match &**storage {
            Storage::Cpu(storage) => operand(storage, layout)?,
            _ => bail!("a CPU kernel was given a tensor of another device"),
        };
    }
    Ok(f(slices))
}

/// Fills `out`, rows of `width`, in chunks of whole rows on several threads: `f(first row, rows)`, dispatched.
pub(super) fn for_rows(out: &mut [f32], width: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    for_rows_costing(out, width, width, f);
}

/// As [`for_rows`], for rows that cost as much as `cost` elements.
pub(super) fn for_rows_costing(out: &mut [f32], width: usize, cost: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = (ELEMENTS_MIN / cost.max(1)).max(1);
    let run = |(i, chunk): (usize, &mut [f32])| {
        dispatch(
            #[inline(always)]
            || f(i * rows, chunk),
        );
    };
    match out.len() <= rows * width {
        true => run((0, out)),
        false => out.par_chunks_mut(rows * width).enumerate().for_each(run),
    }
}

/// Sums over rows: `f(row, sums)` adds one row's part to the partial sums of its block, dispatched. Blocks are added in order.
pub(super) fn sum_rows(rows: usize, width: usize, f: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let block = |i: usize| {
        let mut sums = vec![0.0; width];
        dispatch(
            #[inline(always)]
            || (i * ROWS..((i + 1) * ROWS).min(rows)).for_each(|row| f(row, &mut sums)),
        );
        sums
    };
    let blocks: Vec<Vec<f32>> = match rows * width > ELEMENTS_MIN {
        true => (0..rows.div_ceil(ROWS)).into_par_iter().map(block).collect(),
        false => (0..rows.div_ceil(ROWS)).map(block).collect(),
    };
    let mut total = vec![0.0; width];
    for sums in blocks {
        add_to(&mut total, &sums);
    }
    total
}

/// `total += part`.
#[inline(always)]
pub(super) fn add_to(total: &mut [f32], part: &[f32]) {
    for (t, p) in total.iter_mut().zip(part) {
        *t += p;
    }
}

/// Sums `f(0) + … + f(n − 1)` in lanes.
#[inline(always)]
pub(super) fn sum_lanes(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n / LANES * LANES;
    for i in (0..whole).step_by(LANES) {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += f(i + l);
        }
    }
    for i in whole..n {
        lanes[i - whole] += f(i);
    }
    fold(lanes)
}

/// Returns the greatest of some numbers, −∞ of none.
#[inline(always)]
pub(super) fn greatest(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m })
}

/// Adds up lanes pairwise.
#[inline(always)]
pub(super) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// eˣ within 2e-7 relative, without branches, so that loops over it vectorise; 0 below −87.3 (and for −∞).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5·2²³ rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has few enough bits that its product with an integer is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let bounded = x.clamp(-87.3, 88.0);
    let n = bounded.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, bounded));
    // Taylor's polynomial: |r| ≤ ln 2 / 2, so the first term left out is below 6e-9.
    let p = r.mul_add(1.0 / 5040.0, 1.0 / 720.0);
    let p = r.mul_add(p, 1.0 / 120.0);
    let p = r.mul_add(p, 1.0 / 24.0);
    let p = r.mul_add(p, 1.0 / 6.0);
    let p = r.mul_add(p, 0.5);
    let p = r.mul_add(p, 1.0);
    let p = r.mul_add(p, 1.0);
    let power = f32::from_bits(((n as i32 + 127) << 23) as u32);
    if x < -87.3 { 0.0 } else { p * power }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_within_two_ten_millionths() {
        let mut worst = 0.0f64;
        for i in -873_000..880_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
        }
        assert!(worst < 2e-7, "relative error {worst:e}");
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn the_exponential_has_the_same_bits_at_every_instruction_width() {
        let xs: Vec<f32> = (0..4096).map(|i| (i as f32 - 2048.0) * 0.041).collect();
        let wide: Vec<u32> = dispatch(|| xs.iter().map(|&x| exp(x).to_bits()).collect());
        let plain: Vec<u32> = xs.iter().map(|&x| std::hint::black_box(exp)(x).to_bits()).collect();
        assert_eq!(wide, plain);
    }
}
