//! How long submitting a read blocks the caller: reads taken apart into submission and what follows it.

use super::{ChartInput, basis, left_out, named};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Bar, Bars, Figure, Segment};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::terms::{Metric, MetricKey, ValueHistogram};

/// The figure; `None` where no benchmark tells the two apart.
pub(in crate::report) fn submission(input: ChartInput) -> Option<Figure> {
    let (mut rows, invalid): (Vec<SubmissionRow>, Vec<SubmissionRow>) = input
        .benchmarks
        .iter()
        .filter_map(|benchmark| SubmissionRow::of(benchmark))
        .partition(|row| row.benchmark.is_comparable());
    rows.sort_by(|a, b| a.share().total_cmp(&b.share()).then(a.submission.cmp(&b.submission)));
    if rows.is_empty() {
        return None;
    }
    let unit = input.unit();
    Some(Figure {
        id: input.anchor("submission"),
        title: input.title(&format!("How long submitting a {unit} blocks the caller")),
        subtitle: subtitle(&rows),
        key: Some(format!(
            "Medians over every {unit} (of the submission over every call, which may submit several), so the two need \
             not add up to the median time of a {unit}. An event loop can do nothing else during the submission; after \
             it, until completion, it can. Sorted by the share of submission.{}",
            left_out("benchmark", invalid.len())
        )),
        basis: basis(rows.iter().map(|row| row.benchmark)),
        picture: Box::new(Bars {
            axis: format!("median time per {unit}"),
            several_scales: true,
            rows: rows.iter().map(SubmissionRow::bar).collect(),
        }),
        csv: csv(&rows),
    })
}

struct SubmissionRow<'a> {
    benchmark: &'a BenchmarkView<'a>,
    submission: u64,
    /// Nothing where submitting is all there is.
    completion: u64,
}

impl<'a> SubmissionRow<'a> {
    fn of(benchmark: &'a BenchmarkView<'a>) -> Option<Self> {
        let submission = median(benchmark, &MetricKey::Submission)?;
        Some(Self { benchmark, submission, completion: median(benchmark, &MetricKey::Completion).unwrap_or(0) })
    }

    fn share(&self) -> f64 {
        self.submission as f64 / (self.submission + self.completion).max(1) as f64
    }

    fn bar(&self) -> Bar {
        let part = |name: &str, series, nanos: u64| Segment {
            name: name.into(),
            series: Some(series),
            nanos: nanos as f64,
            told_from_zero: true,
        };
        let parts = [part("blocked in submission", 1, self.submission), part("until completion", 0, self.completion)];
        Bar {
            label: self.benchmark.name().into(),
            detail: self.benchmark.detail(),
            mark: String::new(),
            interval: None,
            parts: parts.into_iter().filter(|part| part.nanos > 0.0).collect(),
        }
    }
}

/// Over all values of all rounds.
fn median(benchmark: &BenchmarkView, of: &MetricKey) -> Option<u64> {
    let mut all = ValueHistogram::new();
    for metric in benchmark.rounds.iter().flat_map(|round| &round.metrics) {
        if let Metric::Distribution(pooled) = metric
            && pooled.of == *of
        {
            all.add(&pooled.values);
        }
    }
    (all.count() > 0).then(|| all.quantile(0.5))
}

/// The least kept among those with something to wait for, and the most.
fn subtitle(rows: &[SubmissionRow]) -> String {
    let by_share = |a: &&SubmissionRow, b: &&SubmissionRow| a.share().total_cmp(&b.share());
    let two_parts = || rows.iter().filter(|row| row.completion > 0);
    match (two_parts().min_by(by_share), two_parts().max_by(by_share)) {
        (Some(least), Some(most)) if least.benchmark.line().id != most.benchmark.line().id => {
            format!(
                "Submission blocks the caller for {} of the median time with {}, and for {} with {}.",
                text::percent(least.share()),
                named(least.benchmark),
                text::percent(most.share()),
                named(most.benchmark)
            )
        }
        _ => "There is only the submission: it blocks the caller until the data are there.".into(),
    }
}

fn csv(rows: &[SubmissionRow]) -> String {
    let mut csv = Csv::new(&["id", "submission_p50_ns", "completion_p50_ns", "share_in_submission"]);
    for row in rows {
        csv.row([
            row.benchmark.line().id.clone(),
            row.submission.to_string(),
            row.completion.to_string(),
            number(row.share()),
        ]);
    }
    csv.into_text()
}
