//! Learning rates over steps.

/// Linear warm-up, then a cosine down to a floor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cosine {
    /// After warm-up.
    pub peak: f64,
    /// At the end.
    pub floor: f64,
    /// Warm-up steps.
    pub warmup: u32,
    /// All steps.
    pub steps: u32,
}

impl Cosine {
    /// Returns the rate of step `step`, from 0, as transformers' `get_cosine_schedule_with_warmup` (floor 0).
    pub fn at(&self, step: u32) -> f64 {
        if step < self.warmup {
            return self.peak * f64::from(step) / f64::from(self.warmup);
        }
        let left = f64::from(self.steps.saturating_sub(self.warmup).max(1));
        let done = (f64::from(step - self.warmup) / left).min(1.0);
        self.floor + (self.peak - self.floor) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }
}

/// Schedules one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Phases(pub Vec<Cosine>);

impl Phases {
    /// Returns the number of all steps.
    pub fn steps(&self) -> u32 {
        self.0.iter().map(|phase| phase.steps).sum()
    }

    /// Returns the number of the phase a step belongs to, and how many steps of it came before; `None` after the last phase.
    pub fn place(&self, step: u32) -> Option<(usize, u32)> {
        let mut left = step;
        for (number, phase) in self.0.iter().enumerate() {
            if left < phase.steps {
                return Some((number, left));
            }
            left -= phase.steps;
        }
        None
    }

    /// Returns the rate of a step; after the last phase, that phase's floor.
    pub fn at(&self, step: u32) -> f64 {
        match self.place(step) {
            Some((number, step)) => self.0[number].at(step),
            None => self.0.last().map_or(0.0, |phase| phase.floor),
        }
    }
}

impl From<Cosine> for Phases {
    fn from(one: Cosine) -> Self {
        Self(vec![one])
    }
}
