use std::fs;
use std::sync::{Arc, Barrier};

use super::{FIXTURES, descriptors, directory, host, root, threads};
use crate::host::Root;
use crate::host::limits::{Demand, Limit, Limits, MAPS_PER_ARENA, MAPS_PER_THREAD, Resource, with_room};
use crate::sys::thread::{LEAST_STACK, Pthread};
use crate::terms::host::RlimitValue;

/// Limit, value, needed, path and remedy of the first obstacle.
fn obstacle(name: &str, demand: Demand) -> Option<(String, u64, u64, String, String)> {
    let found = Limits::observe(&root(name)).first_obstacle(demand)?;
    Some((found.limit, found.value, found.needed, found.path, found.remedy))
}

fn expected(
    limit: &str,
    value: u64,
    needed: u64,
    path: &str,
    remedy: &str,
) -> Option<(String, u64, u64, String, String)> {
    Some((limit.into(), value, needed, path.into(), remedy.into()))
}

#[test]
fn descriptors_are_raised_as_far_as_each_limit_allows() {
    let soft =
        |value, needed, remedy: &str| expected("RLIMIT_NOFILE (soft)", value, needed, "/proc/self/limits", remedy);
    assert_eq!(obstacle("vm-2cpu", descriptors(1021)), None, "3 are open");
    assert_eq!(obstacle("vm-2cpu", descriptors(1022)), soft(1024, 1025, "ulimit -n 1200"));
    let raise = "sudo prlimit --pid $$ --nofile=5400:5400";
    assert_eq!(obstacle("vm-2cpu", descriptors(5000)), soft(1024, 5003, raise));
    let both = "sudo sysctl -w fs.nr_open=2200000 && sudo prlimit --pid $$ --nofile=2200000:2200000";
    assert_eq!(obstacle("vm-2cpu", descriptors(2_000_000)), soft(1024, 2_000_003, both));
}

#[test]
fn files_of_all_tables_and_waiting_connections_have_limits_of_their_own() {
    let limits = Limits::observe(&root("vm-2cpu"));
    let names = |demand| -> Vec<String> { limits.obstacles(demand).into_iter().map(|found| found.limit).collect() };
    assert_eq!(names(Demand { connections: 4096, ..Demand::default() }), [""; 0]);
    assert_eq!(names(Demand { connections: 4097, ..Demand::default() }), ["net.core.somaxconn"]);
    let spread = Demand { descriptors: 500, files: u64::MAX, ..Demand::default() };
    assert_eq!(names(spread), ["fs.file-max"], "no table holds them all");
    let all = Demand { descriptors: u64::MAX, threads: u64::MAX, ..Demand::default() };
    assert!(names(all).len() > 5, "all that are in the way are named: {:?}", names(all));
}

#[test]
fn the_users_tasks_count_against_nproc_unless_the_user_is_root() {
    let nproc = |needed, remedy: &str| expected("RLIMIT_NPROC (soft)", 100, needed, "/proc/self/limits", remedy);
    assert_eq!(obstacle("vm-2cpu", threads(20)), None, "80 of this user's are alive");
    assert_eq!(obstacle("vm-2cpu", threads(21)), nproc(101, "ulimit -u 180"), "as far as the hard limit goes");
    assert_eq!(obstacle("vm-2cpu", threads(121)), nproc(201, "sudo prlimit --pid $$ --nproc=280:280"));
    let root = Limits::observe(&root("amd-two-ccx"));
    let limit = root.all().into_iter().find(|limit| limit.name == "RLIMIT_NPROC (soft)").unwrap();
    assert_eq!(limit.value.to_string(), "unlimited");
}

#[test]
fn version_1_groups_bind_too() {
    let path = "/sys/fs/cgroup/pids/user.slice/pids.max";
    let remedy = format!("echo 3300 | sudo tee {path}");
    assert_eq!(obstacle("arm64-vm-nocache", threads(2901)), expected("cgroup pids.max", 3000, 3001, path, &remedy));
    let host = host("arm64-vm-nocache");
    let top = host.cgroups.iter().find(|level| level.path == "/sys/fs/cgroup/memory").unwrap();
    assert_eq!(top.memory_max, Some(RlimitValue::Unlimited));
    assert!(host.cgroups.iter().all(|level| !level.path.contains("freezer")));
}

