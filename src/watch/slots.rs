//! When which tier is switched on: consecutive slots of a tenth of a second, in pairs.
//!
//! In most of them, `/proc` is read and switches are counted or recorded. In one slot of some pairs a tier is switched
//! on, or off, and in the other it is not, so that the program's CPU time with and without it can be compared
//! (null-observer pairs). The bursts are such slots too.

use std::time::Duration;

use crate::terms::WatchTier;

/// The length of a slot. `/proc` is read at least at the end of each, which is ten times in a second.
pub(super) const SLOT: Duration = Duration::from_millis(100);

/// The bursts in a whole observation, each of a slot: a second together.
const MOST_BURSTS: u64 = 10;

/// For how long the slots of an observation without an end are laid out.
const OPEN_ENDED: Duration = Duration::from_secs(10);

/// What is switched on in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// Whether `/proc` is read within it, and not only at its end.
    pub(super) proc: bool,
    /// Whether switches are counted or recorded.
    pub(super) switches: bool,
    /// Whether blocked threads are sampled.
    pub(super) burst: bool,
    /// Of a pair that compares a tier: which, and whether it is on in this slot.
    pub(super) compares: Option<(WatchTier, bool)>,
}

/// The slots of an observation.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotPlan {
    /// How many pairs compare each of the three tiers.
    compared: u64,
    /// A pair of each tier stands at the beginning of so many pairs.
    spacing: u64,
    /// The tier that tells of switches.
    switches: WatchTier,
}

impl SlotPlan {
    /// For an observation that is to last so long, or has no end, and in which that tier tells of `switches`.
    pub(super) fn new(duration: Option<Duration>, switches: WatchTier) -> Self {
        let slots = duration.unwrap_or(OPEN_ENDED).as_millis() / SLOT.as_millis();
        let pairs = u64::try_from(slots / 2).unwrap_or(u64::MAX).max(1);
        let compared = pairs.div_ceil(4).min(MOST_BURSTS);
        Self { compared, spacing: pairs / compared, switches }
    }

    /// The slot of this number, from 0.
    pub(super) fn slot(&self, number: u64) -> Slot {
        let (pair, second) = (number / 2, number % 2 == 1);
        let tier = match (pair % self.spacing, pair / self.spacing < self.compared) {
            (0, true) => Some(WatchTier::Burst),
            (1, true) => Some(self.switches),
            (2, true) => Some(WatchTier::Proc),
            _ => None,
        };
        // Which of the two comes first changes from pair to pair of a tier, in the order of Thue and Morse, so that a
        // load that rises or swings regularly is not taken for the tier.
        let on = second != ((pair / self.spacing).count_ones() % 2 == 1);
        let is = |other| tier == Some(other);
        Slot {
            proc: !is(WatchTier::Proc) || on,
            switches: !is(self.switches) || on,
            burst: is(WatchTier::Burst) && on,
            compares: tier.map(|tier| (tier, on)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(duration: Option<Duration>, count: u64) -> Vec<Slot> {
        let plan = SlotPlan::new(duration, WatchTier::SwitchRecords);
        (0..count).map(|number| plan.slot(number)).collect()
    }

    #[test]
    fn a_burst_is_at_most_a_second_however_long_it_lasts() {
        for (seconds, bursts) in [(1, 2), (2, 3), (10, 10), (3600, 10)] {
            let slots = slots(Some(Duration::from_secs(seconds)), seconds * 10);
            assert_eq!(slots.iter().filter(|slot| slot.burst).count(), bursts, "{seconds} s");
        }
        assert_eq!(slots(None, 5000).iter().filter(|slot| slot.burst).count(), 10);
    }

    #[test]
    fn each_pair_has_a_tier_once_on_and_once_off() {
        let slots = slots(Some(Duration::from_secs(10)), 100);
        for pair in slots.chunks(2) {
            match (pair[0].compares, pair[1].compares) {
                (Some((one, on)), Some((other, off))) => assert!(one == other && on != off, "{pair:?}"),
                (None, None) => {}
                _ => panic!("{pair:?}"),
            }
        }
        for tier in [WatchTier::Burst, WatchTier::SwitchRecords, WatchTier::Proc] {
            let first_on = slots.iter().step_by(2).filter(|slot| slot.compares == Some((tier, true))).count();
            assert!((3..=7).contains(&first_on), "{tier:?} is first on in {first_on} of 10 pairs");
        }
    }

    #[test]
    fn switches_are_told_of_nearly_all_the_time() {
        let slots = slots(Some(Duration::from_secs(10)), 100);
        assert_eq!(slots.iter().filter(|slot| !slot.switches).count(), 10);
        assert_eq!(slots.iter().filter(|slot| !slot.proc).count(), 10);
    }

    #[test]
    fn the_tier_that_tells_of_switches_is_the_one_that_is_compared() {
        for tier in [WatchTier::Bpf, WatchTier::SwitchRecords] {
            let plan = SlotPlan::new(Some(Duration::from_secs(10)), tier);
            let compared: Vec<Slot> = (0..100).map(|number| plan.slot(number)).collect();
            let of =
                |other| compared.iter().filter(|slot| slot.compares.is_some_and(|(tier, _)| tier == other)).count();
            let counts = [WatchTier::Bpf, WatchTier::SwitchRecords].map(of);
            assert_eq!(counts, if tier == WatchTier::Bpf { [20, 0] } else { [0, 20] });
        }
    }

    #[test]
    fn the_shortest_observation_has_a_burst() {
        assert!(slots(Some(Duration::from_millis(1)), 2).iter().any(|slot| slot.burst));
    }
}
