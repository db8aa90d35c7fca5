//! What benchmarks need of the machine's limits, computed from their descriptors.

use crate::crew::Failure;
use crate::host::Root;
use crate::host::limits::{Demand, Limits, Obstacle};
use crate::mechanism::{Descriptor, Mechanism, Resources};
use crate::terms::{Domain, Parameter, Parameters, Unsupported, Value};

use super::Benchmark;
use super::benchmark::has_counted_instance;

/// How many instances measuring holds at once: a bare one, and a counted one where there is something to count.
pub fn instances(mechanism: &dyn Mechanism) -> u64 {
    if has_counted_instance(mechanism) { 2 } else { 1 }
}

/// A sweep counts nothing, and holds one.
pub const INSTANCES_OF_A_SWEEP: u64 = 1;

/// Rounds and sweeps measure in a process of their own, whose main thread only waits.
const MAIN_THREAD: u64 = 1;

/// The names under which mechanisms have a number of tasks.
const COUNTS: [&str; 2] = ["tasks", "alive"];

/// Resident memory of a thread that has touched the first page of its stack, with its kernel stack and page tables:
/// 29 KiB were measured on Linux 6.18 with 180,000 of them.
const BYTES_PER_THREAD: u64 = 32 * 1024;

/// A forked task besides: its page tables and the pages that it writes to.
const BYTES_PER_PROCESS: u64 = 256 * 1024;

/// A channel has two descriptors, 2 KiB of the kernel's objects, and the page that its first byte was in.
const BYTES_PER_DESCRIPTOR: u64 = 3 * 1024;

/// A runtime's task with its channel; 1.3 KiB were measured with tokio's.
const BYTES_PER_TASK: u64 = 2 * 1024;

/// The parameter that says how many tasks there are.
pub fn count_of(descriptor: &Descriptor) -> Option<&'static Parameter> {
    COUNTS.iter().find_map(|name| descriptor.parameter(name))
}

/// What `instances` of a benchmark take together whose tasks may use so many CPUs.
pub fn demand(mechanism: &dyn Mechanism, parameters: &Parameters, cpus: usize, instances: u64) -> Demand {
    let descriptor = mechanism.descriptor();
    let one = (descriptor.resources)(parameters);
    let of_cpus = mechanism.threads_per_cpu(parameters).saturating_mul(cpus as u64);
    let one = Resources { threads: one.threads.saturating_add(of_cpus), ..one };
    let number = |name: &str| descriptor.parameter(name).map_or(0, |parameter| parameters.number(parameter.name));
    let tasks = count_of(descriptor).map_or(0, |parameter| parameters.number(parameter.name));
    let files = mechanism.files(parameters).max(one.descriptors);
    let of_tasks = tasks.saturating_mul(BYTES_PER_TASK.saturating_add(number("touch")));
    let bytes = [
        (one.threads.saturating_add(one.processes), BYTES_PER_THREAD),
        (one.processes, BYTES_PER_PROCESS),
        (files, BYTES_PER_DESCRIPTOR),
    ];
    let of_tasks = of_tasks.saturating_add(number("resident"));
    let bytes = bytes.into_iter().map(|(many, each)| many.saturating_mul(each)).fold(of_tasks, u64::saturating_add);
    let all = |of_one: u64| of_one.saturating_mul(instances);
    Demand {
        descriptors: all(one.descriptors),
        files: all(files),
        connections: 0,
        threads: all(one.threads).saturating_add(MAIN_THREAD),
        processes: all(one.processes),
        maps: all(number("maps")),
        bytes: all(bytes),
    }
}

/// The most tasks that fit, with everything else as in `parameters`; nothing when not even the least do, or when the
/// mechanism has no number of tasks.
pub fn most_tasks(
    mechanism: &dyn Mechanism,
    parameters: &Parameters,
    cpus: usize,
    limits: &Limits,
    instances: u64,
) -> Option<u64> {
    let parameter = count_of(mechanism.descriptor())?;
    let Domain::Number { min, max, .. } = parameter.domain else { return None };
    let fits = |tasks: u64| {
        let parameters = parameters.clone().with(parameter, Value::Number(tasks));
        limits.first_obstacle(demand(mechanism, &parameters, cpus, instances)).is_none()
    };
    if !fits(min) {
        return None;
    }
    let (mut most, mut beyond) = (min, max + 1);
    while beyond - most > 1 {
        let middle = most + (beyond - most) / 2;
        if fits(middle) { most = middle } else { beyond = middle }
    }
    Some(most)
}

