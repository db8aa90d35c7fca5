//! What the kernel says a process has used: getrusage(2). Needs no privilege and costs the measured tasks nothing.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use super::SysError;
use crate::terms::ResourceUsage;
use crate::units::Nanos;

/// Use so far by all threads but the calling one, and by the children that were waited for: the tasks of the
/// instances this process holds, without the thread that asks them for batches.
///
/// # Errors
/// getrusage(2) fails only for arguments it does not know.
pub fn of_other_threads() -> Result<ResourceUsage, SysError> {
    // The calling thread last: what it used in between is then taken off and not left in.
    let all = of(UsageWho::RUSAGE_SELF)?.plus(of(UsageWho::RUSAGE_CHILDREN)?);
    Ok(all.since(of(UsageWho::RUSAGE_THREAD)?))
}

/// Use so far by the process `child`, which has one thread and was not waited for yet: until then no getrusage(2)
/// counts it.
///
/// # Errors
/// When it is gone, or /proc is not mounted.
pub fn of_process(child: Pid) -> Result<ResourceUsage, SysError> {
    let read = |file: &str| {
        let path = format!("/proc/{child}/{file}");
        std::fs::read_to_string(&path).map_err(|error| SysError::from_io(format!("read {path}"), &error))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    // The clock is exact; proc_pid_stat(5) counts in ticks of 10 ms and only shares it out.
    Ok(parse(&stat, &status, cpu_of_process(child)?.0))
}

/// CPU time so far of all threads of the process `child`, which was not waited for yet.
///
/// # Errors
/// When it is gone.
pub fn cpu_of_process(child: Pid) -> Result<Nanos, SysError> {
    let cpu = clock_getcpuclockid(child).and_then(|clock| clock.now());
    let cpu = cpu.map_err(|errno| SysError::new("clock_gettime of a process", errno))?;
    Ok(Nanos(u64::try_from(cpu.num_nanoseconds()).unwrap_or(0)))
}

/// CPU time so far of the calling thread.
///
/// # Errors
/// None on Linux.
pub fn thread_cpu() -> Result<Nanos, SysError> {
    let cpu = ClockId::CLOCK_THREAD_CPUTIME_ID.now();
    let cpu = cpu.map_err(|errno| SysError::new("clock_gettime of a thread", errno))?;
    Ok(Nanos(u64::try_from(cpu.num_nanoseconds()).unwrap_or(0)))
}

fn parse(stat: &str, status: &str, cpu: u64) -> ResourceUsage {
    // Behind the name, which may hold anything, the fields begin with the third.
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let line = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    let (user_ticks, system_ticks) = (field(14), field(15));
    // Without a tick of either it has mostly been in system calls, as tasks that wait for each other are.
    let user = match user_ticks + system_ticks {
        0 => 0,
        ticks => (u128::from(cpu) * u128::from(user_ticks) / u128::from(ticks)) as u64,
    };
    ResourceUsage {
        user: Nanos(user),
        system: Nanos(cpu - user),
        voluntary: line("voluntary_ctxt_switches:"),
        involuntary: line("nonvoluntary_ctxt_switches:"),
        minor_faults: field(10),
        major_faults: field(12),
    }
}

/// Use so far by this process, all its threads and the children that were waited for.
///
/// # Errors
/// As [`of_other_threads`].
pub fn of_this_process() -> Result<ResourceUsage, SysError> {
    Ok(of(UsageWho::RUSAGE_SELF)?.plus(of(UsageWho::RUSAGE_CHILDREN)?))
}

fn of(who: UsageWho) -> Result<ResourceUsage, SysError> {
    let usage = getrusage(who).map_err(|errno| SysError::new("getrusage", errno))?;
    let count = |value: libc::c_long| u64::try_from(value).unwrap_or(0);
    Ok(ResourceUsage {
        user: Nanos(count(usage.user_time().num_nanoseconds())),
        system: Nanos(count(usage.system_time().num_nanoseconds())),
        voluntary: count(usage.voluntary_context_switches()),
        involuntary: count(usage.involuntary_context_switches()),
        minor_faults: count(usage.minor_page_faults()),
        major_faults: count(usage.major_page_faults()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 101 0 3 0 30 10 0 0 20 0 1 0 5";
        let status = "Name:\ta) b\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t4\n";
        let usage = parse(stat, status, 800);
        let expected = ResourceUsage {
            user: Nanos(600),
            system: Nanos(200),
            voluntary: 12,
            involuntary: 4,
            minor_faults: 101,
            major_faults: 3,
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn this_process_has_used_something() {
        assert!(of_process(Pid::this()).unwrap().cpu() > Nanos(0));
    }
}
