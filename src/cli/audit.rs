//! `switchcost audit`: whether mechanisms do what their descriptors say, without measuring them.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::FAILED;
use super::filter::FilterArgs;
use super::options::SettingArgs;
use super::progress::Steps;
use super::run_session::must_have_proc;
use super::terminal::errln;
use crate::harness::{Auditor, PlannedBenchmark, plan};
use crate::record::AuditRecord;
use crate::terms::Unsupported;
use crate::units::decimals;

/// Check that mechanisms make the system calls, context switches and wakeups that they claim to make
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    setting: SettingArgs,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

impl AuditArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        must_have_proc()?;
        let planned = self.planned()?;
        let auditor = Auditor::with_this_program();
        let mut out = std::io::stdout().lock();
        let (mut status, mut audited) = (ExitCode::SUCCESS, 0);
        let progress = Steps::new(planned.len());
        for (step, planned) in planned.into_iter().enumerate() {
            let unsupported = match &planned {
                PlannedBenchmark::Unsupported { reason, .. } => Some(reason.clone()),
                PlannedBenchmark::Ready(benchmark) => benchmark.mechanism.supports(&benchmark.setting.parameters).err(),
            };
            if let Some(reason) = unsupported {
                self.print(&planned.id(), Err(&reason), &mut out)?;
                continue;
            }
            let PlannedBenchmark::Ready(benchmark) = planned else { continue };
            // An audit under emulation takes minutes.
            progress.begins(step, &format!("audit of {}", benchmark.id()));
            let record = auditor.audit(&benchmark);
            audited += 1;
            progress.aside(|| self.print(&benchmark.id(), Ok(&record), &mut out))?;
            if record.differences().next().is_some() {
                status = ExitCode::from(FAILED);
            }
        }
        if audited == 0 && !self.json {
            errln!("switchcost: nothing was audited: none of these benchmarks can run here");
        }
        Ok(status)
    }

    /// What is audited.
    pub(super) fn planned(&self) -> anyhow::Result<Vec<PlannedBenchmark>> {
        let filter = self.filter.filter()?;
        let choice = self.setting.choice()?;
        let planned = plan(&choice, |id| filter.matches(id))?;
        filter.check_plan(&choice, &planned)?;
        Ok(planned)
    }

    /// Prints the audit of one benchmark.
    pub(super) fn print(
        &self,
        id: &str,
        audit: Result<&AuditRecord, &Unsupported>,
        out: &mut impl Write,
    ) -> std::io::Result<()> {
        match (audit, self.json) {
            (Ok(record), true) => writeln!(out, "{}", serde_json::json!({ "id": id, "audit": record })),
            (Ok(record), false) => print(id, record, out),
            (Err(reason), true) => writeln!(out, "{}", serde_json::json!({ "id": id, "unsupported": reason })),
            (Err(reason), false) => writeln!(out, "{id:<44} unsupported  {reason}"),
        }
    }
}

fn print(id: &str, record: &AuditRecord, out: &mut impl Write) -> std::io::Result<()> {
    // A rate is the difference of two batches, and may come out below nothing.
    let told = |name: &str, rate: f64| format!("{name} {}", decimals(rate, 3));
    let calls: Vec<String> = record.calls.iter().map(|(name, rate)| told(name, *rate)).collect();
    let rates = record.checks.iter().filter(|check| check.what == "voluntary switches" || check.what == "wakeups");
    let rates: Vec<String> = rates.map(|check| told(&check.what, check.observed)).collect();
    writeln!(out, "{id:<44} {:<15} {}", record.told(), rates.into_iter().chain(calls).collect::<Vec<_>>().join(", "))?;
    for check in record.differences() {
        writeln!(out, "    {}: {}, expected {}", check.what, check.seen(), check.expected)?;
    }
    for unchecked in &record.unchecked {
        writeln!(out, "    not checked: {unchecked}")?;
    }
    Ok(())
}
