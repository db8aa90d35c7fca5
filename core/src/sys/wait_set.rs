//! What select(2), poll(2) and epoll(7) have in common: a set of descriptors under tokens, and a wait for some of them.

use std::os::fd::BorrowedFd;

use super::SysError;
use crate::units::Nanos;

/// What of a descriptor is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// That there is something to receive, or to accept.
    Receive,
    /// That there is room to send.
    Send,
    /// Either.
    Both,
}

/// A descriptor that a wait has found ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyEvent {
    /// The token under which it was added.
    pub token: usize,
    /// There is something to receive, or the other side has ended.
    pub receives: bool,
    /// There is room to send.
    pub sends: bool,
    /// The other side sends nothing beyond what has arrived; some sets do not tell.
    pub ended: bool,
    /// The connection has failed or ended on both sides, which sets tell whether it was asked for or not.
    pub broken: bool,
}

/// A set of descriptors to wait for.
pub trait WaitSet {
    /// How often a descriptor must be armed again.
    const REARM: Rearm = Rearm::OnChange;

    /// Adds `descriptor` as `token`, which no other descriptor in the set has.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC` at fs.epoll.max_user_watches.
    fn add(&mut self, descriptor: BorrowedFd<'_>, token: usize, interest: Interest) -> Result<(), SysError>;

    /// Waits for something else of a descriptor that is in the set, or arms it again.
    ///
    /// # Errors
    /// `ENOMEM`.
    fn change(&mut self, descriptor: BorrowedFd<'_>, token: usize, interest: Interest) -> Result<(), SysError>;

    /// Takes a descriptor off the set.
    fn remove(&mut self, descriptor: BorrowedFd<'_>, token: usize);

    /// Waits until one is ready, or for `timeout`, and adds those that are to `ready`: none after a signal.
    ///
    /// # Errors
    /// What the call gives but `EINTR`.
    fn wait(&mut self, timeout: Option<Nanos>, ready: &mut Vec<ReadyEvent>) -> Result<(), SysError>;
}

/// How often a set must be told again what to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rearm {
    /// When that changes: it reports a descriptor as long as it is ready.
    OnChange,
    /// Never: it reports that a descriptor has become ready, once.
    Never,
    /// After each report.
    Always,
}

pub(super) fn time_spec(time: Nanos) -> libc::timespec {
    const SECOND: u64 = 1_000_000_000;
    libc::timespec { tv_sec: (time.0 / SECOND) as _, tv_nsec: (time.0 % SECOND) as libc::c_long }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::channel::{pipe, write_byte};
    use crate::sys::epoll::EpollSet;
    use crate::sys::poll::PollTable;
    use crate::sys::select::SelectTable;

    /// Adds, finds, changes and removes.
    fn keeps_its_word(mut set: impl WaitSet) {
        let pipes: Vec<_> = (0..4).map(|_| pipe(true).unwrap()).collect();
        pipes.iter().enumerate().for_each(|(n, p)| set.add(p.reader.as_fd(), n, Interest::Receive).unwrap());
        set.add(pipes[0].writer.as_fd(), 9, Interest::Send).unwrap();
        let found = |set: &mut dyn FnMut(&mut Vec<ReadyEvent>)| {
            let mut ready = Vec::new();
            set(&mut ready);
            let mut tokens: Vec<usize> = ready.iter().map(|event| event.token).collect();
            tokens.sort_unstable();
            tokens
        };
        write_byte(&pipes[2].writer, 1).unwrap();
        assert_eq!(found(&mut |ready| set.wait(None, ready).unwrap()), [2, 9]);
        set.remove(pipes[0].writer.as_fd(), 9);
        set.remove(pipes[1].reader.as_fd(), 1);
        write_byte(&pipes[1].writer, 1).unwrap();
        write_byte(&pipes[3].writer, 1).unwrap();
        assert_eq!(found(&mut |ready| set.wait(Some(Nanos(1_000_000)), ready).unwrap()), [2, 3]);
        set.add(pipes[1].reader.as_fd(), 1, Interest::Receive).unwrap();
        set.remove(pipes[2].reader.as_fd(), 2);
        set.remove(pipes[3].reader.as_fd(), 3);
        assert_eq!(found(&mut |ready| set.wait(None, ready).unwrap()), [1]);
        set.remove(pipes[1].reader.as_fd(), 1);
        assert_eq!(found(&mut |ready| set.wait(Some(Nanos(1_000)), ready).unwrap()), [0_usize; 0]);
    }

    #[test]
    fn every_set_keeps_its_word() {
        keeps_its_word(PollTable::default());
        keeps_its_word(SelectTable::default());
        keeps_its_word(EpollSet::<LEVEL>::new().unwrap());
    }

    use crate::sys::epoll::LEVEL;
}
