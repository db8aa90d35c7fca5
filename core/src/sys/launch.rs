//! A program that is started to be watched: it waits before its first instruction until it is released, and takes the
//! signals that are sent to the watcher.

use std::ffi::{CString, OsString};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr::null;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::SysError;
use super::channel::pipe;
use super::process::{close_copy, fork_running, wait_for};
use crate::terms::ResourceUsage;
use crate::units::Nanos;

/// The status of a child that was not released, and of one whose program could not be started: as a shell's.
const NOT_STARTED: i32 = 127;

/// A child process that is to become a program. It has this process's standard input, output and error, its
/// environment and its process group. Dropping it neither ends it nor waits for it, but one that was not released ends.
#[derive(Debug)]
pub struct LaunchedProgram {
    child: Pid,
    name: String,
    gate: Option<std::fs::File>,
    answer: std::fs::File,
}

/// Creates a process for `command`, a program and its arguments; the program is looked for in `PATH` (execvp(3)).
///
/// # Errors
/// `EINVAL` for no program or an argument with a zero byte; `EAGAIN` and `ENOMEM` when there can be no process,
/// `EMFILE`. That there is no such program is known when it is released.
pub fn launch(command: &[OsString]) -> Result<LaunchedProgram, SysError> {
    let string = |text: &OsString| CString::new(text.as_bytes());
    let strings: Result<Vec<CString>, _> = command.iter().map(string).collect();
    let strings = strings.map_err(|_| SysError::new("execvp: an argument with a zero byte", Errno::EINVAL))?;
    let Some(program) = strings.first() else { return Err(SysError::new("execvp of no program", Errno::EINVAL)) };
    let arguments: Vec<*const libc::c_char> = strings.iter().map(|text| text.as_ptr()).chain([null()]).collect();
    let (gate, answer) = (pipe(false)?, pipe(false)?);
    let [gate_end, answer_end] = [gate.reader.as_raw_fd(), answer.writer.as_raw_fd()];
    let [gate_writer, answer_reader] = [gate.writer.as_fd(), answer.reader.as_fd()];
    let child = fork_running(|| {
        close_copy(gate_writer);
        close_copy(answer_reader);
        become_program(gate_end, answer_end, program.as_ptr(), &arguments)
    })?;
    let name = command[0].to_string_lossy().into_owned();
    let (gate, answer) = (Some(std::fs::File::from(gate.writer)), std::fs::File::from(answer.reader));
    Ok(LaunchedProgram { child, name, gate, answer })
}

/// Runs in the child: waits at the gate, then becomes the program, or tells why it cannot. Both ends are closed by
/// execve(2). Allocates nothing.
fn become_program(gate: RawFd, answer: RawFd, program: *const libc::c_char, arguments: &[*const libc::c_char]) -> i32 {
    let mut byte = 0_u8;
    let opened = loop {
        // SAFETY: the kernel writes at most one byte to where one is.
        let read = unsafe { libc::read(gate, (&raw mut byte).cast(), 1) };
        if read >= 0 || Errno::last() != Errno::EINTR {
            break read == 1;
        }
    };
    if !opened {
        return NOT_STARTED;
    }
    // SAFETY: Rust's runtime ignores SIGPIPE, which a program would inherit (signal(7), "Execve").
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    // SAFETY: both are strings that end with a zero, and the array ends with a null pointer; all live in the parent's
    // frame, of which this is a copy.
    unsafe { libc::execvp(program, arguments.as_ptr()) };
    let errno = (Errno::last() as i32).to_ne_bytes();
    // SAFETY: four bytes are there to be read. That they cannot be written means that the parent is gone.
    unsafe { libc::write(answer, errno.as_ptr().cast(), errno.len()) };
    NOT_STARTED
}

impl LaunchedProgram {
    /// The process that is, or will be, the program.
    pub fn process(&self) -> Pid {
        self.child
    }

    /// Lets the program begin. Does nothing when it has begun.
    ///
    /// # Errors
    /// What execve(2) gives: `ENOENT` when there is no such program, `EACCES` when it may not be run. The child has
    /// been waited for then.
    pub fn release(&mut self) -> Result<(), SysError> {
        let Some(mut gate) = self.gate.take() else { return Ok(()) };
        let failed = |errno| SysError::new(format!("execvp {}", self.name), errno);
        // Only a child that was killed does not read.
        let _ = gate.write_all(&[1]);
        let mut answer = Vec::new();
        let read = self.answer.read_to_end(&mut answer);
        match (read, <[u8; 4]>::try_from(answer)) {
            (Ok(4), Ok(errno)) => {
                wait_for(self.child)?;
                Err(failed(Errno::from_raw(i32::from_ne_bytes(errno))))
            }
            _ => Ok(()),
        }
    }

    /// Waits for the program to end; returns its status as a shell would: that of exit(3), or 128 and the number of the
    /// signal that ended it.
    ///
    /// # Errors
    /// `ECHILD` when it was waited for already.
    pub fn wait(&self) -> Result<i32, SysError> {
        Ok(match wait_for(self.child)? {
            WaitStatus::Exited(_, status) => status,
            WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
            _ => NOT_STARTED,
        })
    }
}