#[test]
fn pid_numbers_mappings_and_memory_run_out_as_well() {
    let path = "/proc/sys/kernel/pid_max";
    let processes = Demand { processes: 3702, ..Demand::default() };
    let pids = expected("kernel.pid_max", 4096, 4097, path, "sudo sysctl -w kernel.pid_max=4500");
    assert_eq!(obstacle("arm64-vm-nocache", processes), pids, "95 alive and 300 reserved");
    let maps = Demand { maps: 65_510, ..Demand::default() };
    let path = "/proc/sys/vm/max_map_count";
    let remedy = "sudo sysctl -w vm.max_map_count=70000";
    assert_eq!(obstacle("vm-2cpu", maps), expected("vm.max_map_count", 65_530, 65_531, path, remedy));
    let needed = 21 + 40_000 * MAPS_PER_THREAD + 8 * 8 * MAPS_PER_ARENA;
    let remedy = format!("sudo sysctl -w vm.max_map_count={}", with_room(needed));
    let stacks = obstacle("intel-2socket-smt", threads(40_000));
    assert_eq!(stacks, expected("vm.max_map_count", 65_530, needed, path, &remedy), "eight CPUs, eight arenas each");
    let bytes = Demand { bytes: 1 << 40, ..Demand::default() };
    let found = Limits::observe(&root("vm-2cpu")).first_obstacle(bytes).unwrap();
    assert_eq!((found.limit.as_str(), found.value), ("MemAvailable", 500_000 * 1024));
}

#[test]
fn a_thread_takes_no_more_mappings_than_is_planned_for() {
    const THREADS: usize = 200;
    let mapped = || fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    let gates = || Arc::new(Barrier::new(THREADS + 1));
    let (ready, done) = (gates(), gates());
    let before = mapped();
    let start = |_| {
        let (ready, done) = (Arc::clone(&ready), Arc::clone(&done));
        let body = move || {
            ready.wait();
            done.wait();
        };
        // No body allocates, so that none gets an arena.
        Pthread::start(2 * LEAST_STACK, body).unwrap()
    };
    let threads: Vec<Pthread> = (0..THREADS).map(start).collect();
    ready.wait();
    let taken = mapped().saturating_sub(before);
    done.wait();
    threads.into_iter().for_each(Pthread::join);
    // Other tests run beside this one and map a little too, or give some back.
    let planned = THREADS * MAPS_PER_THREAD as usize;
    assert!((planned / 2..=planned + 50).contains(&taken), "{taken} for {THREADS}");
}

#[test]
fn an_outer_group_binds_before_an_inner_one_that_has_room() {
    assert_eq!(obstacle("amd-two-ccx", threads(10)), None);
    let outer = "/sys/fs/cgroup/ci/pids.max";
    let remedy = format!("echo 2200 | sudo tee {outer}");
    assert_eq!(obstacle("amd-two-ccx", threads(11)), expected("cgroup pids.max", 2000, 2001, outer, &remedy));
    let memory = Demand { bytes: 4 << 30, ..Demand::default() };
    let middle = "/sys/fs/cgroup/ci/job/memory.max";
    let needed = (4 << 30) + 1_073_741_824;
    let remedy = format!("echo {} | sudo tee {middle}", with_room(needed));
    assert_eq!(obstacle("amd-two-ccx", memory), expected("cgroup memory.max", 4 << 30, needed, middle, &remedy));
}

#[test]
fn asking_for_nothing_or_for_everything_is_answered() {
    for name in FIXTURES {
        let limits = Limits::observe(&root(name));
        assert_eq!(limits.first_obstacle(Demand::default()), None);
        let most = u64::MAX;
        let all = Demand {
            descriptors: most,
            files: most,
            connections: most,
            threads: most,
            processes: most,
            maps: most,
            bytes: most,
        };
        assert!(limits.first_obstacle(all).is_some());
    }
}

/// Every limit by its name, the resource that it bounds, and what of a demand takes that resource.
struct Row {
    name: &'static str,
    resource: Resource,
    /// The fixture, and the most that still fits there.
    fixture: &'static str,
    most: u64,
    path: &'static str,
    /// The command, `N` for the value that would have room.
    remedy: &'static str,
    demand: fn(u64) -> Demand,
}

