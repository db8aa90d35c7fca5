//! `switchcost limits`: whether so many tasks fit this machine, and which limit is in the way.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::FAILED;
use super::options::Usage;
use crate::harness::INSTANCES;
use crate::host::Root;
use crate::host::limits::{self, Judgement, Resource};
use crate::mechanism::{Demand, Mechanism, Parameters, find};

/// Say whether N tasks fit this machine: each limit with its value, where it was read, and the command that raises it
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 they fit, 1 they do not, 2 bad usage.")]
pub(super) struct Limits {
    /// How many tasks
    #[arg(long, value_name = "N")]
    tasks: u64,
    /// The mechanism whose tasks they are (default: plain threads, with nothing open)
    #[arg(long, value_name = "ID")]
    mechanism: Option<String>,
    /// As JSON, whole
    #[arg(long)]
    json: bool,
}

/// The names under which mechanisms have a number of tasks.
const COUNTS: [&str; 2] = ["tasks", "alive"];

/// Resident memory of a thread that has touched the first page of its stack, with its kernel stack and page tables:
/// 29 KiB were measured on Linux 6.18 with 180,000 of them.
const BYTES_PER_THREAD: u64 = 32 * 1024;

impl Limits {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let demand = self.demand()?;
        let limits = limits::Limits::observe(&Root::default());
        let judgements = limits.judge(demand);
        let obstacles: Vec<&limits::Obstacle> = judgements.iter().filter_map(|one| one.obstacle.as_ref()).collect();
        let mut out = std::io::stdout().lock();
        if self.json {
            let whole = serde_json::json!({
                "tasks": self.tasks,
                "mechanism": self.mechanism,
                "fits": obstacles.is_empty(),
                "limits": judgements,
                "unread": limits.unread,
            });
            writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
        } else {
            writeln!(out, "{}", table(&judgements))?;
            for unread in &limits.unread {
                writeln!(out, "not read: {} ({}: {})", unread.what, unread.path, unread.reason)?;
            }
            let of = self.mechanism.as_ref().map_or_else(String::new, |id| format!(" of {id}"));
            match obstacles.len() {
                0 => writeln!(out, "\n{} tasks{of} fit.", self.tasks)?,
                _ => writeln!(out, "\n{} tasks{of} do not fit. To raise what is in the way:", self.tasks)?,
            }
            for obstacle in &obstacles {
                writeln!(out, "  {:<24} {}", obstacle.limit, obstacle.remedy)?;
            }
        }
        Ok(if obstacles.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    fn demand(&self) -> Result<limits::Demand, Usage> {
        let demand = match &self.mechanism {
            None => Demand { threads: self.tasks, ..Demand::default() },
            Some(id) => of_all_instances(demand_of(mechanism(id)?, self.tasks)?),
        };
        let Demand { descriptors, threads, processes } = demand;
        let bytes = threads.saturating_add(processes).saturating_mul(BYTES_PER_THREAD);
        Ok(limits::Demand { descriptors, threads, processes, bytes, ..limits::Demand::default() })
    }
}

fn mechanism(id: &str) -> Result<&'static dyn Mechanism, Usage> {
    find(id).ok_or_else(|| Usage::Unknown(format!("no mechanism is called `{id}`; `switchcost list` prints them")))
}

/// What measuring takes: as much as [`crate::harness::plan`] asks for.
fn of_all_instances(demand: Demand) -> Demand {
    let Demand { descriptors, threads, processes } = demand;
    let all = |count: u64| count.saturating_mul(INSTANCES);
    Demand { descriptors: all(descriptors), threads: all(threads), processes: all(processes) }
}

/// What one instance takes with that many tasks.
fn demand_of(mechanism: &dyn Mechanism, tasks: u64) -> Result<Demand, Usage> {
    let descriptor = mechanism.descriptor();
    let Some(parameter) = COUNTS.iter().find_map(|name| descriptor.parameter(name)) else {
        let id = descriptor.id;
        return Err(Usage::Unknown(format!(
            "{id} has a fixed number of tasks: it has no parameter `tasks` or `alive`"
        )));
    };
    let value = parameter.parse(&tasks.to_string()).map_err(|error| Usage::Unknown(error.to_string()))?;
    Ok((descriptor.demand)(&Parameters::defaults(descriptor).with(parameter, value)))
}

fn table(judgements: &[Judgement]) -> Table {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule)).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["limit", "of", "value", "in use", "needed", "fits", "read from"]);
    for Judgement { limit, demanded, obstacle } in judgements {
        let value = limit.value.to_string();
        let fits = if obstacle.is_some() { "NO" } else { "yes" };
        let (in_use, demanded) = (limit.in_use.to_string(), demanded.to_string());
        table.add_row([&limit.name, resource(limit.resource), &value, &in_use, &demanded, fits, &limit.path]);
    }
    for column in 2..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table
}

fn resource(resource: Resource) -> &'static str {
    match resource {
        Resource::Descriptors => "descriptors",
        Resource::Tasks => "tasks",
        Resource::Maps => "mappings",
        Resource::Bytes => "bytes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tasks: u64, mechanism: Option<&str>) -> Result<limits::Demand, Usage> {
        Limits { tasks, mechanism: mechanism.map(Into::into), json: false }.demand()
    }

    #[test]
    fn the_descriptor_tells_what_a_mechanism_takes() {
        let demand = asked(500, Some("brigade/thread")).unwrap();
        assert!(demand.descriptors >= 1000 && demand.threads >= 500, "{demand:?}");
        assert_eq!(asked(500, None).unwrap().descriptors, 0);
    }

    #[test]
    fn what_cannot_be_counted_is_bad_usage() {
        assert!(asked(5, Some("brigade/nothing")).is_err());
        assert!(asked(5, Some("handoff/futex")).is_err());
        assert!(asked(u64::MAX, Some("brigade/thread")).is_err());
    }
}
