//! How long a benchmark is measured.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long Criterion measures a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Before the first sample that counts.
    pub warm_up: Duration,
    /// All samples together, about.
    pub measure: Duration,
    /// How many samples; Criterion needs ten.
    pub samples: usize,
}

/// Some three seconds for each benchmark: the samples of one process agree with each other far better than those of two
/// do, so time is better spent on rounds than on longer ones.
impl Default for Timing {
    fn default() -> Self {
        Self { warm_up: Duration::from_millis(200), measure: Duration::from_millis(900), samples: 40 }
    }
}

impl Timing {
    /// About how long a benchmark takes in all: a third more of counted samples, set-up and audit, which take about a
    /// second together.
    pub fn of_a_benchmark(&self) -> Duration {
        (self.warm_up + self.measure) * 4 / 3 + Duration::from_secs(1)
    }
}
