//! The pictures of an advice.

use crate::advise::{Advice, TargetPrediction};
use crate::report::csv::{Csv, number, optional};
use crate::report::figure::{Bar, Bars, Figure, Forecast, LineSeries, Lines, Point, Segment};
use crate::stats::Interval;
use crate::terms::Observation;
use crate::units::Quantity;

/// CPU by cause, the prediction against load, and the timeline, as far as there are data.
pub(super) fn figures(advice: &Advice, observation: &Observation) -> Vec<Figure> {
    let best = advice.targets.iter().find(|prediction| Some(prediction.target) == advice.target);
    let figures = [causes(advice), best.and_then(|best| forecast(advice, best)), timeline(observation)];
    figures.into_iter().flatten().collect()
}

/// Nanoseconds of CPU time for each second.
const SECOND: f64 = 1e9;

/// The program as it is, and with each kind of loop.
fn causes(advice: &Advice) -> Option<Figure> {
    let causes = &advice.causes;
    if causes.whole <= 0.0 {
        return None;
    }
    let part = |name: &str, series: Option<usize>, cpus: f64| Segment {
        name: name.into(),
        series,
        nanos: cpus * SECOND,
        told_from_zero: true,
    };
    let bar = |label: &str, detail: String, parts: Vec<Segment>, interval: Option<Interval>| Bar {
        label: label.into(),
        detail,
        mark: String::new(),
        parts: parts.into_iter().filter(|part| part.nanos != 0.0).collect(),
        interval,
    };
    let blocking = causes.blocking.map_or(0.0, |blocking| blocking.estimate.min(causes.system));
    let (user, kernel) = ("user mode", "kernel, but for waiting");
    let mut rows = vec![bar(
        "as it is",
        String::new(),
        vec![
            part(user, Some(0), causes.user),
            part(kernel, Some(1), causes.system - blocking),
            part("waiting and being woken", Some(2), blocking),
        ],
        None,
    )];
    for prediction in &advice.targets {
        // What is saved comes off the waiting; what the loop costs more is waiting too.
        let left = blocking - prediction.saving.estimate;
        let kernel_left = causes.system - blocking + left.min(0.0);
        rows.push(bar(
            &format!("with {}", prediction.target.in_words()),
            "predicted".into(),
            vec![
                part(user, Some(0), causes.user + kernel_left.min(0.0)),
                part(kernel, Some(1), kernel_left.max(0.0)),
                part("waiting and being woken", Some(2), left.max(0.0)),
            ],
            Some(prediction.predicted.scaled(SECOND)),
        ));
    }
    let mut csv = Csv::new(&["program", "cause", "cpu_ns_per_s"]);
    for row in &rows {
        row.parts.iter().for_each(|part| csv.row([row.label.clone(), part.name.clone(), number(part.nanos)]));
    }
    Some(Figure {
        id: "cpu-by-cause".into(),
        title: "Where its CPU time goes".into(),
        subtitle: "CPU time for each second, as it is and as predicted with an event loop.".into(),
        key: Some("The line at the end of a bar is the 95 % interval of the prediction.".into()),
        basis: "one observation".into(),
        picture: Box::new(Bars { axis: "CPU time for each second".into(), several_scales: false, rows }),
        csv: csv.into_text(),
    })
}

/// CPU against load, as it is and with the loop that the verdict is about.
fn forecast(advice: &Advice, best: &TargetPrediction) -> Option<Figure> {
    if best.curve.len() < 2 {
        return None;
    }
    let target = best.target.in_words();
    let own = best.curve.iter().map(|point| Point::at(point.switches, point.blocking)).collect();
    let predicted = best.curve.iter().map(|point| {
        let Interval { low, estimate, high, .. } = point.predicted;
        Point { low: low.max(0.0), high, ..Point::at(point.switches, estimate) }
    });
    let observed = advice.convertible.estimate;
    let mut uprights = vec![(observed, "as observed".to_string())];
    uprights.extend(best.crossover.map(|factor| (factor * observed, format!("below, {target} costs more"))));
    let columns = [
        "load_factor",
        "waits_per_s",
        "cpus_now",
        "cpus_predicted",
        "cpus_low",
        "cpus_high",
        "events_per_wake",
        "reached",
    ];
    let mut csv = Csv::new(&columns);
    for point in &best.curve {
        csv.row([
            number(point.factor),
            number(point.switches),
            number(point.blocking),
            number(point.predicted.estimate),
            number(point.predicted.low),
            number(point.predicted.high),
            optional(point.events_per_wake),
            if point.reached { "yes" } else { "no" }.into(),
        ]);
    }
    Some(Figure {
        id: "cpu-against-load".into(),
        title: format!("What {target} would make of it at other loads"),
        subtitle: format!("CPUs in use against waits for one descriptor each second, as it is and with {target}."),
        key: Some("The band is the 95 % interval of the prediction.".into()),
        basis: format!("{} laps of each calibrated server at the observed load", best.laps),
        picture: Box::new(Forecast {
            across: "waits for one descriptor each second".into(),
            upwards: "CPUs in use".into(),
            quantity: Quantity::Number,
            curves: vec![
                LineSeries { label: "as it is".into(), points: own },
                LineSeries { label: format!("with {target}"), points: predicted.collect() },
            ],
            uprights,
        }),
        csv: csv.into_text(),
    })
}

/// How many threads ran, or were ready to, while it was watched.
fn timeline(observation: &Observation) -> Option<Figure> {
    let moments = &observation.moments;
    if moments.len() < 2 {
        return None;
    }
    let series = |label: &str, of: &dyn Fn(&crate::terms::ObservedMoment) -> Option<f64>| LineSeries {
        label: label.into(),
        points: moments.iter().filter_map(|moment| Some(Point::at(moment.at.0 as f64 / 1e9, of(moment)?))).collect(),
    };
    let cpus =
        |moment: &crate::terms::ObservedMoment| (moment.wall.0 > 0).then(|| moment.cpu.0 as f64 / moment.wall.0 as f64);
    let lines: Vec<LineSeries> = [
        series("threads that ran or were ready, in the mean", &|moment| moment.runnable()),
        series("CPUs in use", &cpus),
    ]
    .into_iter()
    .filter(|line| line.points.len() >= 2)
    .collect();
    if lines.is_empty() {
        return None;
    }
    let mut csv =
        Csv::new(&["at_ns", "cpus", "runnable", "active_threads", "threads", "voluntary_per_s", "involuntary_per_s"]);
    for moment in moments {
        let rate = |count: u64| number(count as f64 * 1e9 / moment.wall.0.max(1) as f64);
        csv.row([
            moment.at.0.to_string(),
            optional(cpus(moment)),
            optional(moment.runnable()),
            moment.active_threads.to_string(),
            moment.threads.to_string(),
            rate(moment.voluntary),
            rate(moment.involuntary),
        ]);
    }
    Some(Figure {
        id: "depth".into(),
        title: "What it did while it was watched".into(),
        subtitle:
            "Threads that ran or were ready to run, and CPUs in use, over time. Where the first is far above the \
                   second, threads waited for a CPU."
                .into(),
        key: None,
        basis: "one observation".into(),
        picture: Box::new(Lines {
            across: "seconds since watching began".into(),
            upwards: "threads".into(),
            quantity: Quantity::Number,
            marks: false,
            over_time: true,
            level: None,
            lines,
        }),
        csv: csv.into_text(),
    })
}
