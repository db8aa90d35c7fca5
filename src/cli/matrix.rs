//! `switchcost matrix`: what a handoff costs between each pair of CPUs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::options::{Usage, What};
use crate::harness::{Cell, Sampling, matrix, pairs};
use crate::mechanism::{Mechanism, find};
use crate::report::{Heatmap, heatmap};
use crate::sys::affinity::allowed_cpus;
use crate::units::{CpuId, Nanos, cpu_list, parse_cpu_list};

/// Measure the handoff between every pair of CPUs, as numbers and as a heat map
#[derive(Debug, Args)]
pub(super) struct Matrix {
    /// Which handoff: spin, futex, pipe, or any other that `switchcost list handoff/` names
    #[arg(long, value_name = "NAME", default_value = "spin")]
    mechanism: String,
    /// Only these CPUs, as 0-3,8 (default: all that this process may use)
    #[arg(long, value_name = "LIST")]
    cpus: Option<String>,
    /// Each pair in both orders: first the one that begins, then its partner
    #[arg(long)]
    ordered: bool,
    /// Visits to each pair, in a new order each time
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each visit measures, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    sample_ms: u64,
    /// What idle CPUs do: default, poll or spinner
    #[arg(long, value_name = "MODE")]
    idle: Option<String>,
    /// How tasks are scheduled: other, batch, idle, fifo or rr
    #[arg(long, value_name = "CLASS")]
    policy: Option<String>,
    /// The numbers as JSON
    #[arg(long)]
    json: bool,
    /// Where to put matrix.csv, matrix.json and matrix.svg
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Matrix {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mechanism = self.mechanism()?;
        let cpus = self.cpus()?;
        let pairs = pairs(mechanism, &cpus, self.ordered);
        if pairs.is_empty() {
            return Err(Usage::Unknown(format!(
                "{} needs two CPUs, and there is only CPU {}; a wider mask helps (taskset, cpuset, --cpus)",
                mechanism.descriptor().id,
                cpu_list(&cpus)
            ))
            .into());
        }
        let sampling = self.sampling()?;
        if let Some(folder) = &self.out {
            // Before minutes of measuring.
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let visits = pairs.len() * self.rounds as usize;
        let progress = indicatif::ProgressBar::new(visits as u64);
        let cells = matrix(mechanism, &pairs, sampling, |done| progress.set_position(done as u64));
        progress.finish_and_clear();
        let cells = cells?;
        let json = as_json(mechanism, &cpus, &cells);
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{json:#}")?;
        } else {
            print(mechanism, &cpus, &cells, &mut out)?;
        }
        if let Some(folder) = &self.out {
            write_files(folder, mechanism, &cpus, &cells, &json)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn mechanism(&self) -> Result<&'static dyn Mechanism, Usage> {
        let name = self.mechanism.strip_prefix("handoff/").unwrap_or(&self.mechanism);
        find(&format!("handoff/{name}")).ok_or_else(|| {
            Usage::Unknown(format!("no handoff is called `{name}`; `switchcost list handoff/` prints them"))
        })
    }

    fn cpus(&self) -> anyhow::Result<Vec<CpuId>> {
        let allowed = allowed_cpus()?;
        let Some(list) = &self.cpus else { return Ok(allowed) };
        let chosen = parse_cpu_list(list).filter(|cpus| !cpus.is_empty());
        let mut chosen = chosen.ok_or_else(|| Usage::Unknown(format!("`{list}` is no list of CPUs, such as 0-3,8")))?;
        chosen.sort_unstable();
        chosen.dedup();
        match chosen.iter().find(|cpu| !allowed.contains(cpu)) {
            None => Ok(chosen),
            Some(cpu) => {
                let allowed = cpu_list(&allowed);
                Err(Usage::Unknown(format!("CPU {cpu} is not one that this process may use: {allowed}")).into())
            }
        }
    }

    fn sampling(&self) -> Result<Sampling, Usage> {
        let what = What { idle: self.idle.clone(), policy: self.policy.clone(), ..What::default() };
        let choice = what.choice()?;
        let sample = Nanos(self.sample_ms * 1_000_000);
        Ok(Sampling {
            rounds: self.rounds,
            sample,
            idle: choice.idle.unwrap_or_default(),
            policy: choice.policy.unwrap_or_default(),
        })
    }
}

/// The medians as a square; a pair that was measured in one order stands in both places.
fn square(cpus: &[CpuId], cells: &[Cell]) -> Vec<Vec<Option<f64>>> {
    let of = |a: CpuId, b: CpuId| cells.iter().find(|cell| (cell.first, cell.second) == (a, b))?.median();
    cpus.iter().map(|&a| cpus.iter().map(|&b| of(a, b).or_else(|| of(b, a))).collect()).collect()
}

fn unit(mechanism: &dyn Mechanism) -> String {
    format!("ns/{}, one way, median", mechanism.descriptor().unit)
}

fn print(mechanism: &dyn Mechanism, cpus: &[CpuId], cells: &[Cell], out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{} [{}]", mechanism.descriptor().id, unit(mechanism))?;
    write!(out, "{:>6}", "CPU")?;
    for cpu in cpus {
        write!(out, " {cpu:>8}")?;
    }
    writeln!(out)?;
    for (cpu, row) in cpus.iter().zip(square(cpus, cells)) {
        write!(out, "{cpu:>6}")?;
        for figure in row {
            match figure {
                Some(figure) => write!(out, " {figure:>8.0}")?,
                None => write!(out, " {:>8}", "-")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn as_json(mechanism: &dyn Mechanism, cpus: &[CpuId], cells: &[Cell]) -> serde_json::Value {
    let cell = |cell: &Cell| {
        serde_json::json!({
            "first": cell.first,
            "second": cell.second,
            "median_ns": cell.median(),
            "least_ns": cell.least(),
            "samples_ns": cell.samples,
        })
    };
    let descriptor = mechanism.descriptor();
    let pairs: Vec<_> = cells.iter().map(cell).collect();
    serde_json::json!({ "mechanism": descriptor.id, "unit": descriptor.unit, "cpus": cpus, "pairs": pairs })
}

fn write_files(
    folder: &Path,
    mechanism: &dyn Mechanism,
    cpus: &[CpuId],
    cells: &[Cell],
    json: &serde_json::Value,
) -> anyhow::Result<()> {
    let mut csv = String::from("first,second,median_ns,least_ns,samples\n");
    for cell in cells {
        let figure = |figure: Option<f64>| figure.map_or_else(String::new, |figure| format!("{figure:.1}"));
        let (median, least) = (figure(cell.median()), figure(cell.least()));
        csv.push_str(&format!("{},{},{median},{least},{}\n", cell.first, cell.second, cell.samples.len()));
    }
    let labels: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    let title = format!("{} between each two CPUs", mechanism.descriptor().id);
    let (unit, rows) = (unit(mechanism), square(cpus, cells));
    let svg = heatmap(&Heatmap { title: &title, unit: &unit, labels: &labels, rows: &rows });
    for (name, text) in [("matrix.csv", csv), ("matrix.json", format!("{json:#}\n")), ("matrix.svg", svg)] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
