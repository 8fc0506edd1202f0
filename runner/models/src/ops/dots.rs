//! The product of rows with rows, x · wᵀ: every result is the dot product of two contiguous rows, so that weights are used as they are
//! stored. A general matrix kernel copies the weights into panels first, which for the few rows of a decoding step costs more than
//! the product.
//!
//! A dot product is summed in [`LANES`] and blocks of [`DEPTH`], whatever else is computed beside it: its bits do not depend on the
//! other rows, on how many there are, on threads, or on the width of the machine's instructions.
// R rows, K inputs, N outputs

use rayon::prelude::*;

use super::kernel::{LANES, fold};

/// Products summed in one go: rows of so many numbers stay in the first cache.
const DEPTH: usize = 2048;
/// Bytes of weights a task works on: they stay in the second cache while rows pass.
const TASK_BYTES: usize = 256 << 10;

/// Returns x (R, K) · w (N, K)ᵀ → (R, N).
pub(super) fn dots(x: &[f32], w: &[f32], rows: usize, n: usize, k: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows * n];
    if rows == 0 || n == 0 || k == 0 {
        return out;
    }
    // A task has some outputs of all rows; what it makes is put in place afterwards.
    let block = (TASK_BYTES / size_of::<f32>() / k.min(DEPTH)).clamp(16, n.next_multiple_of(16)) / 16 * 16;
    let mut columns = vec![0.0; rows * n];
    let tasks = columns.par_chunks_mut(block * rows).zip(w.par_chunks(block * k));
    tasks.for_each(|(out, w)| pulp::Arch::new().dispatch(Task { x, w, k, out }));
    for (first, part) in (0..n).step_by(block).zip(columns.chunks(block * rows)) {
        let width = part.len() / rows;
        for (row, values) in part.chunks_exact(width).enumerate() {
            out[row * n + first..][..width].copy_from_slice(values);
        }
    }
    out
}

/// Some outputs of all rows: x (R, K), w (N′, K) → out (R, N′). It is a type, not a closure, so that it is compiled for
/// the widest instructions as a whole.
struct Task<'a> {
    x: &'a [f32],
    w: &'a [f32],
    k: usize,
    out: &'a mut [f32],
}

impl pulp::WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        // As many sums as the registers hold; how wide those are changes no bit.
        match S::F32_LANES {
            16 => self.tiles::<S, 6, 4, 1>(simd),
            8 => self.tiles::<S, 3, 2, 2>(simd),
            4 => self.tiles::<S, 1, 2, 4>(simd),
            _ => self.tiles::<pulp::Scalar, 1, 1, 16>(pulp::Scalar::new()),
        }
    }
}

impl Task<'_> {
    /// Goes over all rows and outputs, R × N dot products at a time; P registers hold a row's [`LANES`].
    #[inline(always)]
    fn tiles<S: pulp::Simd, const R: usize, const N: usize, const P: usize>(mut self, simd: S) {
        let (rows, n) = (self.x.len() / self.k, self.w.len() / self.k);
        for depth in (0..self.k).step_by(DEPTH) {
            for column in (0..n).step_by(N) {
                for row in (0..rows).step_by(R) {
                    if column + N <= n && row + R <= rows {
                        self.tile::<S, R, N, P>(simd, row, column, depth);
                    } else {
                        for (row, column) in (row..rows.min(row + R))
                            .flat_map(|row| (column..n.min(column + N)).map(move |column| (row, column)))
                        {
                            self.tile::<S, 1, 1, P>(simd, row, column, depth);
                        }
                    }
                }
            }
        }
    }

    /// Adds the part of R × N dot products that begins at `depth`.
    #[inline(always)]
    fn tile<S: pulp::Simd, const R: usize, const N: usize, const P: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        depth: usize,
    ) {
        let Self { x, w, k, .. } = *self;
        let length = DEPTH.min(k - depth);
        let whole = length / LANES;
        let xs: [&[f32]; R] = std::array::from_fn(|i| &x[(row + i) * k + depth..][..length]);
        let ws: [&[f32]; N] = std::array::from_fn(|i| &w[(column + i) * k + depth..][..length]);
        let wide_xs: [&[S::f32s]; R] =
            std::array::from_fn(|i| &S::as_simd_f32s(&xs[i][..whole * LANES]).0[..whole * P]);
        let wide_ws: [&[S::f32s]; N] =
            std::array::from_fn(|i| &S::as_simd_f32s(&ws[i][..whole * LANES]).0[..whole * P]);
        let mut sums = [[[simd.splat_f32s(0.0); P]; N]; R];
        for at in 0..whole {
            for p in 0..P {
                let ws: [S::f32s; N] = std::array::from_fn(|j| wide_ws[j][at * P + p]);
                for i in 0..R {
                    let x = wide_xs[i][at * P + p];
                    for j in 0..N {
                        sums[i][j][p] = simd.mul_add_f32s(x, ws[j], sums[i][j][p]);
                    }
                }
            }
        }
        let n = w.len() / k;
        for (i, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                let mut lanes = [0.0; LANES];
                lanes.copy_from_slice(pulp::bytemuck::cast_slice(sum));
                for (lane, at) in lanes.iter_mut().zip(whole * LANES..length) {
                    *lane = xs[i][at].mul_add(ws[j][at], *lane);
                }
                self.out[(row + i) * n + column + j] += fold(lanes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn random(rows: usize, width: usize) -> Vec<f32> {
        Tensor::randn(0f32, 1.0, (rows, width), &Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn products_are_candles_and_a_row_has_its_bits_in_any_company() {
        for (rows, n, k) in
            [(1, 1, 1), (1, 5, 16), (6, 4, 32), (7, 9, 45), (13, 70, 2048), (20, 33, 4200), (65, 130, 17)]
        {
            let (x, w) = (random(rows, k), random(n, k));
            let ours = dots(&x, &w, rows, n, k);
            let tensor = |values: &[f32], rows| Tensor::from_slice(values, (rows, k), &Device::Cpu).unwrap();
            let double = |values: &[f32], rows| tensor(values, rows).to_dtype(candle_core::DType::F64).unwrap();
            let exact = double(&x, rows).matmul(&double(&w, n).t().unwrap()).unwrap();
            let exact: Vec<f64> = exact.flatten_all().unwrap().to_vec1().unwrap();
            let bound = 1e-6 * (k as f64).sqrt().max(1.0);
            let worst =
                ours.iter().zip(&exact).map(|(ours, exact)| (f64::from(*ours) - exact).abs()).fold(0.0, f64::max);
            assert!(worst < bound, "({rows}, {n}, {k}): {worst:e}");
            for row in 0..rows {
                let alone = dots(&x[row * k..][..k], &w, 1, n, k);
                assert_eq!(alone, ours[row * n..][..n], "row {row} of ({rows}, {n}, {k})");
            }
            let mut narrow = vec![0.0; rows * n];
            Task { x: &x, w: &w, k, out: &mut narrow }.tiles::<_, 1, 1, 16>(pulp::Scalar::new());
            assert_eq!(narrow, ours, "the narrowest instructions give ({rows}, {n}, {k}) the same bits");
        }
        assert!(dots(&[], &[1.0, 2.0], 0, 1, 2).is_empty());
    }
}
