//! `switchcost limits`: whether a number of tasks fits this machine, and which limits are in the way.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::FAILED;
use super::options::{UsageError, meant};
use crate::harness::{INSTANCES_OF_A_SWEEP, PlanError, count_of, demand, instances, most_tasks, usable_cpus};
use crate::host::Root;
use crate::host::limits::{self, LimitCheck, Resource};
use crate::mechanism::{Mechanism, find};
use crate::sys::limits::raise_descriptors;
use crate::terms::{Parameters, Value};

/// Say whether this machine can hold N tasks: each limit, where it is set, and the command that raises it
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 the tasks fit, 1 they do not, 2 bad usage.")]
pub(super) struct LimitsArgs {
    /// How many tasks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    tasks: u64,
    /// The mechanism whose tasks they are (default: plain threads, with nothing open)
    #[arg(long, value_name = "ID")]
    mechanism: Option<String>,
    /// For `switchcost sweep`, which holds one instance; `run` and `cargo bench` hold two
    #[arg(long, requires = "mechanism")]
    sweep: bool,
    /// Clients that connect to one server at the same time, which the listen backlog limits; the mechanisms have one at
    /// most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    connections: Option<u64>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Resident memory of a plain thread, as for the mechanisms' own.
const BYTES_PER_THREAD: u64 = 32 * 1024;

impl LimitsArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        // What measuring does first.
        raise_descriptors();
        let fits = self.print(&limits::Limits::observe(&Root::default()), &mut std::io::stdout().lock())?;
        Ok(if fits { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    /// Prints what `limits` hold, and returns whether the tasks fit.
    pub(super) fn print(&self, limits: &limits::Limits, out: &mut impl Write) -> anyhow::Result<bool> {
        let demand = self.demand()?;
        let judgements = limits.judge(demand);
        let obstacles: Vec<&limits::Obstacle> = judgements.iter().filter_map(|one| one.obstacle.as_ref()).collect();
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
                _ => writeln!(out, "\n{} tasks{of} do not fit. To raise the limits in the way:", self.tasks)?,
            }
            for obstacle in &obstacles {
                writeln!(out, "  {:<24} {}", obstacle.limit, obstacle.remedy)?;
            }
            if let Some(most) = self.most(limits)?.filter(|_| !obstacles.is_empty()) {
                writeln!(out, "\nWith the present limits {most} fit.")?;
            }
        }
        Ok(obstacles.is_empty())
    }

    fn instances(&self, mechanism: &dyn Mechanism) -> u64 {
        if self.sweep { INSTANCES_OF_A_SWEEP } else { instances(mechanism) }
    }

    pub(super) fn demand(&self) -> Result<limits::Demand, UsageError> {
        let demand = match &self.mechanism {
            None => limits::Demand {
                threads: self.tasks,
                bytes: self.tasks.saturating_mul(BYTES_PER_THREAD),
                ..limits::Demand::default()
            },
            Some(id) => {
                let mechanism = mechanism(id)?;
                demand(mechanism, &with_tasks(mechanism, self.tasks)?, cpus()?, self.instances(mechanism))
            }
        };
        Ok(limits::Demand { connections: self.connections.unwrap_or_default(), ..demand })
    }

    /// The most tasks of the mechanism that fit.
    fn most(&self, limits: &limits::Limits) -> Result<Option<u64>, UsageError> {
        let Some(id) = &self.mechanism else { return Ok(None) };
        let mechanism = mechanism(id)?;
        Ok(most_tasks(mechanism, &with_tasks(mechanism, self.tasks)?, cpus()?, limits, self.instances(mechanism)))
    }
}

/// How many CPUs there are to use when no placement is said.
fn cpus() -> Result<usize, UsageError> {
    usable_cpus(&[]).map(|cpus| cpus.len()).map_err(|error| UsageError::Unknown(error.to_string()))
}

pub(super) fn mechanism(id: &str) -> Result<&'static dyn Mechanism, UsageError> {
    find(id).ok_or_else(|| {
        let meant = meant(id);
        UsageError::Unknown(format!("no mechanism is called `{id}`{meant}; `switchcost list` prints them"))
    })
}

/// The defaults with that many tasks.
fn with_tasks(mechanism: &dyn Mechanism, tasks: u64) -> Result<Parameters, UsageError> {
    let descriptor = mechanism.descriptor();
    let parameter =
        count_of(descriptor).ok_or_else(|| UsageError::Unknown(PlanError::NoCount(descriptor.id).to_string()))?;
    let value: Value = parameter.parse(&tasks.to_string()).map_err(|error| UsageError::Unknown(error.to_string()))?;
    Ok(descriptor.defaults().with(parameter, value))
}

fn table(judgements: &[LimitCheck]) -> Table {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule)).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["limit", "of", "value", "in use", "needed", "fits", "read from"]);
    for LimitCheck { limit, demanded, obstacle } in judgements {
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
        Resource::Files => "files",
        Resource::Connections => "connections",
        Resource::Tasks => "tasks",
        Resource::Maps => "mappings",
        Resource::Bytes => "bytes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tasks: u64, mechanism: Option<&str>) -> Result<limits::Demand, UsageError> {
        let mechanism = mechanism.map(Into::into);
        LimitsArgs { tasks, mechanism, sweep: false, connections: None, json: false }.demand()
    }

    #[test]
    fn the_descriptor_tells_what_a_mechanism_takes() {
        let demand = asked(500, Some("brigade/thread")).unwrap();
        assert!(demand.descriptors >= 1000 && demand.threads >= 500, "{demand:?}");
        assert_eq!(asked(500, None).unwrap().descriptors, 0);
    }

    #[test]
    fn a_sweep_takes_half_and_connections_are_asked_for() {
        let of = |sweep, connections| {
            let mechanism = Some("brigade/one_thread".into());
            LimitsArgs { tasks: 500, mechanism, sweep, connections, json: false }.demand().unwrap()
        };
        assert_eq!(of(false, None).descriptors, 2 * of(true, None).descriptors);
        assert_eq!((of(true, None).connections, of(true, Some(7)).connections), (0, 7));
    }

    #[test]
    fn what_cannot_be_counted_is_bad_usage() {
        assert!(asked(5, Some("brigade/nothing")).is_err());
        assert!(asked(5, Some("handoff/futex")).is_err());
        assert!(asked(u64::MAX, Some("brigade/thread")).is_err());
    }
}
