//! What this process may still open, start, map and touch. It is read before something large is set up, so that the
//! answer is the name of a limit and the command that raises it, instead of `EAGAIN` half way.

use serde::{Deserialize, Serialize};

use super::cgroup;
use super::memory;
use super::moment;
use super::privileges;
use super::root::{FactReader, Root};
use super::sysctl_path;
use crate::terms::host::{CgroupLevel, Privileges, Rlimit, RlimitValue, UnreadFact};
use crate::units::parse_cpu_list;

/// Mappings of one thread of a crew: its stack and the guard below it. A `std::thread` has two more, its signal stack
/// and the guard below that; no mechanism but footprint/thread keeps many of those.
pub const MAPS_PER_THREAD: u64 = 2;

/// Mappings of one arena of glibc's allocator: the part in use and the part kept in reserve.
pub const MAPS_PER_ARENA: u64 = 2;

/// A thread that allocates gets an arena of its own until there are this many for each CPU (mallopt(3),
/// `M_ARENA_MAX`).
const ARENAS_PER_CPU: u64 = 8;

/// Process ids below this are not used again after the counter has wrapped (`RESERVED_PIDS`, `kernel/pid.c`).
const RESERVED_PIDS: u64 = 300;

/// The largest values that a 64-bit kernel takes: `PID_MAX_LIMIT` and `MAX_THREADS` (include/linux/threads.h,
/// kernel/fork.c), `sysctl_nr_open_max` (fs/file.c), `LONG_MAX` (fs/file_table.c), and `INT_MAX` for the others.
const LARGEST: [(&str, u64); 6] = [
    ("kernel.pid_max", 4 << 20),
    ("kernel.threads-max", 0x3fff_ffff),
    (NR_OPEN, 0x7fff_ffc0),
    ("fs.file-max", i64::MAX as u64),
    ("vm.max_map_count", i32::MAX as u64),
    ("net.core.somaxconn", i32::MAX as u64),
];

/// What an instance is going to need, on top of what is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// File descriptors in one table of this process.
    pub descriptors: u64,
    /// Open files in all tables together, where that is more than `descriptors`.
    pub files: u64,
    /// Clients that connect to one server before it accepts any of them.
    pub connections: u64,
    /// Threads of this process.
    pub threads: u64,
    /// Further processes.
    pub processes: u64,
    /// Memory mappings in this process, those of `threads` not counted: see [`MAPS_PER_THREAD`] and
    /// [`MAPS_PER_ARENA`].
    pub maps: u64,
    /// Memory that will be touched, in bytes.
    pub bytes: u64,
}

/// What a limit limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Open file descriptors of one table.
    Descriptors,
    /// Open files of the system.
    Files,
    /// Connections that wait to be accepted.
    Connections,
    /// Threads and processes.
    Tasks,
    /// Memory mappings of one process.
    Maps,
    /// Memory in bytes.
    Bytes,
}

/// One limit and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Its name: `RLIMIT_NOFILE (soft)`, `kernel.pid_max`, `cgroup pids.max`.
    pub name: String,
    /// What it limits.
    pub resource: Resource,
    /// The bound, in the unit of the resource.
    pub value: RlimitValue,
    /// How much of it is in use; 0 where that could not be read.
    pub in_use: u64,
    /// Where it was read.
    pub path: String,
}

/// The limit that a demand meets first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{limit} is {value} and {needed} are needed ({path}); {remedy}")]
pub struct Obstacle {
    /// The limit's name: `RLIMIT_NOFILE (soft)`.
    pub limit: String,
    /// Its value now.
    pub value: u64,
    /// The value it would have to have: what is in use and what is demanded. The remedy proposes more, because what is
    /// in use changes from moment to moment.
    pub needed: u64,
    /// Where it was read.
    pub path: String,
    /// The command that raises it, or what to do where none can.
    pub remedy: String,
}

/// One limit, and what a demand makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitCheck {
    /// The limit.
    pub limit: Limit,
    /// How much of it is demanded, on top of what is in use.
    pub demanded: u64,
    /// That it is not enough, and what raises it.
    pub obstacle: Option<Obstacle>,
}

