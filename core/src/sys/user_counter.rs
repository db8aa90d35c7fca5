//! Hardware counters of the calling thread that it reads without the kernel: perf_event_open(2), "MMAP layout".
//!
//! The kernel says in a page that it shares which register counts and what to add to it. Reading takes tens of cycles,
//! where read(2) of the same event would be the very call whose after-effects are to be seen. (In a virtual machine it
//! may leave for the hypervisor, which is no better: the caller has to check how long a reading takes.)
//!
//! x86-64: RDPMC between two LFENCEs, since it waits for nothing and nothing waits for it (Intel SDM volume 2,
//! "RDPMC"). arm64: PMCCNTR_EL0, or PMXEVCNTR_EL0 behind PMSELR_EL0, behind a barrier for loads and between two ISBs;
//! the event must ask for it when it is opened (Documentation/arch/arm64/perf.rst, "Perf Userspace PMU Hardware Counter
//! Access"). No other architecture is read here.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU32, AtomicU64, Ordering, compiler_fence};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use perf_event::{Builder, Counter};

use super::{SysError, perf};

/// What is counted, in user mode alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserEvent {
    /// Cycles of the core.
    Cycles,
    /// Instructions retired.
    Instructions,
}

/// What failed when a counter was opened and cannot be read.
pub const NOT_READABLE: &str = "reading a counter in user mode";

impl UserEvent {
    #[cfg(not(target_arch = "aarch64"))]
    fn event(self) -> perf_event::events::Hardware {
        use perf_event::events::Hardware;
        match self {
            Self::Cycles => Hardware::CPU_CYCLES,
            Self::Instructions => Hardware::INSTRUCTIONS,
        }
    }

    /// Arm ARM D13.12.3: 0x11 CPU_CYCLES, 0x08 INST_RETIRED. Bit 1 of `config1` asks for access from user mode, bit 0
    /// for
    /// 64 bits, which only the cycle counter has on every PMU (drivers/perf/arm_pmuv3.c).
    #[cfg(target_arch = "aarch64")]
    fn event(self) -> perf_event::events::Raw {
        use perf_event::events::Raw;
        match self {
            Self::Cycles => Raw::new(0x11).config1(3),
            Self::Instructions => Raw::new(0x08).config1(2),
        }
    }
}

/// An open counter of the thread that opened it.
#[derive(Debug)]
pub struct UserCounter {
    // Counts as long as it is open.
    counter: Counter,
    page: NonNull<Page>,
}

/// The beginning of `struct perf_event_mmap_page`, include/uapi/linux/perf_event.h. The kernel writes to it at any time
/// but to the versions.
#[repr(C)]
#[derive(Debug)]
struct Page {
    version: u32,
    compat_version: u32,
    lock: AtomicU32,
    index: AtomicU32,
    offset: AtomicI64,
    time_enabled: AtomicU64,
    time_running: AtomicU64,
    capabilities: AtomicU64,
    width: AtomicU16,
}

/// `cap_user_rdpmc`, the third bit of the capabilities where the first one is the lowest.
const READABLE: u64 = 1 << 2;

/// The kernel shares one page of its own size, and rounds the length up.
const LENGTH: NonZeroUsize = NonZeroUsize::MIN;

/// What the counter of cycles must show of [`WORK`] steps at the least, and any other too.
const WORK: u64 = 1000;

impl UserCounter {
    /// Opens and starts it on the calling thread, to which it is of use alone. It has a register of its own for as long
    /// as it is open, or none at all.
    ///
    /// # Errors
    /// `ENOENT` without a PMU, `EACCES` where `kernel.perf_event_paranoid` is above 2; from mmap `EPERM` where
    /// `kernel.perf_event_mlock_kb` is used up. [`NOT_READABLE`] with `EOPNOTSUPP` where the machine or its
    /// administrator does not let user code read counters, with `EBUSY` when there is no register for it (others hold
    /// them, or this is a CPU of another kind than the event is for), with `ENODATA` when it does not count.
    pub fn open(what: UserEvent) -> Result<Self, SysError> {
        if cfg!(not(any(target_arch = "x86_64", target_arch = "aarch64"))) {
            return Err(SysError::new(NOT_READABLE, Errno::EOPNOTSUPP));
        }
        let mut counter = perf::open(Builder::new(what.event()).pinned(true))
            .map_err(|error| SysError::from_io("perf_event_open", &error))?;
        counter.enable().map_err(|error| SysError::from_io("ioctl PERF_EVENT_IOC_ENABLE", &error))?;
        // SAFETY: the descriptor is open for as long as `counter` is.
        let descriptor = unsafe { BorrowedFd::borrow_raw(counter.as_raw_fd()) };
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let address = unsafe { mmap(None, LENGTH, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, descriptor, 0) };
        let page = address.map_err(|errno| SysError::new("mmap", errno))?.cast();
        let open = Self { counter, page };
        let readable = open.page().capabilities.load(Ordering::Relaxed) & READABLE != 0;
        // Elsewhere the instruction would be a fault.
        let before = if readable { open.read() } else { None };
        let Some(before) = before else {
            let errno = if readable && !is_switched_off() { Errno::EBUSY } else { Errno::EOPNOTSUPP };
            return Err(SysError::new(NOT_READABLE, errno));
        };
        (0..WORK).for_each(|step| {
            black_box(step);
        });
        match open.read() {
            Some(after) if after.wrapping_sub(before) >= WORK => Ok(open),
            _ => Err(SysError::new(NOT_READABLE, Errno::ENODATA)),
        }
    }