const MEMORY: &str = "ask for fewer tasks or smaller ones, or end what uses the memory";

/// One row for each limit that there is; of control groups one for each file of each version.
fn rows() -> Vec<Row> {
    use Resource::{Bytes, Connections, Descriptors, Files, Maps, Tasks};
    let row = |name, resource, fixture, most, path, remedy, demand| Row {
        name,
        resource,
        fixture,
        most,
        path,
        remedy,
        demand,
    };
    let fd: fn(u64) -> Demand = descriptors;
    let files: fn(u64) -> Demand = |files| Demand { files, ..Demand::default() };
    let connections: fn(u64) -> Demand = |connections| Demand { connections, ..Demand::default() };
    let task: fn(u64) -> Demand = |processes| Demand { processes, ..Demand::default() };
    let maps: fn(u64) -> Demand = |maps| Demand { maps, ..Demand::default() };
    let bytes: fn(u64) -> Demand = |bytes| Demand { bytes, ..Demand::default() };
    let rlimits = "/proc/self/limits";
    vec![
        row("RLIMIT_NOFILE (soft)", Descriptors, "vm-2cpu", 1021, rlimits, "ulimit -n N", fd),
        row("RLIMIT_NOFILE (hard)", Descriptors, "vm-2cpu", 4093, rlimits, "sudo prlimit --pid $$ --nofile=N:N", fd),
        row("fs.nr_open", Descriptors, "vm-2cpu", 1_048_573, "/proc/sys/fs/nr_open", "sudo sysctl -w fs.nr_open=N", fd),
        row(
            "fs.file-max",
            Files,
            "vm-2cpu",
            9_223_372_036_854_774_607,
            "/proc/sys/fs/file-max",
            "ask for fewer: 9223372036854775807 is the most that a kernel allows",
            files,
        ),
        row("RLIMIT_NPROC (soft)", Tasks, "vm-2cpu", 20, rlimits, "ulimit -u N", task),
        row("RLIMIT_NPROC (hard)", Tasks, "vm-2cpu", 120, rlimits, "sudo prlimit --pid $$ --nproc=N:N", task),
        row(
            "kernel.threads-max",
            Tasks,
            "vm-2cpu",
            31_090,
            "/proc/sys/kernel/threads-max",
            "sudo sysctl -w kernel.threads-max=N",
            task,
        ),
        row(
            "kernel.pid_max",
            Tasks,
            "arm64-vm-nocache",
            3701,
            "/proc/sys/kernel/pid_max",
            "sudo sysctl -w kernel.pid_max=N",
            task,
        ),
        row(
            "vm.max_map_count",
            Maps,
            "vm-2cpu",
            65_509,
            "/proc/sys/vm/max_map_count",
            "sudo sysctl -w vm.max_map_count=N",
            maps,
        ),
        row(
            "net.core.somaxconn",
            Connections,
            "vm-2cpu",
            4096,
            "/proc/sys/net/core/somaxconn",
            "sudo sysctl -w net.core.somaxconn=N",
            connections,
        ),
        row("MemAvailable", Bytes, "vm-2cpu", 512_000_000, "/proc/meminfo", MEMORY, bytes),
        row(
            "cgroup pids.max",
            Tasks,
            "amd-two-ccx",
            10,
            "/sys/fs/cgroup/ci/pids.max",
            "echo N | sudo tee /sys/fs/cgroup/ci/pids.max",
            task,
        ),
        row(
            "cgroup memory.max",
            Bytes,
            "amd-two-ccx",
            3 << 30,
            "/sys/fs/cgroup/ci/job/memory.max",
            "echo N | sudo tee /sys/fs/cgroup/ci/job/memory.max",
            bytes,
        ),
        row(
            "cgroup memory.limit_in_bytes",
            Bytes,
            "arm64-vm-nocache",
            436_870_912,
            "/sys/fs/cgroup/memory/user.slice/app/memory.limit_in_bytes",
            "echo N | sudo tee /sys/fs/cgroup/memory/user.slice/app/memory.limit_in_bytes",
            bytes,
        ),
    ]
}

