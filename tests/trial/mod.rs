//! What a trial of every mechanism needs: small settings, timeout, and a look at what a process has left.

#[allow(dead_code)] // One of the tests that share this file has a floor.
pub(crate) mod floor;

use std::path::Path;
use std::time::Duration;

use crate::patience::{await_until, timeout};
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};
use switchcost::mechanism::Descriptor;
use switchcost::sys::process::open_descriptors;
use switchcost::terms::{Domain, Parameters, Value};

/// Tasks, depths, bytes: enough to tell them apart.
pub(crate) const SMALL: u64 = 8;
/// Another small number, for parameters whose default is smaller than [`SMALL`]: how many are alive at once.
const OTHER: u64 = 3;

/// The shorter the time from request to request, the more requests has a lap, which lasts as long as before, and the
/// shorter a job, the more of them make up a share of a CPU: these keep their defaults.
const MORE_WHEN_SMALL: [&str; 3] = ["pause_us", "period_us", "work_us"];

/// What asks tokio for worker threads, which tokio names, pins and fails to create by itself.
#[allow(dead_code)] // Of the tests that share this file, some have no use for it.
pub(crate) const TOKIO_WORKERS: [&str; 5] = [
    "brigade/tokio_multi_thread",
    "handoff/async_mutex",
    "handoff/tokio_notify",
    "pipeline/kanal_async",
    "pipeline/tokio_mpsc",
];

/// The settings under which a mechanism must conform: all small, and from there each word and each number that is 1 or
/// 0 by default changed once, and each that may be 0 but is not set to that: 0 often means something else than a
/// number.
pub(crate) fn settings(descriptor: &Descriptor) -> Vec<Parameters> {
    let mut small = descriptor.defaults();
    for parameter in descriptor.parameters.iter().filter(|parameter| !MORE_WHEN_SMALL.contains(&parameter.name)) {
        if let Domain::Number { default, min, .. } = parameter.domain {
            small = small.with(parameter, Value::Number(default.min(SMALL).max(min)));
        }
    }
    let mut settings = vec![small.clone()];
    if shares_its_set_up(descriptor) {
        let protocol = descriptor.parameter("protocol").map(|parameter| (parameter, Value::Word("http-close".into())));
        settings.extend(protocol.map(|(parameter, word)| small.clone().with(parameter, word)));
        return settings;
    }
    for parameter in descriptor.parameters {
        match parameter.domain {
            Domain::Word { words } => {
                let others = words[1..].iter();
                settings.extend(others.map(|word| small.clone().with(parameter, Value::Word((*word).into()))));
            }
            Domain::Number { default, min, max } if default <= 1 && (min..=max).contains(&OTHER) => {
                settings.push(small.clone().with(parameter, Value::Number(OTHER)));
            }
            Domain::Number { default, min: 0, .. } if default > 0 => {
                settings.push(small.clone().with(parameter, Value::Number(0)));
            }
            Domain::Number { .. } => {}
        }
    }
    settings
}

/// Servers share all but their model, which is a process of its own: what their parameters do is seen at two of them.
fn shares_its_set_up(descriptor: &Descriptor) -> bool {
    descriptor.group() == "server" && !["server/epoll", "server/uring"].contains(&descriptor.id)
}

/// What this process has.
#[derive(Clone, PartialEq)]
pub(crate) struct Belongings {
    descriptors: Vec<i32>,
    threads: usize,
    children: bool,
    files: Vec<String>,
    shared: Vec<String>,
}

impl Belongings {
    /// Waits until nothing has changed for a while: a thread that is about to end is not there for good.
    #[allow(dead_code)] // Of the tests that share this file, one begins beside the threads of another.
    pub(crate) fn settle() {
        let (mut last, mut unchanged) = (Self::now(), 0);
        while unchanged < 30 {
            std::thread::sleep(Duration::from_millis(10));
            let now = Self::now();
            unchanged = if now == last { unchanged + 1 } else { 0 };
            last = now;
        }
    }

    pub(crate) fn now() -> Self {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
        Self {
            descriptors: open_descriptors().unwrap(),
            threads: names_in(Path::new("/proc/self/task")).len(),
            children: waitpid(None, Some(flags)) != Err(Errno::ECHILD),
            files: named_files(),
            shared: shared_memory(),
        }
    }

    /// What there is more of than `before`, once the kernel has had time: a joined thread stays in /proc for a moment
    /// (the join waits for its memory, not for its end), and a closed ring ends its workers later.
    #[allow(dead_code)] // One of the tests that share this file leaves nothing to look for.
    pub(crate) fn now_at_last(before: &Self) -> Result<(), String> {
        let mut now = Self::now();
        let as_before = await_until(timeout(), || {
            now = Self::now();
            // A thread of an earlier instance may not have been gone from /proc when `before` was taken.
            let threads = now.threads.min(before.threads);
            (Self { threads, ..before.clone() } == now).then_some(())
        });
        if as_before.is_some() {
            return Ok(());
        }
        let new = |fd: &&i32| !before.descriptors.contains(fd);
        let target = |fd: &i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        let descriptors: Vec<_> = now.descriptors.iter().filter(new).map(target).collect();
        let (was, is) = (before.threads, now.threads);
        Err(format!(
            "descriptors {descriptors:?}, threads {was} before and {is} after, a child process: {}, files {:?}, shared \
             memory {:?}",
            now.children, now.files, now.shared
        ))
    }
}

/// The files below this process's own temporary folder, and those with its number in their name where other processes'
/// names are too.
fn named_files() -> Vec<String> {
    let mine = std::process::id();
    let marks = [mine.to_string(), format!("s{mine:x}.")];
    let shared = ["/dev/shm", "/dev/mqueue"].into_iter().flat_map(|folder| names_in(Path::new(folder)));
    let shared = shared.filter(|name| marks.iter().any(|mark| name.contains(mark)));
    names_in(&std::env::temp_dir()).into_iter().chain(shared).collect()
}

/// Shared mappings, by what they map (proc_pid_maps(5)), and System V segments that this process created
/// (proc_sysvipc(5)).
fn shared_memory() -> Vec<String> {
    let column = |line: &str, number: usize| line.split_whitespace().nth(number).unwrap_or_default().to_string();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mappings = maps.lines().filter(|line| column(line, 1).ends_with('s')).map(|line| column(line, 5));
    let mine = std::process::id().to_string();
    let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let segments = segments.lines().filter(|line| column(line, 4) == mine).map(|line| column(line, 1));
    let mut shared: Vec<String> = mappings.chain(segments).collect();
    shared.sort_unstable();
    shared
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
