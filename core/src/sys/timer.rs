//! Sleeping until a moment of `CLOCK_MONOTONIC`, by each of the kernel's ways that take nanoseconds, and the slack that
//! it allows itself in doing so.

use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::{IoUring, opcode, types};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

use super::SysError;
use super::fatal::permitted;
use crate::units::Nanos;

/// The time now, through the vDSO where the clock source allows it.
#[inline]
pub fn monotonic() -> Nanos {
    let now = ClockId::CLOCK_MONOTONIC.now().expect("every kernel has CLOCK_MONOTONIC");
    // Time since the machine started: positive, and 584 years fit.
    Nanos(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}

/// For how long the machine has been suspended since it started: `CLOCK_BOOTTIME` goes on meanwhile, and
/// `CLOCK_MONOTONIC` stands still (clock_gettime(2)).
///
/// # Errors
/// When there is no `CLOCK_BOOTTIME`, which came with Linux 2.6.39.
pub fn suspended() -> Result<Nanos, SysError> {
    let error = |errno| SysError::new("clock_gettime CLOCK_BOOTTIME", errno);
    // Read first: what passes between the two readings must not look like a suspension.
    let boot = ClockId::CLOCK_BOOTTIME.now().map_err(error)?;
    let boot = boot.tv_sec() as u64 * 1_000_000_000 + boot.tv_nsec() as u64;
    Ok(Nanos(boot.saturating_sub(monotonic().0)))
}

fn time_spec(moment: Nanos) -> TimeSpec {
    TimeSpec::from_duration(Duration::from_nanos(moment.0))
}

/// Sleeps until `moment` in clock_nanosleep(2), again after `EINTR`. A moment that is past returns at once.
///
/// # Errors
/// None that a moment of this clock can give.
#[inline]
pub fn sleep_until(moment: Nanos) -> Result<(), SysError> {
    let moment = time_spec(moment);
    loop {
        match clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &moment) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new("clock_nanosleep", errno)),
        }
    }
}

/// Sets how late the kernel may wake the calling thread from a timed wait, so as to wake several at once
/// (`PR_SET_TIMERSLACK`, prctl(2)); threads that it creates from now on inherit it. 0 is the slack it started with. A
/// real-time policy has none whatever is set.
///
/// # Errors
/// None for a thread's own slack.
pub fn set_slack(slack: Nanos) -> Result<(), SysError> {
    let nanos = libc::c_ulong::try_from(slack.0).unwrap_or(libc::c_ulong::MAX);
    prctl::set_timerslack(nanos).map_err(|errno| SysError::new("prctl PR_SET_TIMERSLACK", errno))
}

/// The calling thread's slack.
///
/// # Errors
/// None.
pub fn slack() -> Result<Nanos, SysError> {
    let nanos = prctl::get_timerslack().map_err(|errno| SysError::new("prctl PR_GET_TIMERSLACK", errno))?;
    Ok(Nanos(u64::try_from(nanos).unwrap_or(0)))
}

/// A timer behind a descriptor.
#[derive(Debug)]
pub struct Alarm(TimerFd);

impl Alarm {
    /// A timer that is not set.
    ///
    /// # Errors
    /// `EMFILE` and `ENFILE`.
    pub fn new() -> Result<Self, SysError> {
        let timer = TimerFd::new(TimerClock::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC);
        timer.map(Self).map_err(|errno| SysError::new("timerfd_create", errno))
    }

    /// Sets it to `moment`, which is not 0, and blocks in read(2) until it has rung.
    ///
    /// # Errors
    /// None that such a moment can give.
    #[inline]
    pub fn sleep_until(&self, moment: Nanos) -> Result<(), SysError> {
        let once = Expiration::OneShot(time_spec(moment));
        self.0
            .set(once, TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .map_err(|errno| SysError::new("timerfd_settime", errno))?;
        self.0.wait().map_err(|errno| SysError::new("read timerfd", errno))
    }
}

/// An epoll set without members, whose waits can only time out.
#[derive(Debug)]
pub struct EmptyEpoll(Epoll);

impl EmptyEpoll {
    /// The set.
    ///
    /// # Errors
    /// `EMFILE` and `ENFILE`.
    pub fn new() -> Result<Self, SysError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        epoll.map(Self).map_err(|errno| SysError::new("epoll_create1", errno))
    }

