//! epoll(7) as a [`WaitSet`], with timeouts in nanoseconds.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::SysError;
use super::wait_set::{Interest, ReadyEvent, Rearm, WaitSet, time_spec};
use crate::units::Nanos;

/// Reports a descriptor as long as it is ready.
pub const LEVEL: u8 = 0;
/// Reports that a descriptor has become ready, once.
pub const EDGE: u8 = 1;
/// Reports a descriptor once, until it is armed again.
pub const ONE_SHOT: u8 = 2;

/// Events that one wait returns at most; more are there for the next.
const AT_ONCE: usize = 512;

/// An epoll set that reports as `TRIGGER` says: [`LEVEL`], [`EDGE`] or [`ONE_SHOT`].
pub struct EpollSet<const TRIGGER: u8> {
    epoll: Epoll,
    events: Box<[EpollEvent]>,
}

impl<const TRIGGER: u8> std::fmt::Debug for EpollSet<TRIGGER> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EpollSet").field("trigger", &TRIGGER).finish()
    }
}

impl<const TRIGGER: u8> EpollSet<TRIGGER> {
    /// A set without members; `EPOLL_CLOEXEC` always.
    ///
    /// # Errors
    /// `EMFILE` and `ENFILE` when descriptors run out.
    pub fn new() -> Result<Self, SysError> {
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|errno| SysError::new("epoll_create1", errno))?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); AT_ONCE].into_boxed_slice() })
    }

    fn event(token: usize, interest: Interest) -> EpollEvent {
        let wanted = match interest {
            Interest::Receive => EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP,
            Interest::Send => EpollFlags::EPOLLOUT,
            Interest::Both => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP,
        };
        let trigger = match TRIGGER {
            EDGE => EpollFlags::EPOLLET,
            ONE_SHOT => EpollFlags::EPOLLONESHOT,
            _ => EpollFlags::empty(),
        };
        EpollEvent::new(wanted | trigger, token as u64)
    }
}

impl<const TRIGGER: u8> WaitSet for EpollSet<TRIGGER> {
    const REARM: Rearm = match TRIGGER {
        EDGE => Rearm::Never,
        ONE_SHOT => Rearm::Always,
        _ => Rearm::OnChange,
    };

    fn add(&mut self, descriptor: BorrowedFd<'_>, token: usize, interest: Interest) -> Result<(), SysError> {
        self.epoll
            .add(descriptor, Self::event(token, interest))
            .map_err(|errno| SysError::new("epoll_ctl EPOLL_CTL_ADD", errno))
    }

    fn change(&mut self, descriptor: BorrowedFd<'_>, token: usize, interest: Interest) -> Result<(), SysError> {
        self.epoll
            .modify(descriptor, &mut Self::event(token, interest))
            .map_err(|errno| SysError::new("epoll_ctl EPOLL_CTL_MOD", errno))
    }

    fn remove(&mut self, descriptor: BorrowedFd<'_>, _: usize) {
        // ENOENT and EBADF would mean that it is no member, which is what is asked for.
        let _ = self.epoll.delete(descriptor);
    }

    fn wait(&mut self, timeout: Option<Nanos>, ready: &mut Vec<ReadyEvent>) -> Result<(), SysError> {
        let (most, timeout) = (self.events.len(), timeout.map(time_spec));
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let (mask, mask_size) = (std::ptr::null::<libc::sigset_t>(), 0_usize);
        let events = self.events.as_mut_ptr().cast::<libc::epoll_event>();
        let set = self.epoll.0.as_raw_fd();
        // SAFETY: `EpollEvent` is a transparent wrapper of the kernel's structure, of which the kernel writes at most
        // as many as there is room for; the timeout is absent or outlives the call, and there is no signal mask. The
        // kernel's timespec is that of libc on every 64-bit architecture.
        let found = unsafe { libc::syscall(libc::SYS_epoll_pwait2, set, events, most, timeout, mask, mask_size) };
        let found = match Errno::result(found) {
            Ok(found) => found as usize,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(SysError::new("epoll_pwait2", errno)),
        };
        ready.extend(self.events[..found].iter().map(|event| {
            let has = |flags: EpollFlags| event.events().intersects(flags);
            ReadyEvent {
                token: event.data() as usize,
                receives: has(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP),
                sends: has(EpollFlags::EPOLLOUT),
                ended: has(EpollFlags::EPOLLRDHUP),
                broken: has(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP),
            }
        }));
        Ok(())
    }
}

impl<const TRIGGER: u8> AsFd for EpollSet<TRIGGER> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let set: &OwnedFd = &self.epoll.0;
        set.as_fd()
    }
}
