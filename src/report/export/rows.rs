//! The tables, and the rows of a run.

use std::io;

use serde::Serialize;

use super::ColumnType::{Real, Text, Whole};
use super::{Cell, ExportTable, RowSink};
use crate::record::{BenchmarkLine, HostLine, Measured, Outcome, Run, Sample};
use crate::stats::median;
use crate::terms::{Metric, Shortfall};
use crate::units::cpu_list;

/// Every table, in the order in which they are made.
pub const TABLES: [&ExportTable; 8] = [&HOSTS, &ROUNDS, &SAMPLES, &COUNTERS, &METRICS, &CHECKS, &CALLS, &SHORTFALLS];

const HOSTS: ExportTable = ExportTable {
    name: "hosts",
    columns: &[
        ("run", Text),
        ("host_id", Text),
        ("started_ms", Whole),
        ("processor", Text),
        ("vendor", Text),
        ("architecture", Text),
        ("cpus", Whole),
        ("cores", Whole),
        ("llcs", Whole),
        ("nodes", Whole),
        ("kernel", Text),
        ("kernel_version", Text),
        ("command_line", Text),
        ("hypervisor", Text),
        ("governors", Text),
        ("version", Text),
        ("revision", Text),
        ("rustc", Text),
        ("target", Text),
        ("profile", Text),
        ("argv", Text),
        ("host", Text),
    ],
};

const ROUNDS: ExportTable = ExportTable {
    name: "rounds",
    columns: &[
        ("run", Text),
        ("line", Whole),
        ("host_id", Text),
        ("processor", Text),
        ("kernel", Text),
        ("id", Text),
        ("mechanism", Text),
        ("baseline", Text),
        ("unit", Text),
        ("measures", Text),
        ("placement", Text),
        ("cpus", Text),
        ("idle", Text),
        ("policy", Text),
        ("parameters", Text),
        ("round", Whole),
        ("started_ms", Whole),
        ("outcome", Text),
        ("reason", Text),
        ("samples", Whole),
        ("ops", Whole),
        ("median_per_op", Real),
        ("user_ns", Whole),
        ("system_ns", Whole),
        ("voluntary_switches", Whole),
        ("involuntary_switches", Whole),
        ("audit", Text),
        ("took_ms", Whole),
        ("discarded", Whole),
        ("interference", Text),
        ("interleaved", Whole),
    ],
};

const SAMPLES: ExportTable = ExportTable {
    name: "samples",
    columns: &[
        ("run", Text),
        ("line", Whole),
        ("kind", Text),
        ("number", Whole),
        ("ops", Whole),
        ("amount", Whole),
        ("probe_min_ns", Whole),
        ("probe_max_ns", Whole),
    ],
};

const COUNTERS: ExportTable = ExportTable {
    name: "counters",
    columns: &[
        ("run", Text),
        ("line", Whole),
        ("event", Text),
        ("per_op", Real),
        ("unit", Text),
        ("count", Whole),
        ("ops", Whole),
        ("enabled_ns", Whole),
        ("running_ns", Whole),
        ("estimated", Whole),
    ],
};

const METRICS: ExportTable = ExportTable {
    name: "metrics",
    columns: &[
        ("run", Text),
        ("line", Whole),
        ("of", Text),
        ("kind", Text),
        ("quantity", Text),
        ("x", Real),
        ("value", Real),
        ("low", Real),
        ("high", Real),
        ("count", Whole),
        ("p50", Whole),
        ("p90", Whole),
        ("p99", Whole),
        ("p99_9", Whole),
        ("max", Whole),
    ],
};

const CHECKS: ExportTable = ExportTable {
    name: "checks",
    columns: &[
        ("run", Text),
        ("line", Whole),
        ("what", Text),
        ("observed", Real),
        ("expected", Text),
        ("holds", Whole),
    ],
};

const CALLS: ExportTable =
    ExportTable { name: "calls", columns: &[("run", Text), ("line", Whole), ("call", Text), ("per_op", Real)] };

const SHORTFALLS: ExportTable = ExportTable {
    name: "shortfalls",
    columns: &[("run", Text), ("line", Whole), ("of", Text), ("what", Text), ("why", Text), ("remedy", Text)],
};

