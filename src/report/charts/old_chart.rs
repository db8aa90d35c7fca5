//! Servers on the axes of an old chart, requests a second over connections, each of which carries one request: with a
//! short queue of connections that wait to be accepted, and with the kernel's.

use std::collections::{BTreeMap, BTreeSet};

use super::{ChartInput, basis, marks};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, LineSeries, Lines, Panels, Picture, Point};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::terms::{MetricKey, Value};
use crate::units::Quantity;

/// What may differ between two points of the figure.
const VARIED: [&str; 5] = ["connections", "backlog", "pool", "protocol", "idle_connections"];

/// The points of one panel, by model and number of connections.
type PanelPoints<'a> = BTreeMap<&'a str, BTreeMap<u64, &'a BenchmarkView<'a>>>;

/// The two panels over a placement and whatever else was chosen.
#[derive(Default)]
struct BacklogPanels<'a> {
    /// By backlog, of which there may be several: the shortest is shown.
    short: BTreeMap<u64, PanelPoints<'a>>,
    longest: PanelPoints<'a>,
}

/// A figure for each placement in which models were measured with a backlog beside the kernel's longest.
pub(in crate::report) fn old_chart(input: ChartInput) -> Vec<Figure> {
    let mut figures: BTreeMap<(&str, String), BacklogPanels> = BTreeMap::new();
    for benchmark in input.benchmarks {
        let setting = &benchmark.line().setting;
        let value = |name: &str| setting.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let closes = matches!(value("protocol"), Some(Value::Word(word)) if word == "http-close");
        let idle = matches!(value("idle_connections"), Some(Value::Number(1..)));
        let (Some(Value::Number(connections)), Some(Value::Number(backlog))) = (value("connections"), value("backlog"))
        else {
            continue;
        };
        if !closes || idle {
            continue;
        }
        let panels = figures.entry((setting.placement.name(), others(benchmark))).or_default();
        let panel = if *backlog == 0 { &mut panels.longest } else { panels.short.entry(*backlog).or_default() };
        panel.entry(benchmark.name()).or_default().insert(*connections, benchmark);
    }
    let drawn = figures.into_iter().filter_map(|((placement, others), panels)| {
        let (backlog, short) = panels.short.into_iter().next()?;
        figure(input, placement, &others, backlog, [short, panels.longest])
    });
    drawn.collect()
}

/// What else was chosen.
fn others(benchmark: &BenchmarkView) -> String {
    let chosen = benchmark.chosen().unwrap_or_default().split(',');
    let kept = chosen.filter(|pair| !pair.split('=').next().is_some_and(|name| VARIED.contains(&name)));
    kept.collect::<Vec<_>>().join(",")
}

fn rate(benchmark: &BenchmarkView) -> Option<f64> {
    benchmark.figure(&[MetricKey::Throughput])
}

fn figure(input: ChartInput, placement: &str, others: &str, backlog: u64, panels: [PanelPoints; 2]) -> Option<Figure> {
    // In both, so that a colour is one model.
    let models: BTreeSet<&str> = panels[0].keys().filter(|model| panels[1].contains_key(*model)).copied().collect();
    let names = [format!("with a backlog of {backlog}"), "with the kernel's longest backlog".to_string()];
    let lines = |panel: &PanelPoints, name: &str| {
        let line = |model: &&str| {
            let points = panel[model].iter().filter_map(|(connections, benchmark)| {
                Some(Point { mark: benchmark.mark().into(), ..Point::at(*connections as f64, rate(benchmark)?) })
            });
            LineSeries { label: (*model).into(), points: points.collect() }
        };
        Lines {
            across: "connections".into(),
            upwards: format!("requests a second {name}"),
            quantity: Quantity::Number,
            marks: true,
            over_time: false,
            level: None,
            lines: models.iter().map(line).collect(),
        }
    };
    let pictures: Vec<Box<dyn Picture>> =
        panels.iter().zip(&names).map(|(panel, name)| Box::new(lines(panel, name)) as Box<dyn Picture>).collect();
    let shown = || panels.iter().flat_map(|panel| models.iter().flat_map(|model| panel[model].values())).copied();
    let at = models.iter().flat_map(|model| panels[0][model].keys().filter(|at| panels[1][model].contains_key(at)));
    let at = *at.max()?;
    let among = |panel: &PanelPoints| {
        let rates = models.iter().filter_map(|model| panel[model].get(&at).and_then(|benchmark| rate(benchmark)));
        let rates: Vec<f64> = rates.collect();
        let least = rates.iter().copied().min_by(f64::total_cmp)?;
        let most = rates.iter().copied().max_by(f64::total_cmp)?;
        Some(format!("{} to {}", text::rate(least), text::rate(most)))
    };
    let others = if others.is_empty() { String::new() } else { format!(", {others}") };
    Some(Figure {
        id: input.anchor(&format!("old-chart-{}", text::slug(&format!("{placement}{others}")))),
        title: input.title(&format!("The axes of an old chart: a connection for each request{others}, {placement}")),
        subtitle: format!(
            "At {at} connections models answer {} requests a second {}, and {} {}: a connection that finds no room is \
             tried again after a second.",
            among(&panels[0])?,
            names[0],
            among(&panels[1])?,
            names[1]
        ),
        key: marks(&shown().collect::<Vec<_>>()),
        basis: basis(shown()),
        picture: Box::new(Panels { pictures }),
        csv: csv(&models, [(backlog, &panels[0]), (0, &panels[1])]),
    })
}

fn csv(models: &BTreeSet<&str>, panels: [(u64, &PanelPoints); 2]) -> String {
    let mut csv = Csv::new(&["model", "backlog", "connections", "requests_per_second", "cpu_ns_per_request", "id"]);
    for (backlog, panel) in panels {
        for model in models {
            for (connections, benchmark) in &panel[model] {
                let rate = rate(benchmark).map_or_else(String::new, number);
                let (cpu, id) = (number(benchmark.per_op()), benchmark.line().id.clone());
                csv.row([(*model).into(), backlog.to_string(), connections.to_string(), rate, cpu, id]);
            }
        }
    }
    csv.into_text()
}