/// The limits of a fixture, those of one name in one place.
fn of_row(row: &Row, limits: &Limits) -> Limit {
    let found = limits.all().into_iter().find(|limit| limit.name == row.name && limit.path == row.path);
    found.unwrap_or_else(|| panic!("{} has no {} at {}", row.fixture, row.name, row.path))
}

#[test]
fn a_demand_beyond_a_limit_names_that_very_one() {
    for row in rows() {
        let limits = Limits::observe(&root(row.fixture));
        let judged = |demand: u64| {
            let judgements = limits.judge((row.demand)(demand));
            let found = judgements.into_iter().find(|one| one.limit.name == row.name && one.limit.path == row.path);
            found.unwrap_or_else(|| panic!("{} has no {} at {}", row.fixture, row.name, row.path))
        };
        let limit = of_row(&row, &limits);
        assert_eq!(limit.resource, row.resource, "{}", row.name);
        let RlimitValue::At(value) = limit.value else { panic!("{} is unlimited in {}", row.name, row.fixture) };
        // What is free by the limit's own value and what is in use is what a demand may take.
        assert_eq!(value - limit.in_use, row.most, "{}: {value} less {}", row.name, limit.in_use);
        assert_eq!(judged(row.most).obstacle, None, "{}", row.name);
        let obstacle = judged(row.most + 1).obstacle.unwrap_or_else(|| panic!("{} is no obstacle", row.name));
        assert_eq!((obstacle.limit.as_str(), obstacle.path.as_str()), (row.name, row.path));
        assert_eq!((obstacle.value, obstacle.needed), (value, value + 1), "{}", row.name);
        assert_eq!(obstacle.remedy, row.remedy.replace('N', &with_room(value + 1).to_string()), "{}", row.name);
        // The file that it names holds the value that it tells: the path is no other limit's.
        let text = fs::read_to_string(directory(row.fixture).join(row.path.trim_start_matches('/'))).unwrap();
        let shown = if row.resource == Resource::Bytes && row.name == "MemAvailable" { value / 1024 } else { value };
        assert!(
            text.split_whitespace().any(|word| word == shown.to_string()),
            "{}: {shown} is not in {text}",
            row.path
        );
    }
}

#[test]
fn what_is_proposed_has_room_and_is_what_a_kernel_takes() {
    assert_eq!([1, 101, 4097, 2_000_003].map(with_room), [65, 180, 4500, 2_200_000]);
    assert_eq!(with_room(u64::MAX), u64::MAX);
    let first = |demand| Limits::observe(&root("vm-2cpu")).obstacles(demand);
    let remedies = |demand| -> Vec<String> { first(demand).into_iter().map(|found| found.remedy).collect() };
    let maps = |maps| remedies(Demand { maps, ..Demand::default() });
    assert_eq!(maps(2_147_000_000), ["sudo sysctl -w vm.max_map_count=2147483647"], "no more than an int holds");
    assert_eq!(maps(2_147_483_647), ["ask for fewer: 2147483647 is the most that a kernel allows"]);
    let most = "ask for fewer: 2147483584 is the most that a kernel allows";
    assert!(remedies(descriptors(1 << 32)).iter().any(|remedy| remedy == most), "{:?}", remedies(descriptors(1 << 32)));
    // The hard limit is 4096, and higher only for root.
    assert!(remedies(descriptors(4090)).contains(&"ulimit -n 4096".to_string()), "{:?}", remedies(descriptors(4090)));
}

#[test]
fn every_limit_there_is_has_a_row() {
    let rows = rows();
    for name in FIXTURES {
        for limit in Limits::observe(&root(name)).all() {
            let known = rows.iter().any(|row| row.name == limit.name && row.resource == limit.resource);
            assert!(known, "{} ({:?}, {}) of {name} has no row", limit.name, limit.resource, limit.path);
        }
    }
    let here: Vec<_> = Limits::observe(&Root::default())
        .all()
        .into_iter()
        .filter(|limit| rows.iter().all(|row| row.name != limit.name))
        .collect();
    assert!(here.is_empty(), "this machine's limits without a row: {here:?}");
}