/// The limits of this process at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    limits: Vec<Limit>,
    /// How many arenas the allocator makes at most.
    arenas: u64,
    /// What could not be read, and why. A limit that is not known is no obstacle.
    pub unread: Vec<UnreadFact>,
}

impl Demand {
    fn of(&self, resource: Resource, arenas: u64) -> u64 {
        match resource {
            Resource::Descriptors => self.descriptors,
            Resource::Files => self.files.max(self.descriptors),
            Resource::Connections => self.connections,
            Resource::Tasks => self.threads.saturating_add(self.processes),
            Resource::Maps => self.maps.saturating_add(self.thread_maps(arenas)),
            Resource::Bytes => self.bytes,
        }
    }

    fn thread_maps(&self, arenas: u64) -> u64 {
        let in_arenas = self.threads.min(arenas).saturating_mul(MAPS_PER_ARENA);
        self.threads.saturating_mul(MAPS_PER_THREAD).saturating_add(in_arenas)
    }
}

impl Limits {
    /// Reads the limits below `root`, and what is used of them. Reads the status of every process, to count this
    /// user's tasks, when `RLIMIT_NPROC` holds for this process.
    pub fn observe(root: &Root) -> Limits {
        let mut facts = FactReader::new(root);
        let process = Privileges::observe(&mut facts);
        let mut limits = descriptors(&mut facts, &process);
        limits.extend(tasks(&mut facts, &process));
        limits.extend(maps(&mut facts));
        // listen(2) cuts a longer backlog down to this without an error, and connections beyond it are dropped.
        limits.extend(sysctl(&mut facts, "net.core.somaxconn", Resource::Connections, 0));
        limits.extend(available_memory(&mut facts));
        for level in cgroup::observe(&mut facts) {
            limits.extend(group_limits(root, &level));
        }
        Limits { limits, arenas: arenas(&mut facts), unread: facts.into_unread() }
    }

    /// Every limit, those that are `unlimited` included: of the process, of the system, of its control groups
    /// from the innermost outwards.
    pub fn all(&self) -> Vec<Limit> {
        self.limits.clone()
    }

    /// The first limit, in the order of [`all`](Self::all), that `demand` would exceed.
    pub fn first_obstacle(&self, demand: Demand) -> Option<Obstacle> {
        self.limits.iter().find_map(|limit| self.obstacle(limit, demand.of(limit.resource, self.arenas)))
    }

    /// Every limit that `demand` would exceed, in the order of [`all`](Self::all).
    pub fn obstacles(&self, demand: Demand) -> Vec<Obstacle> {
        self.judge(demand).into_iter().filter_map(|judgement| judgement.obstacle).collect()
    }

    /// Every limit, in the order of [`all`](Self::all), with what `demand` makes of it.
    pub fn judge(&self, demand: Demand) -> Vec<LimitCheck> {
        let judge = |limit: &Limit| {
            let demanded = demand.of(limit.resource, self.arenas);
            LimitCheck { limit: limit.clone(), demanded, obstacle: self.obstacle(limit, demanded) }
        };
        self.limits.iter().map(judge).collect()
    }

    fn obstacle(&self, limit: &Limit, demanded: u64) -> Option<Obstacle> {
        let RlimitValue::At(value) = limit.value else {
            return None;
        };
        let needed = limit.in_use.saturating_add(demanded);
        (demanded > 0 && needed > value).then(|| Obstacle {
            limit: limit.name.clone(),
            value,
            needed,
            path: limit.path.clone(),
            remedy: self.remedy(limit, needed),
        })
    }

    fn remedy(&self, limit: &Limit, needed: u64) -> String {
        match limit.name.as_str() {
            NOFILE_SOFT => self.raise_nofile(needed),
            NPROC_SOFT => self.raise_nproc(needed),
            NOFILE_HARD => prlimit("nofile", self.up_to(NR_OPEN, needed)),
            NPROC_HARD => prlimit("nproc", with_room(needed)),
            "MemAvailable" => "ask for fewer tasks or smaller ones, or end what uses the memory".to_owned(),
            name if name.starts_with("cgroup ") => {
                format!("echo {} | sudo tee {}", with_room(needed), limit.path)
            }
            name => match largest(name) {
                Some(most) if needed > most => format!("ask for fewer: {most} is the most that a kernel allows"),
                most => format!("sudo sysctl -w {name}={}", with_room(needed).min(most.unwrap_or(u64::MAX))),
            },
        }
    }

