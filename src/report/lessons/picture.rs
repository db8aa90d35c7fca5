//! The picture of a lesson: what the records say, and beside it what a reader's record says.

use maud::html;

use super::evidence::{Evidence, FigureValue, Lack};
use super::expression::Expression;
use super::{NOT_MEASURED, PICTURES};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Band, Dot, Dots, Figure, LineSeries, Lines, Picture, Point};
use crate::report::{ReportFile, charts};
use crate::units::Quantity;

/// The picture as a file beside the pages. One without any figure says so.
pub fn picture(evidence: &Evidence) -> ReportFile {
    let lesson = evidence.lesson;
    let text = match figure(evidence, None) {
        Some(figure) => figure.file(&evidence.source()),
        None => empty(&lesson.source.picture.title),
    };
    ReportFile { path: format!("{PICTURES}/{}.svg", lesson.name), text }
}

/// A picture that says that there is none yet.
fn empty(title: &str) -> String {
    let style = "text{font:15px system-ui,sans-serif;fill:#59626d}rect{fill:#f4f4f0}\
                 @media(prefers-color-scheme:dark){text{fill:#a2acb5}rect{fill:#1e2226}}";
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" width="792" height="120" viewBox="0 0 792 120" role="img"
            aria-label=(format!("{title}: {NOT_MEASURED}")) {
            style { (style) }
            rect width="792" height="120" {}
            text x="24" y="52" font-weight="600" { (title) }
            text x="24" y="80" { (NOT_MEASURED) }
        }
    };
    svg.into_string()
}

/// The picture; `None` where nothing of it was measured.
pub(super) fn figure(evidence: &Evidence, yours: Option<&Evidence>) -> Option<Figure> {
    let lesson = evidence.lesson;
    let source = &lesson.source.picture;
    let mut csv = Csv::new(&["of", "where", "estimate", "low", "high"]);
    let picture =
        if source.curves.is_empty() { dots(evidence, yours, &mut csv)? } else { curves(evidence, yours, &mut csv)? };
    Some(Figure {
        id: format!("lesson-{}", lesson.number),
        title: source.title.clone(),
        subtitle: source.shows.clone(),
        key: yours.map(|_| "“Here” is your own record.".into()),
        basis: basis(evidence),
        picture,
        csv: csv.into_text(),
    })
}

/// What its figures are, and over how many rounds.
fn basis(evidence: &Evidence) -> String {
    let source = &evidence.lesson.source.picture;
    let rows = source.bands.iter().flat_map(|band| band.rows.iter().map(|(_, expression)| expression));
    let points = source.curves.iter().flat_map(|curve| curve.points.iter().map(|(_, expression)| expression));
    let parsed: Vec<Expression> = rows.chain(points).filter_map(|text| Expression::parse(text).ok()).collect();
    let names = parsed.iter().flat_map(Expression::names);
    let basis = charts::basis(names.filter_map(|name| evidence.benchmark(name).ok()));
    let is_interval = |value: FigureValue| value.interval.low < value.interval.high;
    if parsed.iter().any(|expression| expression.value(evidence).is_ok_and(is_interval)) {
        return basis;
    }
    // Percentiles of distributions have no interval, so the picture shows none.
    basis.split(" with ").next().unwrap_or_default().into()
}

fn value(evidence: &Evidence, expression: &str) -> Result<FigureValue, Lack> {
    Expression::parse(expression).map_err(Lack::Wrong)?.value(evidence)
}

/// Where a figure was measured, the evidence for it, and its colour.
fn places<'a, 'b>(evidence: &'a Evidence<'b>, yours: Option<&'a Evidence<'b>>) -> Vec<(&'a Evidence<'b>, bool)> {
    [(evidence, false)].into_iter().chain(yours.map(|yours| (yours, true))).collect()
}

fn row(csv: &mut Csv, of: &str, is_yours: bool, value: &FigureValue) {
    let place = if is_yours { "here" } else { "committed" };
    let interval = value.interval;
    csv.row([of.into(), place.into(), number(interval.estimate), number(interval.low), number(interval.high)]);
}

fn dots(evidence: &Evidence, yours: Option<&Evidence>, csv: &mut Csv) -> Option<Box<dyn Picture>> {
    let source = &evidence.lesson.source.picture;
    let (mut bands, mut quantity) = (Vec::new(), Quantity::default());
    for band in &source.bands {
        let mut rows = Vec::new();
        for (label, expression) in &band.rows {
            for (evidence, is_yours) in places(evidence, yours) {
                let Ok(value) = value(evidence, expression) else { continue };
                row(csv, label, is_yours, &value);
                quantity = value.quantity;
                rows.push(Dot {
                    label: if is_yours { "… here".into() } else { label.clone() },
                    series: usize::from(is_yours),
                    interval: value.interval,
                    within_only: value.within_only,
                    mark: String::new(),
                });
            }
        }
        if !rows.is_empty() {
            bands.push(Band { label: band.label.clone(), detail: None, rows });
        }
    }
    let drawn = Dots { axis: source.axis.clone(), quantity, bands };
    (!drawn.bands.is_empty()).then(|| Box::new(drawn) as Box<dyn Picture>)
}

fn curves(evidence: &Evidence, yours: Option<&Evidence>, csv: &mut Csv) -> Option<Box<dyn Picture>> {
    let source = &evidence.lesson.source.picture;
    let (mut lines, mut quantity) = (Vec::new(), Quantity::default());
    for curve in &source.curves {
        for (evidence, is_yours) in places(evidence, yours) {
            let mut points = Vec::new();
            for (amount, expression) in &curve.points {
                let Ok(value) = value(evidence, expression) else { continue };
                row(csv, &format!("{} {amount}", curve.label), is_yours, &value);
                quantity = value.quantity;
                let interval = value.interval;
                let point = Point::at(*amount, interval.estimate);
                points.push(Point { low: interval.low, high: interval.high, ..point });
            }
            if !points.is_empty() {
                let label = if is_yours { format!("{}, here", curve.label) } else { curve.label.clone() };
                lines.push(LineSeries { label, points });
            }
        }
    }
    let drawn = Lines {
        across: source.across.clone(),
        upwards: source.axis.clone(),
        quantity,
        marks: true,
        over_time: false,
        level: None,
        lines,
    };
    (!drawn.lines.is_empty()).then(|| Box::new(drawn) as Box<dyn Picture>)
}
