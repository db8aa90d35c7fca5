//! Threads in great numbers: pthread_create(3) without what the standard library adds to each of its own.
//!
//! `std::thread` gives each thread an alternative signal stack with a guard below it: three more system calls, two more
//! mappings of the 65,530 that a process may have (vm.max_map_count), and where the mapping fails the program is
//! aborted from inside the new thread. Here a limit that is met is an error that the caller gets. A stack that
//! overflows still meets its guard page, but the program then ends without a message.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use nix::errno::Errno;

use super::SysError;

type Body = Box<dyn FnOnce() + Send>;

/// The smallest stack that a thread may have: 16 KiB on x86-64, 128 KiB on arm64 with glibc. What musl would allow,
/// 2 KiB, holds no body.
pub const LEAST_STACK: usize = if libc::PTHREAD_STACK_MIN > 16 << 10 { libc::PTHREAD_STACK_MIN } else { 16 << 10 };

/// A thread that runs or has ended. Dropping it neither ends it nor waits for it.
#[derive(Debug)]
pub struct Pthread(libc::pthread_t);

// SAFETY: a `pthread_t` names a thread to every thread of the process (pthreads(7)); musl spells it as a pointer, which
// nothing here follows. Joining takes `self`, so that one thread alone does.
unsafe impl Send for Pthread {}

impl Pthread {
    /// Starts a thread that runs `body` on a stack of `stack` bytes, and a guard page below it. A `body` that panics
    /// ends the program: catch what may panic.
    ///
    /// # Errors
    /// `EAGAIN` at a limit on tasks, mappings or memory; `EINVAL` for a stack smaller than [`LEAST_STACK`].
    pub fn start(stack: usize, body: impl FnOnce() + Send + 'static) -> Result<Self, SysError> {
        let body: Box<Body> = Box::new(Box::new(body));
        let argument = Box::into_raw(body);
        create(stack, argument.cast()).map(Self).inspect_err(|_| {
            // SAFETY: no thread was started, so that the pointer of `into_raw` is still this one's alone.
            drop(unsafe { Box::from_raw(argument) });
        })
    }

    /// Waits for its end, and for the memory of its stack.
    pub fn join(self) {
        // SAFETY: the thread was created joinable, and `self`, which is taken here, is its only name. The answer can
        // only be that a thread waits for itself, which the one that owns its name can tell.
        unsafe { libc::pthread_join(self.0, null_mut()) };
    }
}

fn create(stack: usize, argument: *mut c_void) -> Result<libc::pthread_t, SysError> {
    let failed = |call: &'static str, errno| match errno {
        0 => Ok(()),
        errno => Err(SysError::new(call, Errno::from_raw(errno))),
    };
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: it initialises what it is given.
    failed("pthread_attr_init", unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) })?;
    // SAFETY: initialised above.
    let set = unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack) };
    let mut thread = MaybeUninit::uninit();
    let created = failed("pthread_attr_setstacksize", set).and_then(|()| {
        // SAFETY: the attributes are initialised; `live` takes the argument that `Pthread::start` made for it.
        let created = unsafe { libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), live, argument) };
        failed("clone3", created)
    });
    // SAFETY: initialised above, and not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    // SAFETY: pthread_create wrote the thread's name when it answered 0.
    created.map(|()| unsafe { thread.assume_init() })
}

extern "C" fn live(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `Pthread::start` made it from a box, for this thread alone.
    let body = unsafe { Box::from_raw(argument.cast::<Body>()) };
    body();
    null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_thread_runs_its_body_and_is_joined() {
        let (sender, receiver) = mpsc::channel();
        let threads: Vec<Pthread> = (0..50)
            .map(|number| {
                let sender = sender.clone();
                Pthread::start(LEAST_STACK, move || sender.send(number).unwrap()).unwrap()
            })
            .collect();
        threads.into_iter().for_each(Pthread::join);
        drop(sender);
        let mut told: Vec<i32> = receiver.iter().collect();
        told.sort_unstable();
        assert_eq!(told, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_started_is_an_error_and_drops_its_body() {
        let (sender, receiver) = mpsc::channel::<()>();
        let error = Pthread::start(1, move || drop(sender)).unwrap_err();
        assert_eq!(error.errno, Errno::EINVAL);
        assert!(receiver.recv().is_err(), "the body is gone");
    }
}
