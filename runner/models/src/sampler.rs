//! From logits to the next token: temperature, then top-k, then top-p, as transformers' warpers do it, then one draw. Which number
//! is drawn depends on names alone, not on how many were drawn before: every token of every candidate has a number of its own.

use sentinel_core::digest::Digest;

/// How a token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warp {
    /// Softmax temperature; 0 takes the likeliest token, of equals the first.
    pub temperature: f32,
    /// Probability mass of the likeliest tokens kept; 1 keeps all, at least one token is kept.
    pub top_p: f32,
    /// How many of the likeliest tokens are kept; 0 keeps all.
    pub top_k: u32,
}

/// Names a random stream: one a candidate of a record at a step.
#[derive(Debug, Clone)]
pub struct Stream(Digest);

impl Stream {
    /// Returns the stream of a candidate.
    pub fn of(seed: u64, stream: &str, record: &str, step: u32, candidate: u32) -> Self {
        let (seed, step, candidate) = (seed.to_le_bytes(), step.to_le_bytes(), candidate.to_le_bytes());
        let parts = [b"token".as_slice(), &seed, stream.as_bytes(), record.as_bytes(), &step, &candidate];
        Self(Digest::of_parts(parts))
    }

    /// Returns the stream's `index`-th number, uniform in [0, 1).
    pub fn number(&self, index: u32) -> f64 {
        let digest = Digest::of_parts([self.0.as_bytes().as_slice(), &index.to_le_bytes()]);
        let (first, _) = digest.as_bytes().split_first_chunk::<8>().expect("a digest has 32 bytes");
        (u64::from_le_bytes(*first) >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Warp {
    /// Chooses a token by its logits and a number in [0, 1).
    pub fn choose(&self, logits: &[f32], number: f64) -> u32 {
        if self.temperature <= 0.0 {
            return likeliest(logits);
        }
        let weights = self.weights(logits);
        let total: f64 = weights.iter().sum();
        let mut left = number * total;
        for (token, weight) in (0..).zip(&weights) {
            if left < *weight {
                return token;
            }
            left -= weight;
        }
        // Rounding can leave a rest behind the last token.
        weights.iter().rposition(|weight| *weight > 0.0).map_or(0, |token| token as u32)
    }

    /// Returns every token's weight, 0 for those left out; the greatest is 1.
    pub fn weights(&self, logits: &[f32]) -> Vec<f64> {
        let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let temperature = f64::from(self.temperature);
        let mut weights: Vec<f64> =
            logits.iter().map(|logit| ((f64::from(*logit) - most) / temperature).exp()).collect();
        let keep_k = match self.top_k as usize {
            0 => weights.len(),
            k => k.min(weights.len()),
        };
        if keep_k == weights.len() && self.top_p >= 1.0 {
            return weights;
        }
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_unstable_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
        let mut kept = keep_k;
        if self.top_p < 1.0 {
            let total: f64 = order[..keep_k].iter().map(|token| weights[*token]).sum();
            let mut before = 0.0;
            let is_enough = |token: &usize| {
                let enough = before >= f64::from(self.top_p) * total;
                before += weights[*token];
                enough
            };
            kept = order[..keep_k].iter().position(is_enough).unwrap_or(keep_k).max(1);
        }
        for token in &order[kept..] {
            weights[*token] = 0.0;
        }
        weights
    }
}

fn likeliest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_as_often_as_they_should() {
        let warp = Warp { temperature: 1.0, top_p: 1.0, top_k: 0 };
        let logits = [0.0, 2f32.ln(), f32::NEG_INFINITY, 1f32.ln()];
        let stream = Stream::of(1, "s", "r", 0, 0);
        let mut counts = [0u32; 4];
        for index in 0..40_000 {
            counts[warp.choose(&logits, stream.number(index)) as usize] += 1;
        }
        // Four standard deviations of the binomial around 1/4, 1/2, 0, 1/4.
        for (count, share) in counts.iter().zip([0.25, 0.5, 0.0, 0.25]) {
            let (mean, deviation) = (40_000.0 * share, (40_000.0f64 * share * (1.0 - share)).sqrt());
            assert!((f64::from(*count) - mean).abs() <= 4.0 * deviation, "{counts:?}");
        }
    }

    #[test]
    fn ties_go_to_the_first_token() {
        let greedy = Warp { temperature: 0.0, top_p: 1.0, top_k: 0 };
        assert_eq!(greedy.choose(&[1.0, 3.0, 3.0], 0.9), 1);
        let first = Warp { temperature: 1.0, top_p: 1.0, top_k: 1 };
        assert_eq!(first.choose(&[3.0, 3.0, 1.0], 0.999), 0);
        let least = Warp { temperature: 1.0, top_p: 0.0, top_k: 0 };
        assert_eq!(least.choose(&[1.0, 3.0, 3.0], 0.999), 1);
    }
}
