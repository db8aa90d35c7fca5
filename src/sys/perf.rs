//! What perf_event_open(2) offers beyond the `perf-event2` crate.

use std::ffi::CStr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

use super::SysError;

/// `PERF_EVENT_IOC_SET_FILTER`, include/uapi/linux/perf_event.h: `_IOW('$', 6, char *)`. The size in the number
/// is that of the pointer, although what the kernel reads is the string behind it.
const SET_FILTER: libc::c_ulong = nix::request_code_write!(b'$', 6, size_of::<*const libc::c_char>());

/// Lets the tracepoint event `counter` count only the records that `filter` accepts.
///
/// The language is that of Documentation/trace/events.rst, "Event filtering": `comm ~ "name-*"`.
///
/// # Errors
/// `EINVAL` for a filter the kernel cannot parse or an event that is no tracepoint; `ENOMEM`.
pub fn set_filter(counter: &impl AsRawFd, filter: &CStr) -> Result<(), SysError> {
    // SAFETY: the descriptor is open while `counter` is borrowed; the kernel copies the terminated string
    // (strndup_user in kernel/events/core.c) and keeps no pointer to it.
    let outcome = unsafe { libc::ioctl(counter.as_raw_fd(), SET_FILTER as _, filter.as_ptr()) };
    Errno::result(outcome).map(drop).map_err(|errno| SysError::new("ioctl PERF_EVENT_IOC_SET_FILTER", errno))
}
