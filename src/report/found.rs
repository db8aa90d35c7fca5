//! What a benchmark found out beyond its time, over all its rounds.

use crate::crew::{Curve, Distribution, Figure, Finding};
use crate::record::{BenchmarkLine, Measured, Outcome};
use crate::stats::{CONFIDENCE, median, rounds_interval};

use super::summary::SEED;

/// The findings of one benchmark's lines, one for each name in the order of the first round that has it: numbers by the
/// median of the rounds with the interval over them, distributions added up, curves by the median of each point.
pub fn found(lines: &[&BenchmarkLine]) -> Vec<Finding> {
    let measured = lines.iter().filter_map(|line| match &line.outcome {
        Outcome::Measured(measured) => Some(&**measured),
        _ => None,
    });
    found_in(&measured.collect::<Vec<_>>())
}

/// As [`found`], of rounds that were measured.
pub(super) fn found_in(rounds: &[&Measured]) -> Vec<Finding> {
    let void = Measured::are_void(rounds);
    let told = rounds.iter().filter(|round| void || !round.was_late());
    let all: Vec<&Finding> = told.flat_map(|round| &round.findings).collect();
    let mut names: Vec<&str> = Vec::new();
    for finding in &all {
        if !names.contains(&finding.of()) {
            names.push(finding.of());
        }
    }
    let of = |name: &str| merged(&all.iter().copied().filter(|finding| finding.of() == name).collect::<Vec<_>>());
    names.into_iter().filter_map(of).collect()
}

/// One finding out of those of several rounds, which are of the first one's kind.
fn merged(rounds: &[&Finding]) -> Option<Finding> {
    Some(match rounds.first()? {
        Finding::Figure(first) => {
            let figures = rounds.iter().filter_map(|finding| match finding {
                Finding::Figure(figure) => Some(figure),
                _ => None,
            });
            Finding::Figure(over_rounds(first, &figures.collect::<Vec<_>>()))
        }
        Finding::Distribution(first) => {
            let mut sum = Distribution { values: Default::default(), ..first.clone() };
            for finding in rounds {
                if let Finding::Distribution(distribution) = finding {
                    sum.values.add(&distribution.values);
                }
            }
            Finding::Distribution(sum)
        }
        Finding::Curve(first) => {
            let curves = rounds.iter().filter_map(|finding| match finding {
                Finding::Curve(curve) => Some(curve),
                _ => None,
            });
            Finding::Curve(curve(first, &curves.collect::<Vec<_>>()))
        }
    })
}

/// One round keeps its own interval; several have one between them.
pub(super) fn over_rounds(first: &Figure, rounds: &[&Figure]) -> Figure {
    let values: Vec<Vec<f64>> = rounds.iter().map(|figure| vec![figure.value]).collect();
    match rounds_interval(&values, CONFIDENCE, SEED) {
        Some(estimate) if rounds.len() > 1 => Figure {
            value: estimate.interval.estimate,
            interval: Some((estimate.interval.low, estimate.interval.high)),
            ..first.clone()
        },
        _ if rounds.len() == 1 => first.clone(),
        // Numbers around 0, such as differences, have no interval by ratios.
        _ => {
            let all: Vec<f64> = rounds.iter().map(|figure| figure.value).collect();
            Figure { value: median(&all).unwrap_or(first.value), interval: None, ..first.clone() }
        }
    }
}

/// Points that not every round has are left out.
fn curve(first: &Curve, rounds: &[&Curve]) -> Curve {
    let point = |&(x, _): &(f64, f64)| {
        let ys: Option<Vec<f64>> =
            rounds.iter().map(|curve| curve.points.iter().find(|point| point.0 == x).map(|point| point.1)).collect();
        Some((x, median(&ys?)?))
    };
    Curve { points: first.points.iter().filter_map(point).collect(), ..first.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::{Axis, Values};
    use crate::units::Quantity;

    fn curve_of(points: &[(f64, f64)]) -> Finding {
        let axis = |of: &str| Axis { of: of.into(), quantity: Quantity::Number };
        Finding::Curve(Curve { of: "curve".into(), x: axis("x"), y: axis("y"), points: points.to_vec() })
    }

    #[test]
    fn numbers_become_medians_and_distributions_sums_and_curves_medians_point_by_point() {
        let number = |value| Finding::figure("stack", Quantity::Bytes, value);
        let Some(Finding::Figure(figure)) = merged(&[&number(1.0), &number(9.0), &number(2.0)]) else { panic!() };
        assert_eq!(figure.value, 2.0);
        assert!(figure.interval.is_some());
        let Some(Finding::Figure(around_nothing)) = merged(&[&number(-7.0), &number(0.5), &number(1.0)]) else {
            panic!()
        };
        assert_eq!((around_nothing.value, around_nothing.interval), (0.5, None));

        let mut values = Values::new();
        values.record(7);
        let latency = Finding::latencies("response time", values);
        let Some(Finding::Distribution(sum)) = merged(&[&latency, &latency]) else { panic!() };
        assert_eq!(sum.values.count(), 2);

        let rounds =
            [curve_of(&[(1.0, 5.0), (2.0, 6.0)]), curve_of(&[(1.0, 7.0)]), curve_of(&[(1.0, 9.0), (2.0, 8.0)])];
        let Some(Finding::Curve(curve)) = merged(&rounds.iter().collect::<Vec<_>>()) else { panic!() };
        assert_eq!(curve.points, [(1.0, 7.0)]);
    }
}
