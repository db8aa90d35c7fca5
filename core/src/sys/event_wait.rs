//! epoll_pwait2(2): waiting for events with a timeout in nanoseconds.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent};

use super::SysError;
use crate::units::Nanos;

/// Waits for events of `epoll`, at most for `timeout` (without one, as long as it takes); returns how many there are
/// in `events`, 0 when the time is over or a signal came.
///
/// Before Linux 5.11, which has no epoll_pwait2, the timeout is cut to whole milliseconds, so the wait may end up to
/// one of them too early.
///
/// # Errors
/// None for a set that is open.
#[inline]
pub fn wait_for_events(epoll: &Epoll, events: &mut [EpollEvent], timeout: Option<Nanos>) -> Result<usize, SysError> {
    // What the kernel calls __kernel_timespec: 64 bits each, whatever the C library's timespec is.
    let limit = timeout.map(|timeout| [(timeout.0 / 1_000_000_000) as i64, (timeout.0 % 1_000_000_000) as i64]);
    let limit = limit.as_ref().map_or(std::ptr::null(), |limit| limit.as_ptr());
    let room = libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: `EpollEvent` is a transparent wrapper of epoll_event; the kernel writes at most as many as there is room
    // for, and reads the timeout, which outlives the call. There is no signal mask.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.0.as_raw_fd(),
            events.as_mut_ptr().cast::<libc::epoll_event>(),
            room,
            limit,
            std::ptr::null::<libc::sigset_t>(),
            0_usize,
        )
    };
    match Errno::result(answer) {
        Ok(count) => Ok(count as usize),
        Err(Errno::EINTR) => Ok(0),
        Err(Errno::ENOSYS) => wait_for_milliseconds(epoll, events, timeout),
        Err(errno) => Err(SysError::new("epoll_pwait2", errno)),
    }
}

fn wait_for_milliseconds(epoll: &Epoll, events: &mut [EpollEvent], timeout: Option<Nanos>) -> Result<usize, SysError> {
    use nix::sys::epoll::EpollTimeout;
    let milliseconds = |timeout: Nanos| EpollTimeout::from(u16::try_from(timeout.0 / 1_000_000).unwrap_or(u16::MAX));
    match epoll.wait(events, timeout.map_or(EpollTimeout::NONE, milliseconds)) {
        Ok(count) => Ok(count),
        Err(Errno::EINTR) => Ok(0),
        Err(errno) => Err(SysError::new("epoll_wait", errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::channel::{Ends, pipe, write_byte};
    use crate::sys::timer::monotonic;
    use nix::sys::epoll::{EpollCreateFlags, EpollFlags};

    #[test]
    fn a_wait_ends_with_its_time_or_with_an_event() {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let Ends { reader, writer } = pipe(true).unwrap();
        epoll.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 7)).unwrap();
        let mut events = [EpollEvent::empty(); 4];
        for wait in [wait_for_events, wait_for_milliseconds] {
            let start = monotonic();
            assert_eq!(wait(&epoll, &mut events, Some(Nanos(2_000_000))), Ok(0));
            assert!(monotonic().0 - start.0 >= 2_000_000, "woken too early");
        }
        write_byte(&writer, 1).unwrap();
        for wait in [wait_for_events, wait_for_milliseconds] {
            assert_eq!(wait(&epoll, &mut events, None), Ok(1));
            assert_eq!(events[0].data(), 7);
        }
    }
}
