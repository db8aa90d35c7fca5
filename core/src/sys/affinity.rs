//! Which CPUs a thread may use, and moving it there: sched_setaffinity(2), read back and verified.
//!
//! The kernel's masks are as long as the machine has possible CPUs, and sched_getaffinity(2) answers `EINVAL` to a
//! shorter one. The C library's `cpu_set_t` ends at 1024 CPUs, so masks are made here, as long as need be (CPU_SET(3),
//! "Dynamically sized CPU sets").

use nix::errno::Errno;
use nix::unistd::Pid;

use super::SysError;
use crate::units::{CpuId, MOST_CPUS, cpu_list};

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

type MaskWord = libc::c_ulong;

const BITS: usize = MaskWord::BITS as usize;

/// A mask of CPUs as the kernel takes it. Two are equal when they hold the same CPUs.
#[derive(Debug, Clone)]
pub struct AffinityMask(Vec<MaskWord>);

impl AffinityMask {
    /// The mask that allows `cpus`, with room to read back into a copy of it what the kernel has.
    ///
    /// # Errors
    /// `EINVAL` for a number that no machine has ([`MOST_CPUS`]), and what sched_getaffinity(2) gives.
    pub fn of(cpus: &[CpuId]) -> Result<Self, SysError> {
        let mut mask = Self(vec![0; Self::of_thread(Pid::from_raw(0))?.0.len()]);
        for cpu in cpus {
            if cpu.0 >= MOST_CPUS {
                return Err(SysError::new(format!("a mask with CPU {cpu}"), Errno::EINVAL));
            }
            if cpu.0 / BITS >= mask.0.len() {
                mask.0.resize(cpu.0 / BITS + 1, 0);
            }
            mask.0[cpu.0 / BITS] |= 1 << (cpu.0 % BITS);
        }
        Ok(mask)
    }

    /// The mask of a thread; 0 is the calling one.
    ///
    /// # Errors
    /// `ESRCH` when the thread has ended.
    pub fn of_thread(thread: Pid) -> Result<Self, SysError> {
        // What the C library takes, which all but a few machines are content with.
        let mut mask = Self(vec![0; 1024 / BITS]);
        loop {
            match mask.read(thread) {
                Ok(()) => return Ok(mask),
                Err(Errno::EINVAL) if mask.0.len() * BITS < MOST_CPUS => mask.0 = vec![0; 2 * mask.0.len()],
                Err(errno) => return Err(SysError::new("sched_getaffinity", errno)),
            }
        }
    }

    /// The CPUs that it holds, in rising order.
    pub fn cpus(&self) -> Vec<CpuId> {
        let holds = |cpu: &usize| self.0[cpu / BITS] >> (cpu % BITS) & 1 == 1;
        (0..self.0.len() * BITS).filter(holds).map(CpuId).collect()
    }

    /// Gives it to a thread; 0 is the calling one. Allocates nothing.
    ///
    /// # Errors
    /// `EINVAL` when none of its CPUs may be used.
    pub fn apply(&self, thread: Pid) -> Result<(), Errno> {
        let bytes = size_of_val(self.0.as_slice());
        // SAFETY: the kernel reads that many bytes of the mask during the call.
        let answer = unsafe { libc::syscall(libc::SYS_sched_setaffinity, thread.as_raw(), bytes, self.0.as_ptr()) };
        Errno::result(answer).map(drop)
    }

    /// Gives it to the calling thread and reads it back, as [`AffinityMask::is_current`].
    pub fn confine(&self, scratch: &mut Self) -> bool {
        self.apply(Pid::from_raw(0)).is_ok() && self.is_current(scratch)
    }

    /// Whether the kernel holds the calling thread to exactly these CPUs. `scratch`, a copy of it, takes what is read.
    /// Allocates nothing: it is for the child of a fork.
    pub fn is_current(&self, scratch: &mut Self) -> bool {
        scratch.read(Pid::from_raw(0)).is_ok() && *scratch == *self
    }

    fn read(&mut self, thread: Pid) -> Result<(), Errno> {
        self.0.fill(0);
        let bytes = size_of_val(self.0.as_slice());
        // SAFETY: the kernel writes at most that many bytes during the call, and any bits are valid.
        let answer = unsafe { libc::syscall(libc::SYS_sched_getaffinity, thread.as_raw(), bytes, self.0.as_mut_ptr()) };
        Errno::result(answer).map(drop)
    }