/// Limits that are in the way, in a line: what each is, where it was read, and what raises it.
pub(super) fn describe(obstacles: &[Obstacle]) -> String {
    let text = |o: &Obstacle| {
        let Obstacle { limit, value, needed, path, remedy } = o;
        format!("{limit} is {value} (read from {path}) and {needed} are needed; raise it: {remedy}")
    };
    obstacles.iter().map(text).collect::<Vec<_>>().join(". ")
}

/// The command that shows every limit that such a benchmark meets.
pub(super) fn limits_command(descriptor: &Descriptor, parameters: &Parameters, instances: u64) -> Option<String> {
    let tasks = parameters.number(count_of(descriptor)?.name);
    let sweep = if instances == INSTANCES_OF_A_SWEEP { " --sweep" } else { "" };
    Some(format!("switchcost limits --tasks {tasks} --mechanism {}{sweep}", descriptor.id))
}

/// A benchmark that is known not to fit.
pub(super) fn too_large(mechanism: &dyn Mechanism, parameters: &Parameters, obstacles: &[Obstacle]) -> Unsupported {
    let values = obstacles.iter().map(|o| format!("{} is {} and {} are needed", o.limit, o.value, o.needed));
    Unsupported::new(required(mechanism.descriptor(), parameters), list(values), remedies(obstacles))
}

/// What a limit that was met half way comes to: how far it went, which limits would have predicted it now that all is
/// cleaned up, and what raises them. Nothing for other failures.
pub(super) fn limit_reached(benchmark: &Benchmark, instances: u64, failure: &Failure) -> Option<Unsupported> {
    let Failure::Exhausted { what, reached, error } = failure else { return None };
    let (mechanism, parameters) = (benchmark.mechanism, &benchmark.setting.parameters);
    let limits = Limits::observe(&Root::default());
    let cpus = benchmark.setting.cpus.len();
    let obstacles = limits.obstacles(demand(mechanism, parameters, cpus, instances));
    let reached = format!("{reached} {what} reached, and then {error}");
    let needed = required(mechanism.descriptor(), parameters);
    if obstacles.is_empty() {
        let shown = limits_command(mechanism.descriptor(), parameters, instances);
        let remedy = shown.map_or_else(|| "end what else runs".into(), |command| format!("{command} shows them"));
        return Some(Unsupported::new(needed, format!("{reached}; every limit that can be read has room"), remedy));
    }
    let values = obstacles.iter().map(|o| format!("{} is {}", o.limit, o.value));
    Some(Unsupported::new(needed, format!("{reached}: {}", list(values)), remedies(&obstacles)))
}