/// What the child `process`, which has ended and was not waited for, used: with its threads that ended, and with its
/// own children that it waited for. It is left to be waited for. `None` when it is alive or no child.
pub fn usage_of_ended(process: Pid) -> Option<ResourceUsage> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // The system call has a fifth argument that the function of the C library has not (waitid(2), "C library/kernel
    // differences"). SAFETY: the kernel fills both structures in, or leaves them as they are, which is zero.
    let answer = unsafe {
        let call = libc::SYS_waitid;
        libc::syscall(call, libc::P_PID, process.as_raw(), info.as_mut_ptr(), flags, usage.as_mut_ptr())
    };
    // SAFETY: all zeroes are valid values of both.
    let (info, usage) = unsafe { (info.assume_init(), usage.assume_init()) };
    // SAFETY: of an answer to waitid(2), and zero where there was none.
    if answer != 0 || unsafe { info.si_pid() } != process.as_raw() {
        return None;
    }
    let time = |time: libc::timeval| Nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000);
    Some(ResourceUsage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        voluntary: usage.ru_nvcsw as u64,
        involuntary: usage.ru_nivcsw as u64,
        minor_faults: usage.ru_minflt as u64,
        major_faults: usage.ru_majflt as u64,
    })
}

/// The signals that are passed on: those that a person or a service manager sends to a program.
const PASSED: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

/// The process that signals are passed to; 0 is none.
static RECEIVER: AtomicI32 = AtomicI32::new(0);

extern "C" fn pass(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let receiver = RECEIVER.load(Ordering::Relaxed);
    // SAFETY: the kernel passes a valid structure to a handler with SA_SIGINFO.
    let from_kernel = unsafe { (*info).si_code } > 0;
    // What a terminal sends (Ctrl-C) goes to the whole process group, so that the child has it already.
    if receiver > 0 && !from_kernel {
        let errno = Errno::last_raw();
        // SAFETY: kill(2) takes two numbers and is safe in a signal handler (signal-safety(7)). The child may have
        // ended; until it is waited for, its number is no other process's.
        unsafe { libc::kill(receiver, signal) };
        Errno::set_raw(errno);
    }
}

/// Signals to this process go to another one, until this is dropped: then they do what they did before.
#[derive(Debug)]
pub struct PassedSignals(Vec<(Signal, SigAction)>);

impl PassedSignals {
    /// Passes SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGALRM to `process`, a child of this one, and no
    /// longer than until it is waited for. A signal that is ignored stays so: `nohup` means the program too, which
    /// inherits it. There is one receiver in a process.
    ///
    /// # Errors
    /// None for these signals.
    pub fn to(process: Pid) -> Result<Self, SysError> {
        RECEIVER.store(process.as_raw(), Ordering::Relaxed);
        let action = SigAction::new(SigHandler::SigAction(pass), SaFlags::SA_RESTART, SigSet::empty());
        let mut before = Vec::new();
        for signal in PASSED.into_iter().filter(|&signal| !is_ignored(signal)) {
            // SAFETY: the handler loads an atomic and calls kill(2), which is safe in one.
            match unsafe { sigaction(signal, &action) } {
                Ok(old) => before.push((signal, old)),
                Err(errno) => return Err(SysError::new("rt_sigaction", errno)),
            }
        }
        Ok(Self(before))
    }
}

impl Drop for PassedSignals {
    fn drop(&mut self) {
        RECEIVER.store(0, Ordering::Relaxed);
        for (signal, action) in &self.0 {
            // SAFETY: the action was there before.
            let _ = unsafe { sigaction(*signal, action) };
        }
    }
}

fn is_ignored(signal: Signal) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the kernel fills `action` in when it answers 0, and changes nothing for a null pointer.
    let answer = unsafe { libc::sigaction(signal as libc::c_int, null(), action.as_mut_ptr()) };
    // SAFETY: filled in, or all zeroes, which are valid.
    answer == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(words: &[&str]) -> LaunchedProgram {
        launch(&words.iter().map(OsString::from).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_program_begins_when_it_is_released_and_not_before() {
        let folder = std::env::temp_dir().join(format!("launch-{}", std::process::id()));
        let mut program = program(&["mkdir", &folder.to_string_lossy()]);
        let comm = std::fs::read_to_string(format!("/proc/{}/comm", program.process())).unwrap();
        assert_ne!(comm.trim(), "mkdir");
        assert!(!folder.exists());
        program.release().unwrap();
        assert_eq!(program.wait(), Ok(0));
        assert!(folder.exists());
        std::fs::remove_dir(folder).unwrap();
    }

    #[test]
    fn the_status_is_that_of_a_shell() {
        let ends = |line: &str| {
            let mut program = program(&["sh", "-c", line]);
            program.release().unwrap();
            program.wait().unwrap()
        };
        assert_eq!((ends("exit 7"), ends("kill -TERM $$"), ends("exit 0")), (7, 143, 0));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let error = program(&["no-such-program-anywhere"]).release().unwrap_err();
        assert_eq!((error.errno, error.call.as_str()), (Errno::ENOENT, "execvp no-such-program-anywhere"));
        let error = program(&["/dev/null"]).release().unwrap_err();
        assert_eq!(error.errno, Errno::EACCES);
        assert_eq!(launch(&[]).unwrap_err().errno, Errno::EINVAL);
    }

    #[test]
    fn one_that_is_not_released_ends() {
        let program = program(&["sh", "-c", "exit 0"]);
        let child = program.process();
        drop(program);
        assert!(matches!(wait_for(child), Ok(WaitStatus::Exited(_, NOT_STARTED))));
    }

    #[test]
    fn what_an_ended_child_used_is_known_before_it_is_waited_for() {
        let mut program =
            program(&["sh", "-c", "sleep 0.01; sleep 0.01; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]);
        assert_eq!(usage_of_ended(program.process()), None);
        program.release().unwrap();
        let usage = loop {
            match usage_of_ended(program.process()) {
                Some(usage) => break usage,
                None => std::thread::yield_now(),
            }
        };
        // The shell waits for each sleep, which sleeps once.
        assert!(usage.voluntary >= 4 && usage.cpu() > Nanos(0), "{usage:?}");
        assert_eq!(program.wait(), Ok(0));
    }
}