/// Hands every row of `run`, which is called `name`, to `sink`: table by table, in the order of the record.
///
/// # Errors
/// When `sink` cannot take one.
pub fn rows(name: &str, run: &Run, sink: &mut impl RowSink) -> io::Result<()> {
    for line in &run.hosts {
        sink.row(&HOSTS, &host(name, line))?;
    }
    let numbered = || run.benchmarks.iter().enumerate().map(|(index, line)| (index + 1, line));
    for (number, line) in numbered() {
        sink.row(&ROUNDS, &round(name, number, line, run.host(line)))?;
    }
    let measured = || numbered().filter_map(|(number, line)| Some((number, measured(line)?)));
    for (number, measured) in measured() {
        samples((name, number), "bare", &measured.samples, sink)?;
        samples((name, number), "counted", &measured.counted.samples, sink)?;
    }
    for (number, measured) in measured() {
        for counter in &measured.counted.counters {
            let unit = counter.unit.as_deref();
            sink.row(
                &COUNTERS,
                &[
                    name.into(),
                    number.into(),
                    counter.event.as_str().into(),
                    counter.per_op.into(),
                    unit.into(),
                    counter.count.into(),
                    counter.ops.into(),
                    counter.enabled_ns.into(),
                    counter.running_ns.into(),
                    counter.estimated.into(),
                ],
            )?;
        }
    }
    for (number, measured) in measured() {
        for metric in &measured.metrics {
            metric_rows((name, number), metric, sink)?;
        }
    }
    for (number, measured) in measured() {
        for check in &measured.audit.checks {
            let (what, expected) = (check.what.as_str(), check.expected.as_str());
            let cells =
                [name.into(), number.into(), what.into(), check.observed.into(), expected.into(), check.holds.into()];
            sink.row(&CHECKS, &cells)?;
        }
    }
    for (number, measured) in measured() {
        for (call, per_op) in &measured.audit.calls {
            sink.row(&CALLS, &[name.into(), number.into(), call.as_str().into(), (*per_op).into()])?;
        }
    }
    for (number, line) in numbered() {
        for (of, Shortfall { what, why, remedy }) in shortfalls(line) {
            let [what, why, remedy] = [what, why, remedy].map(|text| Cell::from(text.as_str()));
            sink.row(&SHORTFALLS, &[name.into(), number.into(), of.into(), what, why, remedy])?;
        }
    }
    Ok(())
}

fn measured(line: &BenchmarkLine) -> Option<&Measured> {
    match &line.outcome {
        Outcome::Measured(measured) => Some(measured),
        Outcome::Unsupported(_) | Outcome::Failed(_) => None,
    }
}

fn host<'a>(name: &'a str, line: &'a HostLine) -> Vec<Cell<'a>> {
    let (host, build) = (&line.host, &line.build);
    let kernel = &host.kernel;
    vec![
        name.into(),
        line.id.as_str().into(),
        line.started_ms.into(),
        host.processor.model.as_deref().into(),
        host.processor.vendor.as_deref().into(),
        kernel.architecture.as_deref().into(),
        host.topology.cpus.len().into(),
        host.topology.cores().into(),
        host.topology.llcs().into(),
        host.topology.nodes().into(),
        kernel.release.as_deref().into(),
        kernel.version.as_deref().into(),
        kernel.command_line.as_deref().into(),
        host.virtualization.hypervisor.as_deref().into(),
        host.power.governors.join(", ").into(),
        build.version.as_str().into(),
        build.revision.as_deref().into(),
        build.rustc.as_str().into(),
        build.target.as_str().into(),
        build.profile.as_str().into(),
        json(&line.argv),
        json(host),
    ]
}

fn round<'a>(name: &'a str, number: usize, line: &'a BenchmarkLine, host: Option<&'a HostLine>) -> Vec<Cell<'a>> {
    let measured = measured(line);
    let host = host.map(|line| &line.host);
    let per_op = |measured: &Measured| {
        let values = measured.samples.iter().filter(|sample| sample.ops.0 > 0);
        median(&values.map(|sample| sample.per_op()).collect::<Vec<_>>())
    };
    // A damaged record may hold any number.
    let ops = |measured: &Measured| measured.samples.iter().fold(0_u64, |sum, sample| sum.saturating_add(sample.ops.0));
    let outcome = match &line.outcome {
        Outcome::Measured(_) => "measured",
        Outcome::Unsupported(_) => "unsupported",
        Outcome::Failed(_) => "failed",
    };
    let conditions = line.conditions.as_ref();
    vec![
        name.into(),
        number.into(),
        line.host_id.as_str().into(),
        host.and_then(|host| host.processor.model.as_deref()).into(),
        host.and_then(|host| host.kernel.release.as_deref()).into(),
        line.id.as_str().into(),
        line.mechanism.as_str().into(),
        line.baseline.as_str().into(),
        word(&line.unit),
        line.measures.name().into(),
        line.setting.placement.name().into(),
        cpu_list(&line.setting.cpus).into(),
        line.setting.idle.to_string().into(),
        json(&line.setting.policy),
        json(&line.setting.parameters),
        u64::from(line.round).into(),
        line.started_ms.into(),
        outcome.into(),
        line.outcome.reason().into(),
        measured.map(|m| m.samples.len()).into(),
        measured.map(ops).into(),
        measured.and_then(per_op).into(),
        measured.map(|m| m.usage.user.0).into(),
        measured.map(|m| m.usage.system.0).into(),
        measured.map(|m| m.usage.voluntary).into(),
        measured.map(|m| m.usage.involuntary).into(),
        measured.filter(|m| m.audit.was_made()).map(|m| m.audit.verdict()).into(),
        conditions.map(|c| c.took_ms).into(),
        conditions.map(|c| u64::from(c.discarded)).into(),
        conditions.map(|c| c.interference.join("; ")).into(),
        conditions.map(|c| c.interleaved).into(),
    ]
}