fn required(descriptor: &Descriptor, parameters: &Parameters) -> String {
    match count_of(descriptor) {
        Some(parameter) => format!("{} tasks at once", parameters.number(parameter.name)),
        None => "more than the limits hold".into(),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// Each command once: the soft and the hard limit are raised by the same.
fn remedies(obstacles: &[Obstacle]) -> String {
    let mut remedies: Vec<&str> = Vec::new();
    for obstacle in obstacles {
        if !remedies.contains(&obstacle.remedy.as_str()) {
            remedies.push(&obstacle.remedy);
        }
    }
    format!("raise it with: {}", remedies.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::find;
    use crate::sys::SysError;
    use crate::sys::affinity::allowed_cpus;
    use crate::terms::{Placement, Setting};
    use nix::errno::Errno;

    fn limits() -> Limits {
        let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host/vm-2cpu");
        Limits::observe(&Root::at(fixture))
    }

    fn most(id: &str, instances: u64) -> Option<u64> {
        let mechanism = find(id).unwrap();
        most_tasks(mechanism, &mechanism.descriptor().defaults(), 1, &limits(), instances)
    }

    #[test]
    fn the_most_that_fit_is_where_one_more_does_not() {
        let mechanism = find("brigade/one_thread").unwrap();
        let most = most("brigade/one_thread", 1).unwrap();
        // 1024 descriptors, of which three are open.
        assert!((400..512).contains(&most), "{most}");
        let parameter = count_of(mechanism.descriptor()).unwrap();
        let at = |tasks| {
            let parameters = mechanism.descriptor().defaults().with(parameter, Value::Number(tasks));
            limits().obstacles(demand(mechanism, &parameters, 1, 1)).len()
        };
        assert_eq!(at(most), 0);
        assert!(at(most + 1) > 0);
    }

    #[test]
    fn two_instances_fit_half_as_often_and_memory_bounds_tasks_without_descriptors() {
        assert!(most("brigade/one_thread", 2) < most("brigade/one_thread", 1));
        // 500,000 KiB are available.
        let tasks = most("brigade/tokio_mpsc", 1).unwrap();
        assert!((200_000..250_000).contains(&tasks), "{tasks}");
        assert_eq!(most("handoff/futex", 1), None);
    }

    /// The CPUs of the setting, and not those of this process: `--cpus` may name others.
    #[test]
    fn threads_for_each_cpu_follow_the_cpus_that_were_chosen() {
        let threads = |id: &str, set: Option<(&str, Value)>, cpus| {
            let mechanism = find(id).unwrap();
            let defaults = mechanism.descriptor().defaults();
            let parameters = match set {
                Some((name, value)) => defaults.with(mechanism.descriptor().parameter(name).unwrap(), value),
                None => defaults,
            };
            demand(mechanism, &parameters, cpus, 1).threads - MAIN_THREAD
        };
        let busy = || Some(("load", Value::Word("busy".into())));
        for (id, set, one, more) in [
            ("wakeup/timer_timerfd", busy(), 2, 1),
            ("wakeup/request", busy(), 3, 1),
            ("fairness/thread_pool", None, 3, 2),
            ("fairness/event_loop_spawn_blocking", None, 4, 2),
            ("creation/thread_pool", None, 2, 1),
            ("creation/rayon_scope", None, 2, 1),
            ("file/pool", Some(("workers", Value::Number(0))), 2, 1),
            ("file/pool", Some(("workers", Value::Number(4))), 5, 0),
            ("wakeup/timer_timerfd", None, 1, 0),
        ] {
            let at = |cpus| threads(id, set.clone(), cpus);
            assert_eq!((at(1), at(300)), (one, one + 299 * more), "{id}");
        }
    }

    #[test]
    fn memory_and_mappings_that_a_process_is_given_to_copy_are_demanded_for_both_instances() {
        let fork = find("creation/fork").unwrap();
        let with = |name: &str, number| {
            let parameter = fork.descriptor().parameter(name).unwrap();
            demand(fork, &fork.descriptor().defaults().with(parameter, Value::Number(number)), 1, instances(fork))
        };
        assert_eq!((with("maps", 70_000).maps, with("maps", 0).maps), (140_000, 0));
        assert_eq!(with("resident", 1 << 40).bytes - with("resident", 0).bytes, 2 << 40);
    }

    #[test]
    fn what_has_no_counters_of_its_own_needs_no_second_instance() {
        let of = |id: &str| instances(find(id).unwrap());
        assert_eq!((of("brigade/thread"), of("server/epoll"), of("brigade/may"), of("footprint/thread")), (2, 1, 1, 1));
    }

    #[test]
    fn a_limit_met_half_way_tells_how_far_it_went() {
        let mechanism = find("brigade/thread").unwrap();
        let parameter = count_of(mechanism.descriptor()).unwrap();
        let parameters = mechanism.descriptor().defaults().with(parameter, Value::Number(10_000_000));
        let setting = Setting::new(Placement::Unpinned, allowed_cpus().unwrap(), parameters);
        let benchmark = Benchmark { mechanism, setting };
        let failure = Failure::of_one_more("threads", 32_411, SysError::new("clone3", Errno::EAGAIN));
        let message = limit_reached(&benchmark, 1, &failure).unwrap().to_string();
        assert!(
            message.starts_with("needs 10000000 tasks at once; here: 32411 threads reached, and then clone3: "),
            "{message}"
        );
        assert!(message.contains("kernel.pid_max is ") && message.contains("raise it with: "), "{message}");
        assert_eq!(limit_reached(&benchmark, 1, &Failure::Corrupted("x".into())), None);
    }
}