    fn words(&self) -> &[MaskWord] {
        let end = self.0.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1);
        &self.0[..end]
    }
}

impl PartialEq for AffinityMask {
    fn eq(&self, other: &Self) -> bool {
        self.words() == other.words()
    }
}

/// The CPUs the calling thread may run on, in rising order.
///
/// This is the current mask, which a cpuset, a container or `taskset` may have narrowed, and not the machine's CPUs.
///
/// # Errors
/// When sched_getaffinity(2) is refused.
pub fn allowed_cpus() -> Result<Vec<CpuId>, SysError> {
    Ok(AffinityMask::of_thread(Pid::from_raw(0))?.cpus())
}

/// Those of `cpus` that the kernel grants this process, in rising order, whether its mask holds them now or not: a mask
/// may be widened to CPUs that `taskset` or `isolcpus` left out, and ends at those that are online and in the process's
/// cpuset (cpuset(7)). It is tried on a thread of its own, so that no other mask changes.
///
/// # Errors
/// `EAGAIN` when there can be no further thread.
pub fn granted_cpus(cpus: &[CpuId]) -> Result<Vec<CpuId>, SysError> {
    let nameable: Vec<CpuId> = cpus.iter().copied().filter(|cpu| cpu.0 < MOST_CPUS).collect();
    let asked = AffinityMask::of(&nameable)?;
    let widen = move || match asked.apply(Pid::from_raw(0)) {
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
    confine_thread(Pid::from_raw(0), cpus)
}

/// Confines another thread of this process, such as one that a library has created, and reads its mask back.
///
/// # Errors
/// Those of [`confine_current_thread`]; `ESRCH` when the thread has ended.
pub fn confine_thread(thread: Pid, cpus: &[CpuId]) -> Result<(), AffinityError> {
    let asked = AffinityMask::of(cpus)?;
    asked.apply(thread).map_err(|errno| SysError::new(format!("sched_setaffinity {}", cpu_list(cpus)), errno))?;
    let got = AffinityMask::of_thread(thread)?;
    if got == asked {
        return Ok(());
    }
    Err(AffinityError::Differs { asked: cpu_list(cpus), got: cpu_list(&got.cpus()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::seccomp::{Argument, CallAnswer, CallRule, refuse_from_now_on};

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
        assert_eq!(granted_cpus(&[CpuId(1023), CpuId(MOST_CPUS)]).unwrap(), []);
        assert_eq!(granted_cpus(&[]).unwrap(), []);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error_and_not_a_silence() {
        let refused = |cpu| std::thread::spawn(move || confine_current_thread(&[CpuId(cpu)])).join().unwrap();
        for cpu in [1023, 1024, MOST_CPUS] {
            assert!(refused(cpu).unwrap_err().to_string().contains("EINVAL"), "{cpu}");
        }
    }

    #[test]
    fn masks_are_as_long_as_the_kernel_wants_them() {
        let before = allowed_cpus().unwrap();
        // As on a machine with so many possible CPUs: shorter masks are refused.
        for possible in [1280, 5120] {
            let before = before.clone();
            let tried = std::thread::spawn(move || {
                let short = CallRule {
                    call: libc::SYS_sched_getaffinity,
                    answer: CallAnswer::Errno(Errno::EINVAL),
                    only: Some(Argument { number: 1, least: 0, most: possible / 8 - 1 }),
                };
                if let Err(error) = refuse_from_now_on(&[short]) {
                    return println!("not checked: {error}");
                }
                assert!(nix::sched::sched_getaffinity(Pid::from_raw(0)).is_err(), "what the C library asks for");
                assert_eq!(allowed_cpus().unwrap(), before);
                confine_current_thread(&before[..1]).unwrap();
                assert_eq!(granted_cpus(&before).unwrap(), before);
                let mask = AffinityMask::of(&before[..1]).unwrap();
                assert!(mask.confine(&mut mask.clone()));
            });
            tried.join().unwrap();
        }
    }

    #[test]
    fn a_mask_holds_the_cpus_beyond_the_c_librarys_too() {
        let cpus = [CpuId(3), CpuId(1279), CpuId(MOST_CPUS - 1)];
        assert_eq!(AffinityMask::of(&cpus).unwrap().cpus(), cpus);
    }
}