    fn raise_nofile(&self, needed: u64) -> String {
        if self.allows(NOFILE_HARD, needed) {
            return format!("ulimit -n {}", self.up_to(NOFILE_HARD, needed));
        }
        let raise = prlimit("nofile", self.up_to(NR_OPEN, needed));
        match largest(NR_OPEN) {
            _ if self.allows(NR_OPEN, needed) => raise,
            Some(most) if needed > most => format!("ask for fewer: {most} is the most that a kernel allows"),
            most => {
                let value = with_room(needed).min(most.unwrap_or(u64::MAX));
                format!("sudo sysctl -w {NR_OPEN}={value} && {}", prlimit("nofile", value))
            }
        }
    }

    fn raise_nproc(&self, needed: u64) -> String {
        if self.allows(NPROC_HARD, needed) {
            format!("ulimit -u {}", self.up_to(NPROC_HARD, needed))
        } else {
            prlimit("nproc", with_room(needed))
        }
    }

    fn allows(&self, name: &str, needed: u64) -> bool {
        self.value(name).is_none_or(|value| value >= RlimitValue::At(needed))
    }

    /// With as much room as the limit called `name`, which has enough, leaves; without it as much as is proposed.
    fn up_to(&self, name: &str, needed: u64) -> u64 {
        match self.value(name) {
            Some(RlimitValue::At(most)) if most >= needed => with_room(needed).min(most),
            _ => with_room(needed),
        }
    }

    fn value(&self, name: &str) -> Option<RlimitValue> {
        self.limits.iter().find(|limit| limit.name == name).map(|limit| limit.value)
    }
}

/// What is proposed where so much is needed: a sixteenth and 64 more, because other processes open and start things too
/// until the command is tried again; in two digits where it is large.
pub fn with_room(needed: u64) -> u64 {
    let roomy = needed.saturating_add(needed / 16).saturating_add(64);
    let unit = 10_u64.pow(roomy.ilog10().saturating_sub(1));
    roomy.checked_next_multiple_of(unit).unwrap_or(u64::MAX)
}

fn prlimit(resource: &str, value: u64) -> String {
    format!("sudo prlimit --pid $$ --{resource}={value}:{value}")
}

fn largest(name: &str) -> Option<u64> {
    LARGEST.iter().find(|(known, _)| *known == name).map(|(_, most)| *most)
}

const NOFILE_SOFT: &str = "RLIMIT_NOFILE (soft)";
const NOFILE_HARD: &str = "RLIMIT_NOFILE (hard)";
const NPROC_SOFT: &str = "RLIMIT_NPROC (soft)";
const NPROC_HARD: &str = "RLIMIT_NPROC (hard)";
const NR_OPEN: &str = "fs.nr_open";
const RLIMITS_PATH: &str = "/proc/self/limits";

fn descriptors(facts: &mut FactReader<'_>, process: &Privileges) -> Vec<Limit> {
    let open = facts.names("open descriptors", "/proc/self/fd").len() as u64;
    let mut limits = Vec::new();
    if let Some(rlimit) = process.rlimits.get("RLIMIT_NOFILE") {
        limits.extend(both([NOFILE_SOFT, NOFILE_HARD], Resource::Descriptors, *rlimit, open));
    }
    limits.extend(sysctl(facts, NR_OPEN, Resource::Descriptors, open));
    // Allocated, unused (always 0 since 2.6), maximum: proc_sys_fs(5).
    let allocated = facts.parsed("open files of the system", "/proc/sys/fs/file-nr", "three numbers", |text| {
        text.split_whitespace().next()?.parse().ok()
    });
    limits.extend(sysctl(facts, "fs.file-max", Resource::Files, allocated.unwrap_or_default()));
    limits
}

