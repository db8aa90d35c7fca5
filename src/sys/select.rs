//! select(2) past 1024 descriptors.
//!
//! The limit of 1024 is that of the C library's `fd_set` and of its macros. The kernel takes a bitmap of any length up
//! to the process's descriptor table (`core_sys_select` in fs/select.c), so the call is made directly, with a bitmap of
//! our own. It is pselect6, which every architecture has; without timeout and mask it does what select does.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

use super::SysError;

const BITS: usize = libc::c_ulong::BITS as usize;

/// Descriptors watched for input, each under a number of the caller's.
#[derive(Debug, Default)]
pub struct SelectSet {
    /// What is watched, a bit a descriptor.
    watched: Vec<libc::c_ulong>,
    /// What the kernel is handed and writes its answer over.
    answer: Vec<libc::c_ulong>,
    /// The caller's number, by descriptor.
    numbers: Vec<usize>,
}

impl SelectSet {
    /// Watches `reader` as `number`. Only the descriptor's number is kept: closed, the wait answers `EBADF`.
    pub fn add(&mut self, reader: impl AsFd, number: usize) {
        // An open descriptor's number is not negative.
        let descriptor = reader.as_fd().as_raw_fd() as usize;
        if self.numbers.len() <= descriptor {
            self.numbers.resize(descriptor + 1, 0);
            self.watched.resize(descriptor / BITS + 1, 0);
            self.answer.resize(descriptor / BITS + 1, 0);
        }
        self.numbers[descriptor] = number;
        self.watched[descriptor / BITS] |= 1 << (descriptor % BITS);
    }

    /// Waits until at least one is readable, and adds the numbers of those that are to `ready`.
    ///
    /// # Errors
    /// `EINTR`; `EBADF` when one was closed.
    #[inline]
    pub fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), SysError> {
        self.select(std::ptr::null_mut(), ready)
    }

    /// Adds the numbers of those that are readable now to `ready`.
    ///
    /// # Errors
    /// `EINTR`; `EBADF` when one was closed.
    #[inline]
    pub fn poll(&mut self, ready: &mut Vec<usize>) -> Result<(), SysError> {
        let mut at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        self.select(&raw mut at_once, ready)
    }

    #[inline]
    fn select(&mut self, timeout: *mut libc::timespec, ready: &mut Vec<usize>) -> Result<(), SysError> {
        self.answer.copy_from_slice(&self.watched);
        let (count, none) = (self.numbers.len(), std::ptr::null::<libc::c_void>());
        // SAFETY: the kernel reads and writes `count` bits rounded up to whole words, which is what `answer` holds;
        // the other sets and the mask are absent, the timeout too or a value that outlives the call; the kernel writes
        // what is left of it back.
        let found =
            unsafe { libc::syscall(libc::SYS_pselect6, count, self.answer.as_mut_ptr(), none, none, timeout, none) };
        Errno::result(found).map_err(|errno| SysError::new("pselect6", errno))?;
        for (index, &word) in self.answer.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                ready.push(self.numbers[index * BITS + left.trailing_zeros() as usize]);
                left &= left - 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::channel::{pipe, write_byte};

    #[test]
    fn descriptors_past_1024_are_found() {
        let pipes: Vec<_> = (0..600).map(|_| pipe(true).unwrap()).collect();
        assert!(pipes[599].reader.as_raw_fd() > 1024);
        let mut set = SelectSet::default();
        pipes.iter().enumerate().for_each(|(number, pipe)| set.add(&pipe.reader, number));
        write_byte(&pipes[3].writer, 1).unwrap();
        write_byte(&pipes[599].writer, 1).unwrap();
        let mut ready = Vec::new();
        set.wait(&mut ready).unwrap();
        assert_eq!(ready, [3, 599]);
    }
}
