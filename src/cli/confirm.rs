//! `--confirm`: what a gate suspects is measured again, both programs interleaved.

use std::path::PathBuf;

use super::options::UsageError;
use super::paired::SideArgs;
use super::run::MeasureArgs;
use super::run_session::{Start, build_of};
use crate::compare::Gate;
use crate::harness::BenchmarkSpec;
use crate::harness::rounds::{Profile, RunPlan};
use crate::host::Root;
use crate::record::{BenchmarkLine, Run};
use crate::terms::Host;

/// The plan that settles what `gate` found between two runs.
pub(super) fn start(
    gate: &Gate,
    runs: &[(String, Run)],
    (sides, how): (&SideArgs, &MeasureArgs),
    out: Option<PathBuf>,
) -> anyhow::Result<Start> {
    let [(_, first), (_, other)] = runs else {
        return Err(refused("--confirm settles two runs: name two".into()));
    };
    let here = Host::observe(&Root::default()).id();
    if let Some((name, _)) = runs.iter().find(|(_, run)| run.hosts.iter().any(|host| host.id != here)) {
        return Err(refused(format!(
            "{name} was measured on another machine, or its kernel or settings have changed: --confirm measures here"
        )));
    }
    let mut plan: RunPlan = sides.plan(how, &Profile::named("default", &[])?)?;
    for (side, (name, run)) in runs.iter().enumerate() {
        let program = &plan.programs.0[side];
        let measured = run.hosts.first().map(|host| &host.build);
        let build = build_of(program, &std::env::temp_dir())?;
        if measured.is_some_and(|measured| *measured != build) {
            let option = ["--a-program", "--b-program"][side];
            let revision = measured.and_then(|build| build.revision.as_deref()).unwrap_or("unknown");
            return Err(refused(format!(
                "{name} was measured by another build (revision {revision}) than {}: name its program by {option}",
                program.display()
            )));
        }
    }
    for row in gate.regressed.iter().chain(&gate.suspects) {
        let pair = [(first, &row.id), (other, &row.other_id)].map(|(run, id)| {
            let line: Option<&BenchmarkLine> = run.benchmarks.iter().find(|line| line.id == *id);
            let line = line?;
            let spec = BenchmarkSpec { mechanism: line.mechanism.clone(), setting: line.setting.clone() };
            spec.benchmark()
        });
        let [Some(a), Some(b)] = pair else {
            return Err(refused(format!("{}: this program has no such benchmark", row.id)));
        };
        plan.add_pair([&a, &b]);
    }
    Ok(Start::Begin(Box::new(plan), out))
}

fn refused(text: String) -> anyhow::Error {
    UsageError::Unknown(text).into()
}