fn tasks(facts: &mut FactReader<'_>, process: &Privileges) -> Vec<Limit> {
    let mut limits = Vec::new();
    if let Some(rlimit) = process.rlimits.get("RLIMIT_NPROC") {
        let exempt = Rlimit { soft: RlimitValue::Unlimited, hard: RlimitValue::Unlimited };
        let (rlimit, in_use) = if process.may_exceed_nproc() {
            (exempt, 0)
        } else {
            (*rlimit, process.user.map_or(0, |user| tasks_of(facts.root, user)))
        };
        limits.extend(both([NPROC_SOFT, NPROC_HARD], Resource::Tasks, rlimit, in_use));
    }
    let alive = facts.parsed("tasks alive", "/proc/loadavg", "a load average", moment::tasks);
    let alive = alive.map_or(0, |(_, alive)| alive);
    limits.extend(sysctl(facts, "kernel.pid_max", Resource::Tasks, alive.saturating_add(RESERVED_PIDS)));
    limits.extend(sysctl(facts, "kernel.threads-max", Resource::Tasks, alive));
    limits
}

fn maps(facts: &mut FactReader<'_>) -> Option<Limit> {
    let maps = facts.text("mappings in use", "/proc/self/maps").unwrap_or_default();
    sysctl(facts, "vm.max_map_count", Resource::Maps, maps.lines().count() as u64)
}

fn arenas(facts: &mut FactReader<'_>) -> u64 {
    let online = facts.parsed("online CPUs", "/sys/devices/system/cpu/online", "a CPU list", parse_cpu_list);
    online.map_or(0, |cpus| cpus.len() as u64 * ARENAS_PER_CPU)
}

fn available_memory(facts: &mut FactReader<'_>) -> Option<Limit> {
    const PATH: &str = "/proc/meminfo";
    let expected = "a line MemAvailable in kB";
    let bytes = facts.parsed("available memory", PATH, expected, |text| memory::bytes(text, "MemAvailable"))?;
    Some(Limit {
        name: "MemAvailable".to_owned(),
        resource: Resource::Bytes,
        value: RlimitValue::At(bytes),
        in_use: 0,
        path: PATH.to_owned(),
    })
}

fn group_limits(root: &Root, level: &CgroupLevel) -> impl Iterator<Item = Limit> {
    let limit = |resource, value: Option<RlimitValue>, in_use: Option<u64>, path: String| {
        let name = format!("cgroup {}", path.rsplit('/').next().unwrap_or_default());
        value.map(|value| Limit { name, resource, value, in_use: in_use.unwrap_or_default(), path })
    };
    let pids = limit(Resource::Tasks, level.pids_max, level.pids_current(root), level.pids_file());
    let bytes = limit(Resource::Bytes, level.memory_max, level.memory_current(root), level.memory_file());
    pids.into_iter().chain(bytes)
}

fn both(names: [&str; 2], resource: Resource, rlimit: Rlimit, in_use: u64) -> [Limit; 2] {
    let limit =
        |name: &str, value| Limit { name: name.to_owned(), resource, value, in_use, path: RLIMITS_PATH.to_owned() };
    [limit(names[0], rlimit.soft), limit(names[1], rlimit.hard)]
}

fn sysctl(facts: &mut FactReader<'_>, name: &str, resource: Resource, in_use: u64) -> Option<Limit> {
    let path = sysctl_path(name);
    let value = RlimitValue::At(facts.value(name, &path)?);
    Some(Limit { name: name.to_owned(), resource, value, in_use, path })
}

/// How many tasks this user has, which is what `RLIMIT_NPROC` counts. A process that ends meanwhile is not counted.
fn tasks_of(root: &Root, user: u32) -> u64 {
    let processes = root.names("/proc").unwrap_or_default();
    let numbered = processes.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let threads = |name: &String| {
        let status = root.text(&format!("/proc/{name}/status")).ok()?;
        (privileges::real_user(&status)? == user).then(|| super::field(&status, "Threads")?.parse().ok())?
    };
    numbered.filter_map(threads).fold(0_u64, u64::saturating_add)
}
