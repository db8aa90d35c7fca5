//! The same benchmarks in several runs: their figures, and their ratios to the first run.

use super::{all_of_group, basis, is_within_only, key, quantity, unit};
use crate::compare::{Comparison, ComparisonRow};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Band, Dot, Dots, Figure, RatioRow, RatioVerdict, Ratios};
use crate::report::run_view::{BenchmarkView, RunView};
use crate::report::text;
use crate::stats::{Verdict, median};

/// The figure; `None` where no run measured anything of the group.
pub(in crate::report) fn side_by_side(group: &str, views: &[RunView]) -> Option<Figure> {
    let benchmarks = all_of_group(views, group);
    if benchmarks.is_empty() {
        return None;
    }
    let (unit, quantity) = (unit(&benchmarks), quantity(&benchmarks));
    let noun = text::noun(quantity);
    Some(Figure {
        id: format!("runs-{}", text::slug(group)),
        title: format!("{} per {unit}, the runs side by side", text::capitalised(noun)),
        subtitle: subtitle_of(group, views),
        key: key(&benchmarks, views.len()),
        basis: basis(benchmarks.iter().copied()),
        picture: Box::new(Dots {
            axis: format!("{noun} per {unit}, 95 % interval"),
            quantity,
            bands: bands(group, views),
        }),
        csv: csv(group, views),
    })
}

/// How many benchmarks each run has; of many runs, how far the hosts lie apart.
fn subtitle_of(group: &str, views: &[RunView]) -> String {
    if views.len() <= 3 {
        return format!("{}.", text::list(&views.iter().map(|view| measured(view, group)).collect::<Vec<_>>()));
    }
    let mut widest: Option<(f64, String)> = None;
    for band in bands(group, views) {
        let values = || band.rows.iter().map(|row| (row.interval.estimate, row.label.as_str()));
        let least = values().filter(|(value, _)| *value > 0.0).min_by(|a, b| a.0.total_cmp(&b.0));
        let most = values().max_by(|a, b| a.0.total_cmp(&b.0));
        let Some(((low, fast), (high, slow))) = least.zip(most) else { continue };
        if widest.as_ref().is_none_or(|(ratio, _)| high / low > *ratio) {
            let name = format!("{}, {}", band.label, band.detail.as_deref().unwrap_or_default());
            widest = Some((high / low, format!("{name}: {slow} takes {} as long as {fast}", text::times(high / low))));
        }
    }
    let widest = widest.map(|(_, told)| format!(" Furthest apart in {told}.")).unwrap_or_default();
    format!("{} with benchmarks of this group.{widest}", text::count(views.len(), "run"))
}

/// `A has 12 benchmarks of it`.
fn measured(view: &RunView, group: &str) -> String {
    format!("{} has {} of this group", view.name, text::count(view.of_group(group).len(), "benchmark"))
}

/// The ratios of run `index` to the first; `None` where they have no benchmark of the group in common.
pub(in crate::report) fn ratios(
    group: &str,
    views: &[RunView],
    index: usize,
    comparison: &Comparison,
) -> Option<Figure> {
    let (first, other) = (views.first()?, views.get(index)?);
    let of_group = |row: &&ComparisonRow| row.run == index && row.id.split('/').next() == Some(group);
    let mut rows: Vec<&ComparisonRow> = comparison.rows.iter().filter(of_group).collect();
    rows.sort_by(|a, b| a.ratio.interval.estimate.total_cmp(&b.ratio.interval.estimate));
    let noun = text::noun(rows.first()?.measures);
    let benchmarks: Vec<&BenchmarkView> = [first, other].iter().flat_map(|view| view.of_group(group)).collect();
    let rows_drawn: Vec<RatioRow> = rows.iter().map(|row| ratio_row(row, first, other)).collect();
    Some(Figure {
        id: format!("ratios-{}-{}", text::slug(group), text::slug(&other.name)),
        title: format!("{} over {}: the ratio of each {noun}", other.name, first.name),
        subtitle: subtitle(&rows, first, other),
        key: Some(format!(
            "The line stands at 1, where both take the same. A ratio is coloured where its whole interval lies \
             beyond {} of 1; grey is inconclusive.{}",
            text::percent(comparison.smallest_effect),
            key(&benchmarks, 1).map(|key| format!(" {key}")).unwrap_or_default()
        )),
        basis: basis(benchmarks.iter().copied()),
        picture: Box::new(Ratios {
            axis: format!("{noun} in {} over {noun} in {}", other.name, first.name),
            rows: rows_drawn,
        }),
        csv: ratios_csv(&rows),
    })
}

