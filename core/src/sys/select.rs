//! select(2) past 1024 descriptors.
//!
//! The limit of 1024 is that of the C library's `fd_set` and of its macros. The kernel takes a bitmap of any length up
//! to the process's descriptor table (`core_sys_select` in fs/select.c), so the call is made directly, with a bitmap of
//! our own. It is pselect6, which every architecture has; without timeout and mask it does what select does.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::SysError;
use super::wait_set::{Interest, ReadyEvent, WaitSet, time_spec};
use crate::units::Nanos;

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

/// Descriptors under tokens, of which any may be added, changed and removed between two waits.
#[derive(Debug, Default)]
pub struct SelectTable {
    receive: Vec<libc::c_ulong>,
    send: Vec<libc::c_ulong>,
    /// What the kernel is handed and writes its answer over: both bitmaps.
    answer: [Vec<libc::c_ulong>; 2],
    /// The token, by descriptor.
    tokens: Vec<usize>,
    /// One past the highest descriptor: what the kernel looks at ends there.
    end: usize,
}

fn set_bit(bitmap: &mut [libc::c_ulong], descriptor: usize, on: bool) {
    let bit = 1 << (descriptor % BITS);
    let word = &mut bitmap[descriptor / BITS];
    *word = if on { *word | bit } else { *word & !bit };
}

fn has_bit(bitmap: &[libc::c_ulong], descriptor: usize) -> bool {
    bitmap[descriptor / BITS] >> (descriptor % BITS) & 1 == 1
}

impl WaitSet for SelectTable {
    fn add(&mut self, descriptor: BorrowedFd<'_>, token: usize, interest: Interest) -> Result<(), SysError> {
        // An open descriptor's number is not negative.
        let number = descriptor.as_raw_fd() as usize;
        if self.tokens.len() <= number {
            self.tokens.resize(number + 1, 0);
            let words = number / BITS + 1;
            let [first, second] = &mut self.answer;
            [&mut self.receive, &mut self.send, first, second].into_iter().for_each(|bitmap| bitmap.resize(words, 0));
        }
        self.tokens[number] = token;
        self.end = self.end.max(number + 1);
        self.change(descriptor, token, interest)
    }

    fn change(&mut self, descriptor: BorrowedFd<'_>, _: usize, interest: Interest) -> Result<(), SysError> {
        let number = descriptor.as_raw_fd() as usize;
        set_bit(&mut self.receive, number, interest != Interest::Send);
        set_bit(&mut self.send, number, interest != Interest::Receive);
        Ok(())
    }

    fn remove(&mut self, descriptor: BorrowedFd<'_>, _: usize) {
        let number = descriptor.as_raw_fd() as usize;
        set_bit(&mut self.receive, number, false);
        set_bit(&mut self.send, number, false);
        while self.end > 0 && !has_bit(&self.receive, self.end - 1) && !has_bit(&self.send, self.end - 1) {
            self.end -= 1;
        }
    }

    fn wait(&mut self, timeout: Option<Nanos>, ready: &mut Vec<ReadyEvent>) -> Result<(), SysError> {
        let words = self.end.div_ceil(BITS);
        let [receive, send] = &mut self.answer;
        receive[..words].copy_from_slice(&self.receive[..words]);
        send[..words].copy_from_slice(&self.send[..words]);
        let mut timeout = timeout.map(time_spec);
        let timeout = timeout.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
        let none = std::ptr::null::<libc::c_void>();
        let (receives, sends) = (receive.as_mut_ptr(), send.as_mut_ptr());
        // SAFETY: the kernel reads and writes `end` bits rounded up to whole words, which is no more than both bitmaps
        // hold; the third set and the mask are absent, the timeout too or a value that outlives the call.
        let found = unsafe { libc::syscall(libc::SYS_pselect6, self.end, receives, sends, none, timeout, none) };
        match Errno::result(found) {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(errno) => return Err(SysError::new("pselect6", errno)),
        }
        for index in 0..words {
            let mut left = receive[index] | send[index];
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                let has = |word: libc::c_ulong| word >> bit & 1 == 1;
                ready.push(ReadyEvent {
                    token: self.tokens[index * BITS + bit],
                    receives: has(receive[index]),
                    sends: has(send[index]),
                    ended: false,
                    broken: false,
                });
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
