//! Whether a run's figures are those of the server.

use super::outcome::{Backlog, LoadOutcome, VoidReason};
use crate::units::Nanos;

/// The least share of the intended requests that must be sent in time.
const LEAST_IN_TIME: f64 = 0.995;

/// The client's lateness may be this share of the response time.
const MOST_LATENESS: f64 = 0.1;

/// Lateness that is allowed whatever the response time: reading a clock and making the call that sends takes as long.
const LEAST_LATENESS: u64 = 5_000;

/// A client that is busy for longer makes requests and answers wait for it (for an M/D/1 queue half of a service time
/// at 50 %, 4.5 of them at 90 %).
const MOST_BUSY: f64 = 0.9;

/// A server that answers less of what it is asked, while it is asked, does not keep up.
const KEEPS_UP: f64 = 0.98;

/// Why the figures are void.
pub(super) fn void_reasons(outcome: &LoadOutcome) -> Vec<VoidReason> {
    let counts = &outcome.counts;
    if counts.answered == 0 {
        return vec![VoidReason::NoAnswer];
    }
    let mut reasons = Vec::new();
    let missed = counts.late + counts.unsent;
    let in_time = 1.0 - missed as f64 / counts.intended.max(1) as f64;
    if in_time < LEAST_IN_TIME {
        reasons.push(VoidReason::SentTooFew { in_time, late: counts.late, unsent: counts.unsent });
    }
    let (lateness, response) = (outcome.lateness.quantile(0.5), outcome.response.quantile(0.5));
    if lateness > LEAST_LATENESS.max((response as f64 * MOST_LATENESS) as u64) {
        reasons.push(VoidReason::Lateness { lateness, response });
    }
    let busy = outcome.client.busy();
    if busy > MOST_BUSY {
        reasons.push(VoidReason::ClientBusy { busy });
    }
    reasons
}

/// Whether the server fell behind what it was asked.
pub(super) fn backlog(outcome: &LoadOutcome) -> Option<Backlog> {
    let asked = outcome.asked_rate?;
    let counts = &outcome.counts;
    let seconds = seconds(outcome.sending);
    let fell_behind = (counts.answered_in_time as f64) < KEEPS_UP * counts.intended as f64;
    // What failed has not been waited for.
    let waited = counts.unsent > 0 || counts.answered > counts.answered_in_time;
    (fell_behind && waited && seconds > 0.0)
        .then(|| Backlog { asked, answered: counts.answered_in_time as f64 / seconds })
}

pub(super) fn seconds(time: Nanos) -> f64 {
    time.0 as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::super::tests::outcome;
    use super::*;

    #[test]
    fn a_run_in_which_the_client_kept_its_schedule_is_valid() {
        let outcome = outcome();
        assert_eq!(void_reasons(&outcome), []);
        assert_eq!(backlog(&outcome), None);
    }

    #[test]
    fn fewer_than_995_of_a_thousand_in_time_are_too_few() {
        let mut outcome = outcome();
        outcome.counts.intended = 1000;
        (outcome.counts.late, outcome.counts.unsent) = (3, 2);
        assert_eq!(void_reasons(&outcome), []);
        outcome.counts.unsent = 3;
        assert!(matches!(void_reasons(&outcome)[..], [VoidReason::SentTooFew { late: 3, unsent: 3, .. }]));
        // A server that stands still makes requests wait for a connection; the client is not to blame.
        (outcome.counts.unsent, outcome.counts.late, outcome.counts.held) = (0, 0, 500);
        assert_eq!(void_reasons(&outcome), []);
    }

    #[test]
    fn lateness_may_be_a_tenth_of_the_response() {
        for (lateness, response, void) in
            [(9_000, 100_000, false), (12_000, 100_000, true), (4_900, 10, false), (5_100, 10, true)]
        {
            let mut outcome = outcome();
            (outcome.lateness, outcome.response) = Default::default();
            outcome.lateness.record(lateness);
            outcome.response.record(response);
            assert_eq!(!void_reasons(&outcome).is_empty(), void, "{lateness} of {response}");
        }
    }

    #[test]
    fn a_client_without_idle_time_is_the_bottleneck_unless_it_spins() {
        let mut outcome = outcome();
        outcome.client.available = Nanos(1000);
        (outcome.client.cpu, outcome.client.spun) = (Nanos(950), Nanos(100));
        assert_eq!(void_reasons(&outcome), []);
        outcome.client.spun = Nanos(0);
        assert_eq!(void_reasons(&outcome), [VoidReason::ClientBusy { busy: 0.95 }]);
    }

    #[test]
    fn a_run_without_an_answer_says_that_alone() {
        let mut outcome = outcome();
        (outcome.counts.answered, outcome.counts.unsent) = (0, 500);
        assert_eq!(void_reasons(&outcome), [VoidReason::NoAnswer]);
    }

    #[test]
    fn a_server_that_answers_less_than_it_is_asked_has_a_backlog_and_a_ceiling() {
        let mut outcome = outcome();
        outcome.sending = Nanos(10_000_000_000);
        (outcome.counts.intended, outcome.counts.answered) = (10_000, 6000);
        (outcome.counts.answered_in_time, outcome.counts.unsent) = (5000, 4000);
        assert_eq!(backlog(&outcome), Some(Backlog { asked: 1000.0, answered: 500.0 }));
        // Requests that fail at once are no backlog.
        (outcome.counts.answered, outcome.counts.unsent) = (5000, 0);
        assert_eq!(backlog(&outcome), None);
    }
}
