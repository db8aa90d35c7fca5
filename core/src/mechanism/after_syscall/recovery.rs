//! From ticks to a curve and to what a call costs after it has returned: pure functions.

/// How the time of each block after a call stands to that of the same block without one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recovery {
    /// Ticks of each block after the call, without the cost of reading the counter.
    pub(super) after: Vec<f64>,
    /// Ticks of each block without a call.
    pub(super) undisturbed: Vec<f64>,
}

/// The part of a trial at its end that is taken for the speed it comes back to.
const END: usize = 5;

impl Recovery {
    /// From the ticks of trials, row by row with `blocks` to a row. `step` is the counter's, `cost` that of reading it.
    /// `None` without a whole row of either.
    pub(super) fn of(after: &[u32], undisturbed: &[u32], blocks: usize, step: u64, cost: f64) -> Option<Self> {
        let column = |ticks: &[u32]| -> Option<Vec<f64>> {
            let medians = (0..blocks).map(|block| {
                let mut column: Vec<u32> = ticks.iter().skip(block).step_by(blocks).copied().collect();
                Some(median_in_steps(&mut column, step)? - cost)
            });
            medians.collect()
        };
        Some(Self { after: column(after)?, undisturbed: column(undisturbed)? })
    }

    /// Ticks lost after the call: what its blocks took more than those without it.
    pub(super) fn lost(&self) -> f64 {
        self.distances().sum()
    }

    /// Ticks lost against the blocks at the end of the same trials, where speed is back if it ever is. Says the same as
    /// [`Recovery::lost`] by another way, where the trial is long enough.
    pub(super) fn lost_against_the_end(&self) -> f64 {
        let end = self.end();
        self.after.iter().map(|ticks| ticks - end).sum()
    }

    /// Ticks of a block at the end of the trials with the call.
    pub(super) fn end(&self) -> f64 {
        let mut last = self.after[self.after.len() - self.after.len().div_ceil(END)..].to_vec();
        last.sort_unstable_by(f64::total_cmp);
        last[last.len() / 2]
    }

    /// How many times as long as without the call the slowest block takes.
    pub(super) fn slowest(&self) -> f64 {
        let ratios = self.after.iter().zip(&self.undisturbed).map(|(after, undisturbed)| after / undisturbed.max(1.0));
        ratios.fold(1.0, f64::max)
    }

    /// The speed of each block after the call: 1 is that of the same block without one.
    pub(super) fn speeds(&self) -> impl Iterator<Item = f64> {
        self.after.iter().zip(&self.undisturbed).map(|(after, undisturbed)| undisturbed / after.max(1.0))
    }

    /// Ticks from the call's return until nine tenths of the loss are behind; `None` when the curve is flat, or
    /// when nothing is lost in all: then there are no nine tenths, however slow a single block is.
    pub(super) fn until_most_is_lost(&self, step: u64) -> Option<f64> {
        if self.is_flat(step) || self.lost() <= 0.0 {
            return None;
        }
        let most = 0.9 * self.lost();
        let (mut lost, mut passed) = (0.0, 0.0);
        for (distance, after) in self.distances().zip(&self.after) {
            (lost, passed) = (lost + distance, passed + after);
            if lost >= most {
                break;
            }
        }
        Some(passed)
    }

    /// Whether no block takes longer after the call than without it, as far as a counter of such steps can tell: within
    /// a step, or a hundredth of the block.
    pub(super) fn is_flat(&self, step: u64) -> bool {
        let within = |(distance, undisturbed): (f64, &f64)| distance <= (step as f64).max(undisturbed / 100.0);
        self.distances().zip(&self.undisturbed).all(within)
    }

    fn distances(&self) -> impl Iterator<Item = f64> {
        self.after.iter().zip(&self.undisturbed).map(|(after, undisturbed)| after - undisturbed)
    }
}

/// The median of values that a counter rounded to its step: a value stands for all times within a step around it, and
/// the median lies among them where half of all values are below (the median of grouped data). So it can tell a
/// fraction of a step, as far as readings begin at no fixed place within one. `None` without values.
pub(super) fn median_in_steps(values: &mut [u32], step: u64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let half = values.len() as f64 / 2.0;
    let (_, &mut median, _) = values.select_nth_unstable(values.len() / 2);
    let below = values.iter().filter(|&&value| value < median).count() as f64;
    let equal = values.iter().filter(|&&value| value == median).count() as f64;
    Some(f64::from(median) + step as f64 * ((half - below) / equal - 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of trials in which block `k` takes `ticks[k]`.
    fn rows(ticks: &[u32], trials: usize) -> Vec<u32> {
        ticks.repeat(trials)
    }

    fn recovery(after: &[u32], undisturbed: &[u32]) -> Recovery {
        Recovery::of(&rows(after, 9), &rows(undisturbed, 9), after.len(), 1, 0.0).unwrap()
    }

    #[test]
    fn where_every_block_takes_the_same_nothing_is_lost() {
        let flat = recovery(&[400; 40], &[400; 40]);
        assert_eq!((flat.lost(), flat.lost_against_the_end(), flat.slowest()), (0.0, 0.0, 1.0));
        assert!(flat.speeds().all(|speed| speed == 1.0));
        assert!(flat.is_flat(1) && flat.until_most_is_lost(1).is_none());
    }

    #[test]
    fn a_dip_is_lost_by_either_reckoning_and_where_it_lies() {
        let mut after = [400; 40];
        (after[0], after[1], after[2]) = (1000, 700, 500);
        let dip = recovery(&after, &[400; 40]);
        assert_eq!((dip.lost(), dip.lost_against_the_end(), dip.slowest()), (1000.0, 1000.0, 2.5));
        assert!(!dip.is_flat(26));
        assert_eq!(dip.until_most_is_lost(26), Some(1700.0), "nine tenths of 1000 are lost in two blocks");
    }

    #[test]
    fn where_one_block_is_slow_and_nothing_is_lost_in_all_there_is_no_time_until_most_of_it_is() {
        let mut after = [390; 40];
        after[0] = 700;
        let gain = recovery(&after, &[400; 40]);
        assert!(gain.lost() < 0.0 && !gain.is_flat(26), "{gain:?}");
        assert_eq!(gain.until_most_is_lost(26), None);
    }

    #[test]
    fn the_cost_of_reading_is_taken_off_and_single_trials_do_not_count() {
        let mut after = rows(&[450, 426], 9);
        after[0] = 1_000_000;
        let recovery = Recovery::of(&after, &rows(&[426, 426], 9), 2, 1, 26.0).unwrap();
        let near = |ticks: f64, expected: f64| (ticks - expected).abs() < 0.1;
        assert!(near(recovery.after[0], 424.0) && near(recovery.undisturbed[0], 400.0), "{recovery:?}");
        assert_eq!(Recovery::of(&[], &[], 2, 1, 0.0), None);
    }

    #[test]
    fn a_median_lies_between_the_steps_where_half_the_values_do() {
        // A span of 105 ticks, read with steps of 26 that begin anywhere: a part of the readings shows 104, the others
        // 130, and their share tells where between the two it is.
        let mut readings: Vec<u32> = (0..2600).map(|start| (start + 105) / 26 * 26 - start / 26 * 26).collect();
        let median = median_in_steps(&mut readings, 26).unwrap();
        assert!((median - 105.0).abs() < 1.0, "{median}");
        assert_eq!(median_in_steps(&mut [7, 7, 7], 1), Some(7.0));
        assert_eq!(median_in_steps(&mut [], 1), None);
    }
}
