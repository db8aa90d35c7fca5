//! Over which loads a verdict holds, and where a loop begins to pay.

use serde::{Deserialize, Serialize};

use super::advice::AdviceVerdict;
use super::decision::by_interval;
use super::prediction::LoadPrediction;

/// A range of loads, as multiples of the observed one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LoadRange {
    /// From this factor on.
    pub from: f64,
    /// Up to this one.
    pub to: f64,
}

/// The measured loads around the observed one at which the verdict is `verdict`; `None` where it is not so at that.
pub(super) fn holds(curve: &[LoadPrediction], verdict: AdviceVerdict) -> Option<LoadRange> {
    let same = |point: &&LoadPrediction| by_interval(&point.share) == verdict;
    let observed = curve.iter().position(|point| point.factor == 1.0)?;
    let below = curve[..=observed].iter().rev().take_while(same).last()?;
    let above = curve[observed..].iter().take_while(same).last()?;
    Some(LoadRange { from: below.factor, to: above.factor })
}

/// The factor of the load below which the loop costs more, between two measured ones: the highest at which the saving
/// changes its sign. `None` where it does not.
pub(super) fn crossover(curve: &[LoadPrediction]) -> Option<f64> {
    let pairs = curve.windows(2).rev();
    pairs.into_iter().find_map(|pair| {
        let (below, above) = (pair[0].per_switch.estimate, pair[1].per_switch.estimate);
        if below > 0.0 || above <= 0.0 {
            return None;
        }
        // Loads are apart by factors, so that the line between them is drawn over their logarithms.
        let part = below / (below - above);
        Some((pair[0].factor.ln() + part * (pair[1].factor / pair[0].factor).ln()).exp())
    })
}
