//! Every operation and its gradient against PyTorch: `tests/reference/ops.py` recorded the numbers.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Result, Tensor, Var};
use sentinel_models::config::Activation;
use sentinel_models::layers::{Rotary, causal_mask};
use sentinel_models::ops;

/// Greatest difference allowed, over the greatest magnitude recorded.
const TOLERANCE: f32 = 2e-6;

/// As in the script: numbers in [-2, 2) from a linear congruential generator.
fn draw(seed: u32, shape: &[usize]) -> Tensor {
    let mut state = seed.wrapping_mul(2_654_435_761);
    let mut one = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 22) as f32 - 2.0
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| one()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// One operation's recorded numbers.
struct Recorded(HashMap<String, Tensor>);

impl Recorded {
    fn of(operation: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/ops").join(operation);
        Self(candle_core::safetensors::load(file.with_extension("safetensors"), &Device::Cpu).unwrap())
    }

    fn agrees(&self, name: &str, ours: &Tensor) {
        let theirs = &self.0[name];
        assert_eq!(ours.dims(), theirs.dims(), "{name}");
        let peak = |t: &Tensor| t.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        let difference = peak(&(ours - theirs).unwrap()) / peak(theirs);
        assert!(difference <= TOLERANCE, "{name} differs by {difference:e}");
    }

    /// Checks an operation forwards and backwards, fused and, in f64, composed of candle's own.
    fn check(&self, case: &str, inputs: &[Tensor], operation: impl Fn(&[Tensor]) -> Result<Tensor>) {
        for dtype in [DType::F32, DType::F64] {
            let vars: Vec<Var> =
                inputs.iter().map(|input| Var::from_tensor(&input.to_dtype(dtype).unwrap()).unwrap()).collect();
            let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
            let single = |tensor: &Tensor| tensor.to_dtype(DType::F32).unwrap();
            let out = operation(&tensors).unwrap();
            self.agrees(&format!("{case}.out"), &single(&out));
            let above = draw(99, out.dims()).to_dtype(dtype).unwrap();
            let gradients = (out * above).unwrap().sum_all().unwrap().backward().unwrap();
            for (n, var) in vars.iter().enumerate() {
                self.agrees(&format!("{case}.d{n}"), &single(gradients.get(var).unwrap()));
            }
        }
    }
}

#[test]
fn linear() {
    let recorded = Recorded::of("linear");
    let linear = |x: &[Tensor]| ops::linear(&x[0], &x[1], x.get(2));
    recorded.check("plain", &[draw(1, &[2, 3, 5]), draw(2, &[7, 5])], linear);
    recorded.check("bias", &[draw(3, &[70, 5]), draw(4, &[7, 5]), draw(5, &[7])], linear);
    recorded.check("one-row", &[draw(6, &[1, 33]), draw(7, &[17, 33])], linear);
}

#[test]
fn a_row_of_a_linear_has_the_same_bits_in_any_company() {
    // Heads, adapters' ranks, vocabularies: from few outputs to many, over few inputs and many.
    for (k, n) in
        [(48, 4), (4, 48), (192, 16), (16, 192), (192, 97), (192, 192), (600, 16), (1100, 64), (4096, 8), (40, 1)]
    {
        let (x, w) = (draw(1, &[300, k]), draw(2, &[n, k]));
        let bits = |first: usize, rows: usize| {
            let x = x.narrow(0, first, rows).unwrap();
            let y = ops::linear(&x, &w, None).unwrap().flatten_all().unwrap();
            y.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<u32>>()
        };
        let all = bits(0, 300);
        for rows in (1..20).chain([31, 32, 33, 63, 64, 65, 66, 127, 128, 129, 255, 256, 257]) {
            for first in [0, 7] {
                assert!(bits(first, rows) == all[first * n..][..rows * n], "{rows} rows from {first}, {k} to {n}");
            }
        }
    }
}

#[test]
fn norms() {
    let recorded = Recorded::of("norm");
    recorded.check("rms", &[draw(1, &[3, 2, 19]), draw(2, &[19])], |x| ops::rms_norm(&x[0], &x[1], 1e-5));
    let inputs = [draw(3, &[70, 19]), draw(4, &[19]), draw(5, &[19])];
    recorded.check("layer", &inputs, |x| ops::layer_norm(&x[0], &x[1], &x[2], 1e-5));
}

#[test]
fn activations() {
    let recorded = Recorded::of("pointwise");
    let wide = |seed| (draw(seed, &[5, 21]) * 4.0).unwrap();
    recorded.check("silu-mul", &[wide(1), draw(2, &[5, 21])], |x| ops::silu_mul(&x[0], &x[1]));
    for (case, seed, activation) in
        [("gelu", 3, Activation::Gelu), ("quick-gelu", 4, Activation::QuickGelu), ("silu", 5, Activation::Silu)]
    {
        recorded.check(case, &[wide(seed)], |x| ops::activate(&x[0], activation));
    }
}

#[test]
fn log_probabilities() {
    let recorded = Recorded::of("logp");
    let targets = Tensor::new(&[0u32, 36, 7], &Device::Cpu).unwrap();
    recorded.check("token", &[(draw(1, &[3, 37]) * 8.0).unwrap()], |x| ops::token_logp(&x[0], &targets));
    recorded.check("log-sigmoid", &[(draw(2, &[16]) * 60.0).unwrap()], |x| ops::log_sigmoid(&x[0]));
}

#[test]
fn rotary_positions() {
    let (cos, sin) = Rotary::new(6, 10_000.0, 5, &Device::Cpu).unwrap().slice(0, 5).unwrap();
    Recorded::of("rope").check("llama", &[draw(1, &[2, 5, 12])], |x| {
        let table = |table: &Tensor| table.to_dtype(x[0].dtype());
        ops::rope(&x[0], &table(&cos)?, &table(&sin)?)
    });
}

/// Two rows of a shared beginning of 8 tokens and two ends that do not see each other.
fn branches() -> Tensor {
    let (hidden, t) = ([(14, 8..14), (12, 8..12)], 19);
    let mut mask = Vec::new();
    for (second, first) in hidden {
        for query in 0..t {
            let sees = |key: usize| key <= query && !(query >= second && first.contains(&key));
            mask.extend((0..t).map(|key| if sees(key) { 0.0f32 } else { f32::NEG_INFINITY }));
        }
    }
    Tensor::from_vec(mask, (2, 1, t, t), &Device::Cpu).unwrap()
}

#[test]
fn attention() {
    let recorded = Recorded::of("attention");
    let check = |case: &str, seed: u32, [b, t, s, h, g, d]: [usize; 6], mask: Option<&Tensor>| {
        let inputs = [draw(seed, &[b, t, h * d]), draw(seed + 1, &[b, s, g * d]), draw(seed + 2, &[b, s, g * d])];
        recorded.check(case, &inputs, |x| ops::attention(&x[0], &x[1], &x[2], d, mask));
    };
    check("plain", 1, [2, 5, 7, 4, 2, 6], None);
    check("causal", 4, [1, 5, 18, 2, 1, 20], Some(&causal_mask(5, 18, &Device::Cpu).unwrap()));
    check("branches", 7, [2, 19, 19, 2, 1, 4], Some(&branches()));
}
