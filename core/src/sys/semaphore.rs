//! POSIX semaphores between the threads of a process: sem_overview(7).

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::pin::Pin;

use nix::errno::Errno;

use super::SysError;

/// An unnamed semaphore. Boxed, because sem_init(3) allows no move.
pub struct Semaphore(Pin<Box<UnsafeCell<libc::sem_t>>>);

// SAFETY: sem_post(3) and sem_wait(3) may be called from any thread ("MT-Safe").
unsafe impl Send for Semaphore {}
// SAFETY: as above; the cell is only ever passed to those calls.
unsafe impl Sync for Semaphore {}

impl std::fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Semaphore")
    }
}

impl Semaphore {
    /// A semaphore at 0.
    ///
    /// # Errors
    /// None for a semaphore of one process.
    pub fn new() -> Result<Self, SysError> {
        // SAFETY: all zeroes are valid for the plain array of bytes that sem_t is.
        let semaphore = Box::pin(UnsafeCell::new(unsafe { MaybeUninit::<libc::sem_t>::zeroed().assume_init() }));
        // SAFETY: the pinned box keeps its address until `drop`.
        match unsafe { libc::sem_init(semaphore.get(), 0, 0) } {
            0 => Ok(Self(semaphore)),
            _ => Err(SysError::last("sem_init")),
        }
    }

    /// Adds one, and wakes a waiter if there is one.
    ///
    /// # Errors
    /// `EOVERFLOW` at `SEM_VALUE_MAX`.
    #[inline]
    pub fn post(&self) -> Result<(), SysError> {
        // SAFETY: initialised, and alive as long as `self`.
        if unsafe { libc::sem_post(self.0.get()) } == 0 { Ok(()) } else { Err(SysError::last("sem_post")) }
    }

    /// Waits until there is one to take, and takes it; again after `EINTR`.
    ///
    /// # Errors
    /// None that a valid semaphore gives.
    #[inline]
    pub fn wait(&self) -> Result<(), SysError> {
        loop {
            // SAFETY: initialised, and alive as long as `self`.
            if unsafe { libc::sem_wait(self.0.get()) } == 0 {
                return Ok(());
            }
            match Errno::last() {
                Errno::EINTR => {}
                errno => return Err(SysError::new("sem_wait", errno)),
            }
        }
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        // SAFETY: no other thread holds a reference any more, so none waits on it.
        unsafe { libc::sem_destroy(self.0.get()) };
    }
}