    /// epoll_pwait2(2) with this timeout, again after `EINTR`, which a benchmark's tasks do not meet.
    ///
    /// # Errors
    /// `ENOSYS` before Linux 5.11.
    #[inline]
    pub fn wait_for(&self, timeout: Duration) -> Result<(), SysError> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // What the kernel calls __kernel_timespec: 64 bits each, whatever the C library's timespec is.
        let timeout = [timeout.as_secs() as i64, i64::from(timeout.subsec_nanos())];
        let (most, mask, mask_size) = (1, std::ptr::null::<libc::sigset_t>(), 0_usize);
        loop {
            // SAFETY: the kernel writes at most the one event that there is room for and reads the timeout; both
            // outlive the call, and there is no signal mask.
            let answer = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    self.0.0.as_raw_fd(),
                    &raw mut event,
                    most,
                    timeout.as_ptr(),
                    mask,
                    mask_size,
                )
            };
            match Errno::result(answer) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("epoll_pwait2", errno)),
            }
        }
    }

    /// epoll_wait(2) with a timeout in whole milliseconds, again after `EINTR`.
    ///
    /// # Errors
    /// None for a set that is open.
    #[inline]
    pub fn wait_for_milliseconds(&self, timeout: u16) -> Result<(), SysError> {
        loop {
            match self.0.wait(&mut [nix::sys::epoll::EpollEvent::empty()], timeout) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("epoll_wait", errno)),
            }
        }
    }
}

/// A ring for `IORING_OP_TIMEOUT` alone.
pub struct TimeoutRing {
    ring: IoUring,
    // The entry names it by address: it lives as long as the ring.
    moment: Box<types::Timespec>,
}

impl std::fmt::Debug for TimeoutRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TimeoutRing")
    }
}

impl TimeoutRing {
    /// The ring.
    ///
    /// # Errors
    /// `ENOSYS` where the kernel has none, `EPERM` where `kernel.io_uring_disabled` or seccomp forbids it.
    pub fn new() -> Result<Self, SysError> {
        permitted(libc::SYS_io_uring_setup, "io_uring_setup")?;
        let ring = IoUring::new(2).map_err(|error| SysError::from_io("io_uring_setup", &error))?;
        Ok(Self { ring, moment: Box::default() })
    }

    /// Submits a timeout at `moment` and waits for it, in one io_uring_enter(2) unless a signal interrupts it.
    ///
    /// # Errors
    /// `EINVAL` where absolute timeouts are unknown (before Linux 5.5).
    #[inline]
    pub fn sleep_until(&mut self, moment: Nanos) -> Result<(), SysError> {
        *self.moment = types::Timespec::from(Duration::from_nanos(moment.0));
        let timeout = opcode::Timeout::new(&raw const *self.moment).flags(types::TimeoutFlags::ABS).build();
        // SAFETY: the kernel reads the moment while it takes the entry, and has copied what it needs afterwards
        // (io_timeout_prep in io_uring/timeout.c); the box outlives the ring.
        unsafe { self.ring.submission().push(&timeout) }
            .map_err(|_| SysError::new("io_uring submission queue", Errno::EBUSY))?;
        loop {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(SysError::from_io("io_uring_enter", &error)),
            }
            match self.ring.completion().next().map(|completion| completion.result()) {
                None => {}
                Some(result) if result == -libc::ETIME => return Ok(()),
                Some(result) => return Err(SysError::new("IORING_OP_TIMEOUT", Errno::from_raw(-result))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: u64 = 2_000_000;

    #[test]
    fn nobody_wakes_before_the_moment() {
        let (alarm, epoll) = (Alarm::new().unwrap(), EmptyEpoll::new().unwrap());
        let moment = || Nanos(monotonic().0 + PAUSE);
        let slept = |moment: Nanos| assert!(monotonic() >= moment, "woken too early");
        let until = moment();
        sleep_until(until).unwrap();
        slept(until);
        let until = moment();
        alarm.sleep_until(until).unwrap();
        slept(until);
        let until = moment();
        epoll.wait_for_milliseconds(2).unwrap();
        slept(until);
        let until = moment();
        if epoll.wait_for(Duration::from_nanos(PAUSE)).is_ok() {
            slept(until);
        }
        if let Ok(mut ring) = TimeoutRing::new() {
            let until = moment();
            ring.sleep_until(until).unwrap();
            slept(until);
        }
    }

    #[test]
    fn slack_belongs_to_the_thread_and_can_be_set_back() {
        let seen = std::thread::spawn(|| {
            let before = slack().unwrap();
            set_slack(Nanos(1)).unwrap();
            let least = slack().unwrap();
            set_slack(Nanos(0)).unwrap();
            (before, least, slack().unwrap())
        });
        let (before, least, after) = seen.join().unwrap();
        assert_eq!((least, after), (Nanos(1), before));
    }
}
