//! Which CPUs a thread may use, and moving it there: sched_setaffinity(2), read back and verified.

use core_affinity::CoreId;
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::SysError;
use crate::units::{CpuId, cpu_list};

/// Why a thread could not be confined to CPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AffinityError {
    /// The kernel refused.
    #[error(transparent)]
    Refused(#[from] SysError),
    /// The kernel accepted and the mask is another one all the same; a cpuset can do that (cpuset(7)).
    #[error("asked to run on CPUs {asked}, the kernel gave {got}")]
    Differs {
        /// The mask asked for, as a CPU list.
        asked: String,
        /// The mask read back, as a CPU list.
        got: String,
    },
}

/// The CPUs the calling thread may run on, in rising order.
///
/// This is the current mask, which a cpuset, a container or `taskset` may have narrowed, and not the machine's CPUs.
///
/// # Errors
/// When sched_getaffinity(2) fails (a machine of more than 1024 CPUs: `EINVAL`).
pub fn allowed_cpus() -> Result<Vec<CpuId>, SysError> {
    let set = sched_getaffinity(Pid::from_raw(0)).map_err(|errno| SysError::new("sched_getaffinity", errno))?;
    Ok((0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).map(CpuId).collect())
}

/// Those of `cpus` that the kernel grants this process, in rising order, whether its mask holds them now or not: a mask
/// may be widened to CPUs that `taskset` or `isolcpus` left out, and ends at those that are online and in the process's
/// cpuset (cpuset(7)). It is tried on a thread of its own, so that no other mask changes.
///
/// # Errors
/// `EAGAIN` when there can be no further thread.
pub fn granted_cpus(cpus: &[CpuId]) -> Result<Vec<CpuId>, SysError> {
    let nameable: Vec<CpuId> = cpus.iter().copied().filter(|cpu| cpu.0 < CpuSet::count()).collect();
    let asked = mask(&nameable)?;
    let widen = move || match sched_setaffinity(Pid::from_raw(0), &asked) {
        Ok(()) => allowed_cpus(),
        // None of them can be used.
        Err(Errno::EINVAL) => Ok(Vec::new()),
        Err(errno) => Err(SysError::new("sched_setaffinity", errno)),
    };
    let thread = std::thread::Builder::new().name("granted-cpus".into()).spawn(widen);
    let thread = thread.map_err(|error| SysError::new("clone", Errno::from_raw(error.raw_os_error().unwrap_or(0))))?;
    thread.join().expect("two system calls do not panic")
}

/// Confines the calling thread, and the threads and processes it creates from now on, to `cpus`, and reads the mask
/// back.
///
/// # Errors
/// When the kernel refuses (`EINVAL`: none of `cpus` is allowed here) or the mask read back differs.
pub fn confine_current_thread(cpus: &[CpuId]) -> Result<(), AffinityError> {
    match cpus {
        // core_affinity reports failure as a bare `false`; the verification below turns that into a reason.
        [only] => {
            core_affinity::set_for_current(CoreId { id: only.0 });
        }
        several => {
            sched_setaffinity(Pid::from_raw(0), &mask(several)?)
                .map_err(|errno| SysError::new(format!("sched_setaffinity {}", cpu_list(several)), errno))?;
        }
    }
    let got = cpu_list(&allowed_cpus()?);
    let asked = cpu_list(cpus);
    if got == asked { Ok(()) } else { Err(AffinityError::Differs { asked, got }) }
}

/// Confines another thread of this process, such as one that a library has created, and reads its mask back.
///
/// # Errors
/// Those of [`confine_current_thread`]; `ESRCH` when the thread has ended.
pub fn confine_thread(thread: Pid, cpus: &[CpuId]) -> Result<(), AffinityError> {
    let asked = mask(cpus)?;
    sched_setaffinity(thread, &asked)
        .map_err(|errno| SysError::new(format!("sched_setaffinity {}", cpu_list(cpus)), errno))?;
    let got = sched_getaffinity(thread).map_err(|errno| SysError::new("sched_getaffinity", errno))?;
    if got == asked {
        return Ok(());
    }
    let got: Vec<CpuId> = (0..CpuSet::count()).filter(|&cpu| got.is_set(cpu).unwrap_or(false)).map(CpuId).collect();
    Err(AffinityError::Differs { asked: cpu_list(cpus), got: cpu_list(&got) })
}

/// The mask that allows `cpus`.
///
/// # Errors
/// `EINVAL` for a number above 1023.
pub fn mask(cpus: &[CpuId]) -> Result<CpuSet, SysError> {
    let mut mask = CpuSet::new();
    for cpu in cpus {
        mask.set(cpu.0).map_err(|errno| SysError::new(format!("CPU_SET {cpu}"), errno))?;
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_reads_its_mask_back() {
        let allowed = allowed_cpus().unwrap();
        for &cpu in &allowed {
            let seen = std::thread::spawn(move || {
                confine_current_thread(&[cpu]).unwrap();
                allowed_cpus().unwrap()
            });
            assert_eq!(seen.join().unwrap(), [cpu]);
        }
    }

    #[test]
    fn what_a_mask_leaves_out_is_granted_all_the_same_and_changes_no_mask() {
        let allowed = allowed_cpus().unwrap();
        let narrow = vec![allowed[0]];
        let seen = std::thread::spawn({
            let allowed = allowed.clone();
            move || {
                confine_current_thread(&narrow).unwrap();
                let granted = granted_cpus(&allowed).unwrap();
                (granted, allowed_cpus().unwrap() == narrow)
            }
        });
        assert_eq!(seen.join().unwrap(), (allowed, true));
        assert_eq!(granted_cpus(&[CpuId(1023), CpuId(8191)]).unwrap(), []);
        assert_eq!(granted_cpus(&[]).unwrap(), []);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error_and_not_a_silence() {
        std::thread::spawn(|| assert!(confine_current_thread(&[CpuId(1023)]).is_err())).join().unwrap();
    }
}
