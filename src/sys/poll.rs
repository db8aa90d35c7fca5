//! poll(2) over a list that is kept: made once, handed to the kernel at every wait.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

use super::SysError;

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
