//! The folders in which runs are recorded.

use std::path::PathBuf;

use crate::harness::rounds::PLAN_FILE;
use jiff::Timestamp;
use procfs::process::{Process, Stat};

/// The folder of this process's run: `target/switchcost/2026-01-31T12-00-00Z`.
///
/// All bench targets of one `cargo bench` are children of one cargo, so its start is the run's name, and their records
/// come together in one folder. A process started otherwise makes a run of its own.
pub(super) fn of_this_run() -> PathBuf {
    let seconds = cargo_started().unwrap_or_else(|| Timestamp::now().as_second());
    let name = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    usual().join(name.strftime("%Y-%m-%dT%H-%M-%SZ").to_string())
}

/// The newest run below the usual folder that can go on.
pub(super) fn newest_with_plan() -> Option<PathBuf> {
    let runs = std::fs::read_dir(usual()).ok()?;
    runs.flatten().map(|run| run.path()).filter(|run| run.join(PLAN_FILE).exists()).max()
}

/// Where runs lie when no other place is named.
pub(super) fn usual() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    target.join("switchcost")
}

/// When the cargo that started this process began, in seconds since 1970.
fn cargo_started() -> Option<i64> {
    let parent = Process::new(Process::myself().ok()?.stat().ok()?.ppid).ok()?.stat().ok()?;
    if parent.comm != "cargo" {
        return None;
    }
    started(&parent)
}

fn started(process: &Stat) -> Option<i64> {
    let boot = i64::try_from(procfs::boot_time_secs().ok()?).ok()?;
    let since_boot = i64::try_from(process.starttime / procfs::ticks_per_second()).ok()?;
    Some(boot + since_boot)
}
