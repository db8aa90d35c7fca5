//! What perf_event_open(2) offers beyond the `perf-event2` crate.

use std::ffi::CStr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use perf_event::events::Software;
use perf_event::{Builder, Counter};

use super::SysError;
use super::fatal::permitted;
use crate::units::CpuId;

/// An event that counts on one CPU and can be read from any: the kernel reads it there, by an interrupt, and waits
/// (perf_event_read in kernel/events/core.c). It counts nothing (`PERF_COUNT_SW_DUMMY`): reading it is its purpose.
#[derive(Debug)]
pub struct RemoteCounter(Counter);

impl RemoteCounter {
    /// Opens it on `cpu`.
    ///
    /// # Errors
    /// `EACCES` or `EPERM` without `CAP_PERFMON` where `kernel.perf_event_paranoid` is above 0.
    pub fn open(cpu: CpuId) -> Result<Self, SysError> {
        let failed = |error: std::io::Error| SysError::from_io("perf_event_open", &error);
        let mut builder = Builder::new(Software::DUMMY);
        builder.any_pid().one_cpu(cpu.0).include_kernel();
        let mut counter = open(&builder).map_err(failed)?;
        counter.enable().map_err(|error| SysError::from_io("ioctl PERF_EVENT_IOC_ENABLE", &error))?;
        Ok(Self(counter))
    }

    /// Makes the CPU read the event, and waits for its answer.
    ///
    /// # Errors
    /// None that is documented for an event that is open and pinned to no task.
    #[inline]
    pub fn call(&mut self) -> Result<(), SysError> {
        self.0.read().map(drop).map_err(|error| SysError::from_io("read", &error))
    }
}

/// Opens the event that `builder` describes.
///
/// # Errors
/// Those of perf_event_open(2), and `EPERM` where a sandbox kills for the call.
pub fn open(builder: &Builder<'_>) -> std::io::Result<Counter> {
    permitted(libc::SYS_perf_event_open, "perf_event_open").map_err(|error| std::io::Error::from(error.errno))?;
    builder.build()
}

/// `PERF_EVENT_IOC_SET_FILTER`, include/uapi/linux/perf_event.h: `_IOW('$', 6, char *)`. The size in the number
/// is that of the pointer, although what the kernel reads is the string behind it.
const SET_FILTER: libc::Ioctl = nix::request_code_write!(b'$', 6, size_of::<*const libc::c_char>());

/// Lets the tracepoint event `counter` count only the records that `filter` accepts.
///
/// The language is that of Documentation/trace/events.rst, "Event filtering": `comm ~ "name-*"`.
///
/// # Errors
/// `EINVAL` for a filter the kernel cannot parse or an event that is no tracepoint; `ENOMEM`.
pub fn set_filter(counter: &impl AsRawFd, filter: &CStr) -> Result<(), SysError> {
    // SAFETY: the descriptor is open while `counter` is borrowed; the kernel copies the terminated string
    // (strndup_user in kernel/events/core.c) and keeps no pointer to it.
    let outcome = unsafe { libc::ioctl(counter.as_raw_fd(), SET_FILTER, filter.as_ptr()) };
    Errno::result(outcome).map(drop).map_err(|errno| SysError::new("ioctl PERF_EVENT_IOC_SET_FILTER", errno))
}

/// `PERF_EVENT_IOC_SET_OUTPUT`, include/uapi/linux/perf_event.h: `_IO('$', 5)`. Its argument is a descriptor.
const SET_OUTPUT: libc::Ioctl = nix::request_code_none!(b'$', 5);

/// Has the event `counter` write its records into the buffer of `owner`, an event of the same CPU and clock.
///
/// # Errors
/// `EINVAL` for events of different CPUs or clocks.
pub fn set_output(counter: &impl AsRawFd, owner: &impl AsRawFd) -> Result<(), SysError> {
    // SAFETY: both descriptors are open while they are borrowed, and the kernel counts its reference to the buffer.
    let outcome = unsafe { libc::ioctl(counter.as_raw_fd(), SET_OUTPUT, owner.as_raw_fd()) };
    Errno::result(outcome).map(drop).map_err(|errno| SysError::new("ioctl PERF_EVENT_IOC_SET_OUTPUT", errno))
}
