//! poll(2) over a list that is kept: made once, or changed entry by entry, and handed to the kernel at every wait.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::SysError;
use super::wait_set::{Interest, ReadyEvent, WaitSet, time_spec};
use crate::units::Nanos;

/// Descriptors watched for input, by the order in which they were added.
#[derive(Debug, Default)]
pub struct PollList {
    entries: Vec<libc::pollfd>,
}

impl PollList {
    /// Watches `reader` as well. Only the number is kept: closed, it is found ready with `POLLNVAL`.
    pub fn add(&mut self, reader: impl AsFd) {
        self.entries.push(libc::pollfd { fd: reader.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 });
    }

    /// Waits until at least one is readable, closed or broken, and adds the places of those that are to `ready`.
    ///
    /// # Errors
    /// `EINTR`; `EINVAL` for more entries than RLIMIT_NOFILE.
    #[inline]
    pub fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), SysError> {
        let count = self.entries.len() as libc::nfds_t;
        // SAFETY: the pointer and the length are those of one live allocation, borrowed for the call.
        let found = unsafe { libc::poll(self.entries.as_mut_ptr(), count, -1) };
        let found = Errno::result(found).map_err(|errno| SysError::new("poll", errno))?;
        let reported = self.entries.iter().enumerate().filter(|(_, entry)| entry.revents != 0);
        ready.extend(reported.map(|(place, _)| place).take(found as usize));
        Ok(())
    }
}

/// Descriptors under tokens, of which any may be added, changed and removed between two waits.
#[derive(Debug, Default)]
pub struct PollTable {
    entries: Vec<libc::pollfd>,
    /// The token of each entry.
    tokens: Vec<usize>,
    /// The place of each token's entry; [`Self::NONE`] without one.
    places: Vec<usize>,
}

impl PollTable {
    const NONE: usize = usize::MAX;
}

fn events(interest: Interest) -> libc::c_short {
    match interest {
        Interest::Receive => libc::POLLIN,
        Interest::Send => libc::POLLOUT,
        Interest::Both => libc::POLLIN | libc::POLLOUT,
    }
}

impl WaitSet for PollTable {
    fn add(&mut self, descriptor: BorrowedFd<'_>, token: usize, interest: Interest) -> Result<(), SysError> {
        if self.places.len() <= token {
            self.places.resize(token + 1, Self::NONE);
        }
        self.places[token] = self.entries.len();
        self.tokens.push(token);
        self.entries.push(libc::pollfd { fd: descriptor.as_raw_fd(), events: events(interest), revents: 0 });
        Ok(())
    }

    fn change(&mut self, _: BorrowedFd<'_>, token: usize, interest: Interest) -> Result<(), SysError> {
        self.entries[self.places[token]].events = events(interest);
        Ok(())
    }

    fn remove(&mut self, _: BorrowedFd<'_>, token: usize) {
        let place = std::mem::replace(&mut self.places[token], Self::NONE);
        self.entries.swap_remove(place);
        self.tokens.swap_remove(place);
        if let Some(&moved) = self.tokens.get(place) {
            self.places[moved] = place;
        }
    }

    fn wait(&mut self, timeout: Option<Nanos>, ready: &mut Vec<ReadyEvent>) -> Result<(), SysError> {
        let (count, timeout) = (self.entries.len() as libc::nfds_t, timeout.map(time_spec));
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the pointer and the length are those of one live allocation, the timeout is absent or outlives the
        // call, and there is no signal mask.
        let found = unsafe { libc::ppoll(self.entries.as_mut_ptr(), count, timeout, std::ptr::null()) };
        let found = match Errno::result(found) {
            Ok(found) => found as usize,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(SysError::new("ppoll", errno)),
        };
        if found == 0 {
            return Ok(());
        }
        let reported = self.entries.iter().zip(&self.tokens).filter(|(entry, _)| entry.revents != 0);
        ready.extend(reported.take(found).map(|(entry, &token)| {
            let has = |events: libc::c_short| entry.revents & events != 0;
            let broken = has(libc::POLLERR | libc::POLLHUP | libc::POLLNVAL);
            ReadyEvent { token, receives: has(libc::POLLIN), sends: has(libc::POLLOUT), ended: false, broken }
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::channel::{pipe, write_byte};

    #[test]
    fn the_readable_ones_are_found() {
        let pipes: Vec<_> = (0..5).map(|_| pipe(true).unwrap()).collect();
        let mut list = PollList::default();
        pipes.iter().for_each(|pipe| list.add(&pipe.reader));
        write_byte(&pipes[1].writer, 1).unwrap();
        write_byte(&pipes[4].writer, 1).unwrap();
        let mut ready = Vec::new();
        list.wait(&mut ready).unwrap();
        assert_eq!(ready, [1, 4]);
    }
}
