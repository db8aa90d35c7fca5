//! `switchcost list`: every mechanism in a line, and of one all that there is to know: what it isolates, its parameters
//! and source, and whether it runs here.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::filter::FilterArgs;
use crate::mechanism::{GROUPS, Mechanism, registry};
use crate::terms::Domain;

/// List the mechanisms, one per line; for a single one its unit, parameters and source, and whether it can run here
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Print all details, however many mechanisms match
    #[arg(long)]
    details: bool,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        self.print(&mut std::io::stdout().lock())?;
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn print(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let filter = self.filter.filter()?;
        let named = |mechanism: &&dyn Mechanism| filter.matches_in_a_placement(mechanism.descriptor());
        let wanted: Vec<_> = registry().iter().copied().filter(named).collect();
        if wanted.is_empty() {
            return Err(filter.names_nothing().into());
        }
        filter.check_exclusions()?;
        if self.json {
            for mechanism in wanted {
                writeln!(out, "{}", as_json(mechanism))?;
            }
            return Ok(());
        }
        let detailed = self.details || wanted.len() == 1;
        let width = wanted.iter().map(|mechanism| mechanism.descriptor().id.len()).max().unwrap_or(0);
        for group in GROUPS {
            let members: Vec<_> = wanted.iter().filter(|m| m.descriptor().group() == group.name).collect();
            let Some(first) = members.first() else { continue };
            writeln!(out, "{} [{}]  {}", group.name, first.descriptor().unit, group.question)?;
            for mechanism in members {
                if detailed { describe(*mechanism, out) } else { name(*mechanism, width, out) }?;
            }
            if detailed {
                writeln!(out)?;
            }
        }
        if !detailed {
            writeln!(out, "All of one, with what can be set: switchcost list {}", wanted[0].descriptor().id)?;
        }
        Ok(())
    }
}

/// A line: the id, the mechanism in a few words, and a mark where it cannot run here.
fn name(mechanism: &dyn Mechanism, width: usize, out: &mut impl Write) -> std::io::Result<()> {
    let descriptor = mechanism.descriptor();
    // Behind the colon stands what is measured by it.
    let words = descriptor.isolates.split(": ").next().unwrap_or_default();
    let here = if mechanism.probe().is_ok() { "" } else { " (not here)" };
    writeln!(out, "  {:<width$}  {words}{here}", descriptor.id)
}

fn describe(mechanism: &dyn Mechanism, out: &mut impl Write) -> std::io::Result<()> {
    let descriptor = mechanism.descriptor();
    writeln!(out, "  {}", descriptor.id)?;
    writeln!(out, "      isolates   {}", descriptor.isolates)?;
    if descriptor.baseline != descriptor.id {
        writeln!(out, "      baseline   {}", descriptor.baseline)?;
    }
    for parameter in descriptor.parameters {
        writeln!(out, "      --set      {} = {}  ({})", parameter.name, domain(parameter.domain), parameter.meaning)?;
    }
    if !descriptor.requirements.is_empty() {
        writeln!(out, "      needs      {}", descriptor.requirements.join("; "))?;
    }
    writeln!(out, "      source     {}", descriptor.source)?;
    match mechanism.probe() {
        Ok(()) => writeln!(out, "      here       yes"),
        Err(reason) => writeln!(out, "      here       no: {reason}"),
    }
}

fn domain(domain: Domain) -> String {
    match domain {
        Domain::Number { default, min, max } => format!("{default}, from {min} to {max}"),
        Domain::Word { words } => words.join(" | "),
    }
}

fn as_json(mechanism: &dyn Mechanism) -> serde_json::Value {
    let descriptor = mechanism.descriptor();
    let parameters: Vec<_> = descriptor
        .parameters
        .iter()
        .map(|parameter| {
            serde_json::json!({
                "name": parameter.name,
                "meaning": parameter.meaning,
                "default": parameter.domain.default(),
                "values": domain(parameter.domain),
            })
        })
        .collect();
    serde_json::json!({
        "id": descriptor.id,
        "unit": descriptor.unit,
        "isolates": descriptor.isolates,
        "baseline": descriptor.baseline,
        "requirements": descriptor.requirements,
        "source": descriptor.source,
        "parameters": parameters,
        "unsupported": mechanism.probe().err(),
    })
}