fn samples((name, number): (&str, usize), kind: &str, samples: &[Sample], sink: &mut impl RowSink) -> io::Result<()> {
    for (place, sample) in samples.iter().enumerate() {
        let (min, max) = (sample.probe.map(|probe| probe.min.0), sample.probe.map(|probe| probe.max.0));
        let (ops, amount) = (sample.ops.0, sample.amount.0);
        sink.row(
            &SAMPLES,
            &[name.into(), number.into(), kind.into(), place.into(), ops.into(), amount.into(), min.into(), max.into()],
        )?;
    }
    Ok(())
}

/// A row for a number or a distribution, whose `value` is its mean, and one for each point of a curve.
fn metric_rows((name, number): (&str, usize), metric: &Metric, sink: &mut impl RowSink) -> io::Result<()> {
    let begin = |kind: &'static str, quantity: &'static str| -> Vec<Cell> {
        vec![name.into(), number.into(), metric.of().as_str().into(), kind.into(), quantity.into()]
    };
    let row = |mut cells: Vec<Cell<'_>>, sink: &mut _| {
        cells.resize(METRICS.columns.len(), Cell::Null);
        RowSink::row(sink, &METRICS, &cells)
    };
    match metric {
        Metric::Scalar(scalar) => {
            let mut cells = begin("scalar", scalar.quantity.name());
            let (low, high) = (scalar.interval.map(|(low, _)| low), scalar.interval.map(|(_, high)| high));
            cells.extend([Cell::Null, scalar.value.into(), low.into(), high.into()]);
            row(cells, sink)
        }
        Metric::Distribution(distribution) => {
            let values = &distribution.values;
            let mut cells = begin("distribution", distribution.quantity.name());
            cells.extend([Cell::Null, values.mean().into(), Cell::Null, Cell::Null, values.count().into()]);
            cells.extend([0.5, 0.9, 0.99, 0.999].map(|share| Cell::from(values.quantile(share))));
            cells.push(values.max().into());
            row(cells, sink)
        }
        Metric::Curve(curve) => {
            for (x, y) in &curve.points {
                let mut cells = begin("curve", curve.y.quantity.name());
                cells.extend([(*x).into(), (*y).into()]);
                row(cells, sink)?;
            }
            Ok(())
        }
    }
}

fn shortfalls(line: &BenchmarkLine) -> Vec<(&'static str, &Shortfall)> {
    match &line.outcome {
        Outcome::Measured(measured) => {
            let counted = measured.counted.not_counted.iter().map(|shortfall| ("counter", shortfall));
            counted.chain(measured.audit.unchecked.iter().map(|shortfall| ("audit", shortfall))).collect()
        }
        Outcome::Unsupported(unsupported) => vec![("benchmark", &unsupported.0)],
        Outcome::Failed(_) => Vec::new(),
    }
}

fn json(value: &impl Serialize) -> Cell<'static> {
    serde_json::to_string(value).map_or(Cell::Null, Cell::from)
}

/// The word that records hold.
fn word(value: &impl Serialize) -> Cell<'static> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.into(),
        _ => Cell::Null,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The cells of every row, by table.
    #[derive(Default)]
    struct Counted(std::collections::BTreeMap<&'static str, usize>);

    impl RowSink for Counted {
        fn row(&mut self, table: &'static ExportTable, cells: &[Cell]) -> io::Result<()> {
            assert_eq!(cells.len(), table.columns.len(), "{}", table.name);
            for (cell, (column, kind)) in cells.iter().zip(table.columns) {
                let fits = match cell {
                    Cell::Null => true,
                    Cell::Whole(_) => *kind == Whole,
                    Cell::Real(_) => *kind == Real,
                    Cell::Text(_) => *kind == Text,
                };
                assert!(fits, "{}.{column}: {cell:?}", table.name);
            }
            *self.0.entry(table.name).or_default() += 1;
            Ok(())
        }
    }

    #[test]
    fn each_row_has_a_cell_of_its_kind_for_each_column() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let mut counted = Counted::default();
        for run in ["record/schema-2", "record/version-1", "report/three-rounds", "report/half-missing"] {
            rows(run, &crate::record::read(&fixtures.join(run)).unwrap(), &mut counted).unwrap();
        }
        let lacking: Vec<&str> =
            TABLES.iter().map(|table| table.name).filter(|name| !counted.0.contains_key(name)).collect();
        assert_eq!(lacking, Vec::<&str>::new(), "the fixtures have rows of every table");
    }

    #[test]
    fn the_page_names_every_table_and_column() {
        let page =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/method/export.md")).unwrap();
        for table in TABLES {
            let begin = format!("### `{}`", table.name);
            let section = page.split(&begin).nth(1).unwrap_or_else(|| panic!("no section {begin}"));
            let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
            for (column, _) in table.columns {
                assert!(section.contains(&format!("`{column}`")), "{begin} does not name `{column}`");
            }
        }
    }
}
