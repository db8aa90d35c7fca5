//! A shift that is asked for on two hosts, in ten rounds side by side on each: how often it is found, and how often
//! one is found that is not there. Run with `--nocapture` to see the figures of `docs/method/fleet.md`.

use super::prng::Prng;
use super::simulation::normal;
use super::{CONFIDENCE, Verdict, ratio_interval};

const HOSTS: usize = 2;
const ROUNDS: usize = 10;
const TRIALS: usize = 2000;

/// One host's verdict on `shift`, where rounds scatter by `within` and what slows a round slows both sides by `common`.
fn verdict(shift: f64, within: f64, common: f64, prng: &mut Prng) -> Verdict {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    // Hosts differ as they like: nothing is compared between them.
    let level = 1000.0 * (0.5 * normal(prng)).exp();
    for _ in 0..ROUNDS {
        let round = level * (common * normal(prng)).exp();
        a.push(vec![round * (within * normal(prng)).exp()]);
        b.push(vec![round * (1.0 + shift) * (within * normal(prng)).exp()]);
    }
    ratio_interval(&a, &b, true, CONFIDENCE, 1).map_or(Verdict::NoVerdict, |ratio| Verdict::of(&ratio, 0.0))
}

/// The share of trials in which all hosts say the same: that one side is slower, or that it is faster.
fn found(shift: f64, within: f64) -> f64 {
    let mut prng = Prng::seeded(18);
    let agree = |prng: &mut Prng| {
        let verdicts: Vec<Verdict> = (0..HOSTS).map(|_| verdict(shift, within, 0.05, prng)).collect();
        [Verdict::Slower, Verdict::Faster].iter().any(|told| verdicts.iter().all(|verdict| verdict == told))
    };
    (0..TRIALS).filter(|_| agree(&mut prng)).count() as f64 / TRIALS as f64
}

#[test]
fn three_per_cent_are_found_on_two_hosts_in_ten_rounds_and_nothing_is_where_nothing_is() {
    println!("scatter of rounds | 3 % found | 2 % found | false alarms");
    for within in [0.005, 0.01, 0.015] {
        let [three, two, none] = [0.03, 0.02, 0.0].map(|shift| found(shift, within));
        println!("{:.1} % | {:.1} % | {:.1} % | {:.2} %", within * 100.0, three * 100.0, two * 100.0, none * 100.0);
        assert!(none <= 0.05, "{none} of trials without a shift find one at {within}");
        assert!(within > 0.01 || three >= 0.95, "{three} of trials find 3 % at {within}");
    }
    // The test notices if it were not so: twice the scatter hides the shift.
    assert!(found(0.03, 0.03) < 0.8);
}
