//! The folders in which runs are recorded.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::harness::rounds::PLAN_FILE;
use anyhow::Context;
use jiff::Timestamp;
use procfs::process::Process;

/// In the folder of a run that `cargo bench` began: which cargo that was.
const CARGO_FILE: &str = "cargo.txt";

/// The folder named, or a new one: `target/switchcost/2026-01-31T12-00-00Z`.
pub(super) fn named_or_new(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    named.map_or_else(|| new(&usual()), Ok)
}

/// The folder of this bench target's run: the one named, or one that all bench targets of one `cargo bench` share, so
/// that their records come together. A process started otherwise makes a run of its own.
pub(super) fn of_this_cargo(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match (named, cargo()) {
        (Some(named), _) => Ok(named),
        (None, Some(cargo)) => shared(&usual(), &cargo),
        (None, None) => new(&usual()),
    }
}

/// The folder below `usual` that a process began whose cargo is `cargo`, or a new one.
fn shared(usual: &Path, cargo: &str) -> anyhow::Result<PathBuf> {
    let is_its_own = |run: &PathBuf| std::fs::read_to_string(run.join(CARGO_FILE)).is_ok_and(|began| began == cargo);
    if let Some(begun) = runs(usual).find(is_its_own) {
        return Ok(begun);
    }
    let folder = new(usual)?;
    let path = folder.join(CARGO_FILE);
    std::fs::write(&path, cargo).with_context(|| path.display().to_string())?;
    Ok(folder)
}

/// A folder below `usual` that no other process has, named after the present second. Of those that begin in the same
/// second, one makes the folder and the next one counts on.
fn new(usual: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(usual).with_context(|| usual.display().to_string())?;
    let second = Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    for number in 1.. {
        let folder = usual.join(if number == 1 { second.clone() } else { format!("{second}-{number}") });
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => return other.map(|()| folder.clone()).with_context(|| folder.display().to_string()),
        }
    }
    unreachable!("a folder has a number that is free")
}

/// The newest run below the usual folder that can go on.
pub(super) fn newest_with_plan() -> Option<PathBuf> {
    runs(&usual()).filter(|run| run.join(PLAN_FILE).exists()).max()
}

fn runs(usual: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(usual).into_iter().flatten().flatten().map(|run| run.path())
}

/// Where runs lie when no other place is named.
pub(super) fn usual() -> PathBuf {
    target().join("switchcost")
}

/// Where Criterion's files go, which it would otherwise decide by itself: CRITERION_HOME, as it does, or beside the
/// records.
pub(super) fn of_criterion() -> PathBuf {
    std::env::var_os("CRITERION_HOME").map_or_else(|| target().join("criterion"), PathBuf::from)
}

/// Cargo's target folder.
fn target() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let program = std::env::current_exe().ok();
    target_of(variable("CARGO_TARGET_DIR").or_else(|| variable("CARGO_BUILD_TARGET_DIR")), program.as_deref())
}

/// The target folder by the variables that cargo reads and by where the program lies. A bench target runs in its
/// package's folder, and a relative path is meant from where cargo was called; the option `--target-dir` and
/// `build.target-dir` of a configuration stand in no variable at all. Cargo marks its folder as a cache.
fn target_of(variable: Option<PathBuf>, program: Option<&Path>) -> PathBuf {
    let marked = |folder: &&Path| folder.join("CACHEDIR.TAG").exists();
    let around = || program.and_then(|program| program.ancestors().skip(1).find(marked)).map(Path::to_path_buf);
    match variable {
        Some(absolute) if absolute.is_absolute() => absolute,
        relative => around().or(relative).unwrap_or_else(|| "target".into()),
    }
}

/// The cargo that started this process, in words that no other process has: not by the clock on the wall, which may be
/// set between two bench targets and moves the start of every process with it (btime in proc_stat(5)).
fn cargo() -> Option<String> {
    let cargo = Process::new(Process::myself().ok()?.stat().ok()?.ppid).ok()?.stat().ok()?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    (cargo.comm == "cargo")
        .then(|| format!("process {} of tick {} of boot {}\n", cargo.pid, cargo.starttime, boot.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_begun_in_one_second_have_folders_of_their_own() {
        let usual = tempfile::tempdir().unwrap();
        let begin = || new(&usual.path().join("switchcost")).unwrap();
        let mut folders: Vec<PathBuf> = std::thread::scope(|scope| {
            let both: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
            both.into_iter().map(|begun| begun.join().unwrap()).collect()
        });
        assert!(folders.iter().all(|folder| folder.is_dir()));
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), 8);
    }

    #[test]
    fn bench_targets_of_one_cargo_share_a_folder_whatever_the_clock_says() {
        let usual = tempfile::tempdir().unwrap();
        let first = shared(usual.path(), "process 7 of tick 70").unwrap();
        // The clock has stepped: the folder's name is of no second that is near.
        let renamed = usual.path().join("1999-01-01T00-00-00Z");
        std::fs::rename(&first, &renamed).unwrap();
        assert_eq!(shared(usual.path(), "process 7 of tick 70").unwrap(), renamed);
        let other = shared(usual.path(), "process 7 of tick 71").unwrap();
        assert_ne!(other, renamed, "another cargo with the number of the one before");
    }

    #[test]
    fn the_target_folder_is_cargos_however_it_was_chosen() {
        let tree = tempfile::tempdir().unwrap();
        let target = tree.path().join("elsewhere");
        let deps = target.join("release/deps");
        std::fs::create_dir_all(&deps).unwrap();
        std::fs::write(target.join("CACHEDIR.TAG"), "").unwrap();
        let program = deps.join("syscall-0123");
        let of = |variable: Option<&str>| target_of(variable.map(PathBuf::from), Some(&program));
        assert_eq!(of(None), target, "build.target-dir, --target-dir");
        assert_eq!(of(Some("elsewhere")), target, "from another folder than this one");
        assert_eq!(of(Some("/absolute")), Path::new("/absolute"));
        let installed = Some(Path::new("/usr/bin/switchcost"));
        assert_eq!(target_of(None, installed), Path::new("target"));
        assert_eq!(target_of(Some("relative".into()), installed), Path::new("relative"));
    }

    #[test]
    fn what_is_named_is_taken() {
        assert_eq!(named_or_new(Some("there".into())).unwrap(), Path::new("there"));
        assert_eq!(of_this_cargo(Some("there".into())).unwrap(), Path::new("there"));
    }
}