fn verdict(row: &ComparisonRow) -> RatioVerdict {
    match row.verdict {
        _ if row.withheld => RatioVerdict::Open,
        Verdict::Faster => RatioVerdict::Less,
        Verdict::Slower => RatioVerdict::More,
        Verdict::Equivalent => RatioVerdict::Equal,
        Verdict::NoVerdict => RatioVerdict::Open,
    }
}

fn ratio_row(row: &ComparisonRow, first: &RunView, other: &RunView) -> RatioRow {
    let of = |view: &RunView, id: &str| {
        view.benchmarks
            .iter()
            .find(|benchmark| benchmark.line().id == id)
            .map(|benchmark| (benchmark.name().to_string(), benchmark.detail(), benchmark.mark()))
    };
    let other_id = row.other_id.as_ref().unwrap_or(&row.id);
    let (label, detail, mark) = of(first, &row.id).unwrap_or((row.id.clone(), String::new(), ""));
    let (other_detail, other_mark) =
        of(other, other_id).map_or((detail.clone(), ""), |(_, detail, mark)| (detail, mark));
    // Of the two sides of one benchmark that were set to something else.
    let detail = if detail == other_detail { detail } else { format!("{detail} → {other_detail}") };
    let mark = if mark.is_empty() { other_mark } else { mark };
    RatioRow { label, detail, mark: mark.into(), interval: row.ratio.interval, verdict: verdict(row) }
}

/// How many are told apart, in which direction, and the middle.
fn subtitle(rows: &[&ComparisonRow], first: &RunView, other: &RunView) -> String {
    let count = |wanted: RatioVerdict| rows.iter().filter(|row| verdict(row) == wanted).count();
    let told = [(RatioVerdict::Less, "less"), (RatioVerdict::More, "more"), (RatioVerdict::Equal, "as much")];
    let told = told.map(|(verdict, word)| (count(verdict), word));
    let open = count(RatioVerdict::Open);
    let told: Vec<String> =
        told.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{word} for {count}")).collect();
    let values: Vec<f64> = rows.iter().map(|row| row.ratio.interval.estimate).collect();
    let middle = median(&values).map(|middle| format!(" The median ratio is {middle:.2}.")).unwrap_or_default();
    let told = if told.is_empty() {
        format!("No difference of {} from {} is told", other.name, first.name)
    } else {
        format!("{} takes {}", other.name, text::list(&told))
    };
    let open = if open == 0 { String::new() } else { format!("; {open} of {} are inconclusive", rows.len()) };
    format!("{told}{open}.{middle}")
}

fn ratios_csv(rows: &[&ComparisonRow]) -> String {
    let mut csv = Csv::new(&["id", "other_id", "ratio", "low_95", "high_95", "verdict"]);
    for row in rows {
        let interval = row.ratio.interval;
        let ids = [row.id.clone(), row.other_id.clone().unwrap_or_else(|| row.id.clone())];
        let figures = [interval.estimate, interval.low, interval.high].map(number);
        csv.row(ids.into_iter().chain(figures).chain([verdict(row).name().into()]));
    }
    csv.into_text()
}

fn bands(group: &str, views: &[RunView]) -> Vec<Band> {
    let mut bands: Vec<(String, Band)> = Vec::new();
    for (index, view) in views.iter().enumerate() {
        for benchmark in view.of_group(group) {
            let dot = Dot {
                label: view.name.clone(),
                series: index,
                interval: benchmark.summary.per_op.interval,
                within_only: is_within_only(benchmark),
                mark: benchmark.mark().into(),
            };
            match bands.iter_mut().find(|(id, _)| *id == benchmark.line().id) {
                Some((_, band)) => band.rows.push(dot),
                None => {
                    let band =
                        Band { label: benchmark.name().into(), detail: Some(benchmark.detail()), rows: vec![dot] };
                    bands.push((benchmark.line().id.clone(), band));
                }
            }
        }
    }
    // What only one run has stands in that run's tables; here it would hide what can be compared.
    let common = bands.iter().any(|(_, band)| band.rows.len() > 1);
    bands.into_iter().map(|(_, band)| band).filter(|band| !common || band.rows.len() > 1).collect()
}

fn csv(group: &str, views: &[RunView]) -> String {
    let figure = text::column(quantity(&all_of_group(views, group)));
    let mut csv = Csv::new(&["run", "id", figure, "low_95", "high_95", "rounds"]);
    for view in views {
        for benchmark in view.of_group(group) {
            let per_op = &benchmark.summary.per_op;
            let figures = [per_op.interval.estimate, per_op.interval.low, per_op.interval.high].map(number);
            let start = [view.name.clone(), benchmark.line().id.clone()];
            csv.row(start.into_iter().chain(figures).chain([per_op.rounds.to_string()]));
        }
    }
    csv.into_text()
}