    /// Whether it has counted whenever its thread ran, which [`UserCounter::read`] tells of single moments only.
    ///
    /// # Errors
    /// None that is documented for an event that is open.
    pub fn counted_all_the_while(&mut self) -> Result<bool, SysError> {
        let read = self.counter.read_count_and_time().map_err(|error| SysError::from_io("read", &error))?;
        Ok(read.time_running > 0 && read.time_running == read.time_enabled)
    }

    fn page(&self) -> &Page {
        // SAFETY: mapped until `self` is dropped; what changes in it is atomic.
        unsafe { self.page.as_ref() }
    }

    /// What was counted, in an order with the instructions around it. `None` when nothing counts at the moment.
    #[inline(always)]
    pub fn read(&self) -> Option<u64> {
        let page = self.page();
        loop {
            // As in tools/lib/perf/mmap.c: the writer is the kernel on this very CPU, so that the compiler is the only
            // one who could change the order.
            let lock = page.lock.load(Ordering::Relaxed);
            compiler_fence(Ordering::SeqCst);
            let (index, offset) = (page.index.load(Ordering::Relaxed), page.offset.load(Ordering::Relaxed));
            let width = page.width.load(Ordering::Relaxed);
            let register = index.checked_sub(1).map(register);
            compiler_fence(Ordering::SeqCst);
            if page.lock.load(Ordering::Relaxed) == lock {
                return register.map(|value| offset.wrapping_add(extended(value, width)) as u64);
            }
        }
    }
}

impl Drop for UserCounter {
    fn drop(&mut self) {
        // SAFETY: this mapping, whole; references to it end with `self`.
        let _ = unsafe { munmap(self.page.cast(), LENGTH.get()) };
    }
}

/// Whether the administrator lets no user code read counters although the event may ask for it: arm64, where the kernel
/// then names no register (`armv8pmu_user_event_idx` in drivers/perf/arm_pmuv3.c).
fn is_switched_off() -> bool {
    cfg!(target_arch = "aarch64")
        && std::fs::read_to_string("/proc/sys/kernel/perf_user_access").is_ok_and(|value| value.trim() == "0")
}

/// The register holds so many bits of a signed number.
#[inline(always)]
fn extended(value: u64, width: u16) -> i64 {
    let unused = 64_u32.saturating_sub(u32::from(width));
    // A shift by all bits would be by none.
    (value.wrapping_shl(unused) as i64).wrapping_shr(unused)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn register(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the kernel named the register and lets user code read it (CR4.PCE) while the event counts on this CPU and
    // its page is mapped; LFENCE is part of SSE2.
    unsafe {
        std::arch::asm!(
            "lfence", "rdpmc", "lfence",
            in("ecx") index, out("eax") low, out("edx") high, options(nostack)
        );
    }
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn register(index: u32) -> u64 {
    /// What the kernel calls 32, less one (`ARMV8_PMU_CYCLE_IDX_USER` in drivers/perf/arm_pmuv3.c).
    const CYCLES: u32 = 31;
    let value: u64;
    // SAFETY: the kernel lets user code read the registers while the event counts on this CPU (PMUSERENR_EL0.CR and
    // ER), and select one. Code that selects another one between the two instructions changes the lock as well.
    unsafe {
        if index == CYCLES {
            std::arch::asm!("dsb ishld", "isb", "mrs {}, pmccntr_el0", "isb", out(reg) value, options(nostack));
        } else {
            std::arch::asm!("dsb ishld", "msr pmselr_el0, {:x}", "isb", "mrs {}, pmxevcntr_el0", "isb",
                in(reg) u64::from(index), out(reg) value, options(nostack));
        }
    }
    value
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn register(_: u32) -> u64 {
    // None is ever open.
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_signed_numbers_of_their_width() {
        assert_eq!((extended(0xffff_ffff_ffff, 48), extended(5, 48)), (-1, 5));
        assert_eq!((extended(u64::MAX, 64), extended(0x8000_0000, 32)), (-1, i64::from(i32::MIN)));
    }

    #[test]
    fn the_page_is_laid_out_as_the_kernel_does() {
        use std::mem::offset_of;
        assert_eq!((offset_of!(Page, lock), offset_of!(Page, index), offset_of!(Page, offset)), (8, 12, 16));
        assert_eq!((offset_of!(Page, capabilities), offset_of!(Page, width)), (40, 48));
    }

    #[test]
    fn counters_advance_or_say_why_there_are_none() {
        for what in [UserEvent::Cycles, UserEvent::Instructions] {
            match UserCounter::open(what) {
                Ok(counter) => {
                    let Some(before) = counter.read() else { continue };
                    (0..10_000).for_each(|step| {
                        black_box(step);
                    });
                    // Where it may run elsewhere meanwhile, there may be another kind of CPU.
                    let Some(after) = counter.read() else { continue };
                    assert!((10_000..10_000_000).contains(&(after - before)), "{before} to {after} {what:?}");
                }
                Err(error) => println!("not checked: {what:?}: {error}"),
            }
        }
    }
}
