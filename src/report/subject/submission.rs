//! Who asks for something and is kept by asking: reads taken apart into submission and what follows it.

use super::{Subject, named};
use crate::crew::{Finding, Values};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Bar, Bars, Figure, Part};
use crate::report::study::Bench;
use crate::report::text;

/// What mechanisms call the two parts.
const SUBMISSION: &str = "submission";
const COMPLETION: &str = "completion";

/// The figure; `None` where no benchmark tells the two apart.
pub(in crate::report) fn submission(subject: Subject) -> Option<Figure> {
    let rows: Vec<Row> = subject.benches.iter().filter_map(|bench| Row::of(bench)).collect();
    if rows.is_empty() {
        return None;
    }
    let unit = subject.unit();
    Some(Figure {
        id: subject.anchor("submission"),
        title: subject.title(&format!("How long a {unit} keeps whoever asks for it")),
        says: says(&rows),
        key: Some(format!(
            "Medians over every {unit} (of submission over every call, which may submit several), so they need not add up to the \
             median time of a {unit}. While submission lasts, an event loop serves nobody else; what follows it can pass while \
             others are served."
        )),
        picture: Box::new(Bars { axis: format!("median time per {unit}"), rows: rows.iter().map(Row::bar).collect() }),
        csv: csv(&rows),
    })
}

struct Row<'a> {
    bench: &'a Bench<'a>,
    submission: u64,
    /// Nothing where submitting is all there is.
    completion: u64,
}

impl<'a> Row<'a> {
    fn of(bench: &'a Bench<'a>) -> Option<Self> {
        let submission = median(bench, SUBMISSION)?;
        Some(Self { bench, submission, completion: median(bench, COMPLETION).unwrap_or(0) })
    }

    fn share(&self) -> f64 {
        self.submission as f64 / (self.submission + self.completion).max(1) as f64
    }

    fn bar(&self) -> Bar {
        let part = |name: &str, series, nanos: u64| Part { name: name.into(), series, nanos: nanos as f64, sure: true };
        let parts = [part("kept in submission", 1, self.submission), part("until completion", 0, self.completion)];
        Bar {
            label: self.bench.name().into(),
            detail: self.bench.detail(),
            parts: parts.into_iter().filter(|part| part.nanos > 0.0).collect(),
        }
    }
}

/// Over all values of all rounds.
fn median(bench: &Bench, of: &str) -> Option<u64> {
    let mut all = Values::new();
    for finding in bench.rounds.iter().flat_map(|round| &round.findings) {
        if let Finding::Distribution(found) = finding
            && found.of == of
        {
            all.add(&found.values);
        }
    }
    (all.count() > 0).then(|| all.quantile(0.5))
}

/// The least kept among those with something to wait for, and the most.
fn says(rows: &[Row]) -> String {
    let by_share = |a: &&Row, b: &&Row| a.share().total_cmp(&b.share());
    let two_parts = || rows.iter().filter(|row| row.completion > 0);
    let told = |row: &Row| format!("{} for {}", named(row.bench), text::percent(row.share()));
    match (two_parts().min_by(by_share), two_parts().max_by(by_share)) {
        (Some(least), Some(most)) if least.bench.line().id != most.bench.line().id => {
            format!("Of a typical one, submission keeps {} and {}.", told(least), told(most))
        }
        _ => "Submission is all there is: whoever asks waits.".into(),
    }
}

fn csv(rows: &[Row]) -> String {
    let mut csv = Csv::new(&["id", "submission_p50_ns", "completion_p50_ns", "share_in_submission"]);
    for row in rows {
        csv.row([
            row.bench.line().id.clone(),
            row.submission.to_string(),
            row.completion.to_string(),
            number(row.share()),
        ]);
    }
    csv.into_text()
}
