//! The metrics of a benchmark, pooled over all its rounds.

use crate::record::{BenchmarkLine, Measured, Outcome};
use crate::stats::{CONFIDENCE, median, rounds_interval};
use crate::terms::{Curve, Distribution, Metric, MetricKey, Scalar};

use super::summary::SEED;

/// The metrics of one benchmark's lines, one for each key in the order of the first round that has it: numbers by the
/// median of the rounds with the interval over them, distributions added up, curves by the median of each point.
pub fn pooled(lines: &[&BenchmarkLine]) -> Vec<Metric> {
    let measured = lines.iter().filter_map(|line| match &line.outcome {
        Outcome::Measured(measured) => Some(&**measured),
        _ => None,
    });
    pooled_rounds(&measured.collect::<Vec<_>>())
}

/// As [`pooled`], of rounds that were measured.
pub(super) fn pooled_rounds(rounds: &[&Measured]) -> Vec<Metric> {
    let invalid = Measured::are_void(rounds);
    let formatted = rounds.iter().filter(|round| invalid || !round.was_late());
    let all: Vec<&Metric> = formatted.flat_map(|round| &round.metrics).collect();
    let mut keys: Vec<&MetricKey> = Vec::new();
    for metric in &all {
        if !keys.contains(&metric.of()) {
            keys.push(metric.of());
        }
    }
    let of = |key: &MetricKey| merged(&all.iter().copied().filter(|metric| metric.of() == key).collect::<Vec<_>>());
    keys.into_iter().filter_map(of).collect()
}

/// One metric out of those of several rounds, which are of the first one's kind.
fn merged(rounds: &[&Metric]) -> Option<Metric> {
    Some(match rounds.first()? {
        Metric::Scalar(first) => {
            let figures = rounds.iter().filter_map(|metric| match metric {
                Metric::Scalar(figure) => Some(figure),
                _ => None,
            });
            Metric::Scalar(over_rounds(first, &figures.collect::<Vec<_>>()))
        }
        Metric::Distribution(first) => {
            let mut sum = Distribution { values: Default::default(), ..first.clone() };
            for metric in rounds {
                if let Metric::Distribution(distribution) = metric {
                    sum.values.add(&distribution.values);
                }
            }
            Metric::Distribution(sum)
        }
        Metric::Curve(first) => {
            let curves = rounds.iter().filter_map(|metric| match metric {
                Metric::Curve(curve) => Some(curve),
                _ => None,
            });
            Metric::Curve(curve(first, &curves.collect::<Vec<_>>()))
        }
    })
}

/// One round keeps its own interval; several have one between them.
pub(super) fn over_rounds(first: &Scalar, rounds: &[&Scalar]) -> Scalar {
    let values: Vec<Vec<f64>> = rounds.iter().map(|figure| vec![figure.value]).collect();
    match rounds_interval(&values, CONFIDENCE, SEED) {
        Some(estimate) if rounds.len() > 1 => Scalar {
            value: estimate.interval.estimate,
            interval: Some((estimate.interval.low, estimate.interval.high)),
            ..first.clone()
        },
        _ if rounds.len() == 1 => first.clone(),
        // Numbers around 0, such as differences, have no interval by ratios.
        _ => {
            let all: Vec<f64> = rounds.iter().map(|figure| figure.value).collect();
            Scalar { value: median(&all).unwrap_or(first.value), interval: None, ..first.clone() }
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
    use crate::terms::{CurveAxis, ValueHistogram};
    use crate::units::Quantity;

    fn curve_of(points: &[(f64, f64)]) -> Metric {
        let axis = |of: &str| CurveAxis { of: of.into(), quantity: Quantity::Number };
        Metric::Curve(Curve { of: MetricKey::InAll, x: axis("x"), y: axis("y"), points: points.to_vec() })
    }

    #[test]
    fn numbers_become_medians_and_distributions_sums_and_curves_medians_point_by_point() {
        let number = |value| Metric::scalar(MetricKey::KernelStacks, Quantity::Bytes, value);
        let Some(Metric::Scalar(figure)) = merged(&[&number(1.0), &number(9.0), &number(2.0)]) else { panic!() };
        assert_eq!(figure.value, 2.0);
        assert!(figure.interval.is_some());
        let Some(Metric::Scalar(around_nothing)) = merged(&[&number(-7.0), &number(0.5), &number(1.0)]) else {
            panic!()
        };
        assert_eq!((around_nothing.value, around_nothing.interval), (0.5, None));

        let mut values = ValueHistogram::new();
        values.record(7);
        let latency = Metric::latencies(MetricKey::ResponseTime, values);
        let Some(Metric::Distribution(sum)) = merged(&[&latency, &latency]) else { panic!() };
        assert_eq!(sum.values.count(), 2);

        let rounds =
            [curve_of(&[(1.0, 5.0), (2.0, 6.0)]), curve_of(&[(1.0, 7.0)]), curve_of(&[(1.0, 9.0), (2.0, 8.0)])];
        let Some(Metric::Curve(curve)) = merged(&rounds.iter().collect::<Vec<_>>()) else { panic!() };
        assert_eq!(curve.points, [(1.0, 7.0)]);
    }
}
