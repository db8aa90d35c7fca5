//! Scales from values to pixels, and the ticks on them.

use maud::{Markup, html};

use super::plot::Plot;
use super::{px, width_of};

/// Beyond this ratio of the greatest value to the least a linear axis shows the small ones as nothing.
const LOG_FROM: f64 = 20.0;

/// Beyond this many times the greatest estimate, and this part of the least, intervals are cut off.
const HIDDEN_BEYOND: f64 = 10.0;

/// How a value is written at a tick.
pub(super) type TickFormat = fn(f64) -> String;

/// A scale between two pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Axis {
    /// A scale that holds `values`, logarithmic when they are all positive and more than 20-fold apart, else linear
    /// and with 0 in it.
    pub(super) fn covering(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = ends(values);
        if low > 0.0 && high / low > LOG_FROM {
            return Self::logarithmic(low, high, from, to);
        }
        Self::linear(low.min(0.0), high.max(0.0), from, to)
    }

    /// As [`Axis::covering`], for estimates with their intervals `(low, estimate, high)`. It holds every estimate, and
    /// of an interval what lies within ten times the least and the most of them: a wider one would leave no room for
    /// the others.
    pub(super) fn covering_intervals(
        intervals: impl Iterator<Item = (f64, f64, f64)> + Clone,
        from: f64,
        to: f64,
    ) -> Self {
        let (least, most) = ends(intervals.clone().map(|(_, estimate, _)| estimate));
        if least <= 0.0 {
            return Self::covering(intervals.flat_map(|(low, _, high)| [low, high]), from, to);
        }
        let within = |end: f64| end.clamp(least / HIDDEN_BEYOND, most * HIDDEN_BEYOND);
        Self::covering(intervals.flat_map(|(low, _, high)| [within(low), within(high)]), from, to)
    }

    /// Whether `value` has its place on the scale, and is not drawn at its end for want of one.
    pub(super) fn holds(&self, value: f64) -> bool {
        let slack = 1e-3 * value.abs();
        (self.low - slack..=self.high + slack).contains(&value)
    }

    /// As [`Axis::covering_intervals`], of positive estimates on a logarithmic scale.
    pub(super) fn log_covering_intervals(
        intervals: impl Iterator<Item = (f64, f64, f64)> + Clone,
        from: f64,
        to: f64,
    ) -> Self {
        let (least, most) = ends(intervals.clone().map(|(_, estimate, _)| estimate));
        let within = |end: f64| end.clamp(least / HIDDEN_BEYOND, most * HIDDEN_BEYOND);
        Self::log_covering(intervals.flat_map(|(low, _, high)| [within(low), within(high)]), from, to)
    }

    /// A logarithmic scale that holds `values`, which are positive.
    pub(super) fn log_covering(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = ends(values);
        Self::logarithmic(low, high, from, to)
    }

    /// A linear scale that holds `values` and 0: for lengths that are added up.
    pub(super) fn linear_covering(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = ends(values);
        Self::linear(low.min(0.0), high.max(0.0), from, to)
    }

    fn linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let axis = Self { low, high, log: false, from, to };
        let step = axis.step();
        // A few negative values need their room and not a whole step of it.
        Self { high: (high / step - 1e-9).ceil() * step, ..axis }
    }

    fn logarithmic(low: f64, high: f64, from: f64, to: f64) -> Self {
        let low = low.max(f64::MIN_POSITIVE);
        let fits = |tick: &f64| *tick <= low * 1.0001;
        let below = mantissas(low).into_iter().rev().find(fits).unwrap_or(low);
        let above = mantissas(high).into_iter().find(|tick| *tick >= high * 0.9999).unwrap_or(high);
        let above = if above > below { above } else { below * 10.0 };
        Self { low: below, high: above, log: true, from, to }
    }

    /// Whether it is logarithmic.
    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// The pixel of `value`, kept on the scale.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round values that are far enough apart to be labelled.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let all = if self.log { self.log_ticks() } else { self.linear_ticks() };
        // Of decades only their own size is small.
        let slack = if self.log { 1e-6 * self.low } else { 1e-6 * (self.high - self.low) };
        let above = if self.log { 1e-6 * self.high } else { slack };
        all.into_iter().filter(|tick| (self.low - slack..=self.high + above).contains(tick)).collect()
    }

    fn log_ticks(&self) -> Vec<f64> {
        let decade = (self.to - self.from).abs() / (self.high / self.low).log10();
        let (mantissas, every): (&[f64], i32) = match decade {
            wide if wide >= 170.0 => (&[1.0, 2.0, 5.0], 1),
            wide if wide >= 110.0 => (&[1.0, 3.0], 1),
            wide if wide >= 48.0 => (&[1.0], 1),
            _ => (&[1.0], 2),
        };
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let of_decade = |decade: i32| mantissas.iter().map(move |mantissa| mantissa * 10f64.powi(decade));
        decades.filter(|decade| decade.rem_euclid(every) == 0).flat_map(of_decade).collect()
    }

    fn linear_ticks(&self) -> Vec<f64> {
        let step = self.step();
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).round() as i64);
        (first..=last).map(|index| index as f64 * step).collect()
    }

    fn step(&self) -> f64 {
        let most = ((self.to - self.from).abs() / 72.0).clamp(2.0, 8.0);
        let rough = (self.high - self.low) / most;
        let decade = 10f64.powf(rough.log10().floor());
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * decade).find(|step| *step >= rough).unwrap_or(10.0 * decade)
    }

    /// Whether a reader of the topmost line would have to look far for the ticks below the last one.
    pub(super) fn is_tall(top: f64, bottom: f64) -> bool {
        bottom - top > 480.0
    }

    /// Vertical lines at the ticks from `top` to `bottom`, labelled below as far as labels have room; above as well
    /// where a reader would have to look far.
    pub(super) fn across(&self, plot: &Plot, top: f64, bottom: f64, write: TickFormat) -> Markup {
        let ticks: Vec<(f64, f64, String)> =
            self.ticks().into_iter().map(|tick| (tick, self.at(tick), write(tick))).collect();
        let apart = plot.apart(ticks.iter().map(|(_, at, label)| (*at, width_of(label))));
        let levels = [Some(bottom + 15.0), Self::is_tall(top, bottom).then_some(top - 6.0)];
        html! {
            @for ((tick, at, label), on_a_phone) in ticks.iter().zip(apart) {
                @let x = plot.x(*at);
                line class=(if *tick == 0.0 { "zero" } else { "grid" }) x1=(x) x2=(x) y1=(px(top)) y2=(px(bottom)) {}
                @for y in levels.into_iter().flatten() {
                    text class={ "tick mid" @if !on_a_phone { " more" } } x=(x) y=(px(y)) { (label) }
                }
            }
        }
    }

    /// Horizontal lines at the ticks across the area, labelled at its left.
    pub(super) fn upwards(&self, plot: &Plot, write: TickFormat) -> Markup {
        html! {
            @for tick in self.ticks() {
                @let y = self.at(tick);
                line class=(if tick == 0.0 { "zero" } else { "grid" }) x1="0" x2=(plot.end()) y1=(px(y)) y2=(px(y)) {}
                text.tick.end x="-6" y=(px(y + 4.0)) { (write(tick)) }
            }
        }
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::MAX, f64::MIN), |(low, high), value| (value.min(low), value.max(high)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// The round numbers around `value`, ascending.
fn mantissas(value: f64) -> Vec<f64> {
    let decade = value.log10().floor() as i32;
    (decade - 1..=decade + 1).flat_map(|d| [1.0, 2.0, 5.0].map(|mantissa| mantissa * 10f64.powi(d))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(values: &[f64]) -> Axis {
        Axis::covering(values.iter().copied(), 100.0, 500.0)
    }

    #[test]
    fn far_apart_is_logarithmic_and_near_is_linear_with_zero() {
        let far = axis(&[300.0, 40_000.0]);
        assert!(far.is_log() && far.ticks().contains(&1000.0) && far.ticks().contains(&10_000.0), "{far:?}");
        let near = axis(&[300.0, 4000.0]);
        assert!(!near.is_log() && near.ticks()[0] == 0.0, "{near:?}");
    }

    #[test]
    fn a_tick_below_the_least_value_is_not_drawn_at_its_place() {
        let tasks = axis(&[2.0, 5_000_000.0]);
        assert_eq!(tasks.ticks().first(), Some(&10.0), "{:?}", tasks.ticks());
    }

    #[test]
    fn an_interval_that_is_wider_than_all_the_rest_is_cut_off() {
        let axis = Axis::covering_intervals([(0.0, 300.0, 1e30), (350.0, 400.0, 450.0)].into_iter(), 100.0, 500.0);
        assert!(axis.holds(300.0) && axis.holds(450.0) && !axis.holds(0.0) && !axis.holds(1e30), "{axis:?}");
        assert!(axis.ticks().len() < 20 && axis.at(1e30) == 500.0, "{axis:?}");
    }

    #[test]
    fn values_lie_between_the_ends_in_their_order() {
        for values in [[300.0, 40_000.0], [300.0, 4000.0], [-200.0, 4000.0], [7.0, 7.0]] {
            let axis = axis(&values);
            let (a, b) = (axis.at(values[0]), axis.at(values[1]));
            assert!((100.0..=500.0).contains(&a) && (100.0..=500.0).contains(&b) && a <= b, "{values:?}: {a} {b}");
            assert!((2..=14).contains(&axis.ticks().len()), "{axis:?}: {:?}", axis.ticks());
        }
    }

    #[test]
    fn nothing_and_nonsense_still_make_an_axis() {
        assert!(axis(&[]).at(0.5).is_finite());
        assert!(axis(&[f64::NAN, f64::INFINITY]).at(0.5).is_finite());
        assert!(axis(&[0.0]).at(0.0).is_finite());
    }
}
