//! The bare clone3(2): a thread that does nothing but end, without the C library's stack, storage and start-up.

use std::sync::atomic::{AtomicU32, Ordering};

use super::SysError;
use super::futex::{FutexScope, wait};

/// Room for the threads' one stack pointer; they never use it, but a signal's handler would.
const STACK: usize = 16 * 1024;

/// The stack and the word that bare threads of one creator share. Only one of these threads is alive at a time.
#[derive(Debug)]
pub struct BareThreads {
    stack: Box<[u8]>,
    // The kernel stores 0 and wakes when the thread has ended (CLONE_CHILD_CLEARTID).
    alive: Box<AtomicU32>,
}

/// Whether this architecture is one for which the few instructions of such a thread are written down here.
pub const SUPPORTED: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// What a thread of this program shares with the others; the C library's own set without CLONE_SETTLS.
const FLAGS: libc::c_int = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;

impl Default for BareThreads {
    fn default() -> Self {
        Self { stack: vec![0; STACK].into_boxed_slice(), alive: Box::new(AtomicU32::new(0)) }
    }
}

impl BareThreads {
    /// Creates a thread that ends at once, and waits until it has.
    ///
    /// # Errors
    /// `EAGAIN` at one of the limits on threads, `ENOSYS` where clone3(2) is missing or filtered, or the architecture
    /// is not [`SUPPORTED`].
    #[inline]
    pub fn create_and_await(&mut self) -> Result<(), SysError> {
        // SAFETY: all zeroes are valid, and mean "not wanted".
        let mut arguments: libc::clone_args = unsafe { std::mem::MaybeUninit::zeroed().assume_init() };
        arguments.flags = FLAGS as u64;
        arguments.parent_tid = self.alive.as_ptr() as u64;
        arguments.child_tid = self.alive.as_ptr() as u64;
        arguments.stack = self.stack.as_mut_ptr() as u64;
        arguments.stack_size = self.stack.len() as u64;
        // SAFETY: the child, on a stack of its own that lives as long as `self`, executes nothing but exit(2): it
        // touches no memory, and no thread-local storage, which it shares with this thread. `&mut self` and the wait
        // below keep it the only one.
        let answer = unsafe { clone_and_exit(&arguments) };
        if answer < 0 {
            return Err(SysError::new("clone3", nix::errno::Errno::from_raw(-answer as i32)));
        }
        loop {
            match self.alive.load(Ordering::Acquire) {
                0 => return Ok(()),
                // The kernel's wake is a shared one (kernel/fork.c, mm_release).
                thread => wait(&self.alive, thread, FutexScope::Shared, None)?,
            }
        }
    }
}

/// clone3(2) whose child goes on with exit(2) of 0. Returns the child's id, or a negative errno.
///
/// # Safety
/// `arguments` must be valid, and no other thread may use the child's stack.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_and_exit(arguments: &libc::clone_args) -> i64 {
    let mut answer = libc::SYS_clone3;
    // SAFETY: a system call with the kernel's convention (syscall(2)): rcx and r11 are its to change. The child has 0
    // in rax, and exits before it reaches anything that is the parent's.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, {exit}",
            "xor edi, edi",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("rax") answer,
            in("rdi") arguments,
            in("rsi") size_of::<libc::clone_args>(),
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    answer
}

/// clone3(2) whose child goes on with exit(2) of 0. Returns the child's id, or a negative errno.
///
/// # Safety
/// `arguments` must be valid, and no other thread may use the child's stack.
#[cfg(target_arch = "aarch64")]
unsafe fn clone_and_exit(arguments: &libc::clone_args) -> i64 {
    let answer: i64;
    // SAFETY: a system call with the kernel's convention (syscall(2)): x0 alone is changed. The child has 0 in x0, and
    // exits before it reaches anything that is the parent's.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x8, {exit}",
            "svc 0",
            "brk 1",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("x0") std::ptr::from_ref(arguments) => answer,
            in("x1") size_of::<libc::clone_args>(),
            inlateout("x8") libc::SYS_clone3 => _,
        );
    }
    answer
}

/// # Safety
/// None is needed: it does nothing.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn clone_and_exit(_: &libc::clone_args) -> i64 {
    -i64::from(libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_threads_come_and_go() {
        let mut threads = BareThreads::default();
        for _ in 0..1000 {
            threads.create_and_await().unwrap();
        }
    }
}
