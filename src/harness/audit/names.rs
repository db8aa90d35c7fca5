//! What the audit calls a system call: the kernel's name, the same on every architecture and C library, and behind a
//! colon the part of the arguments that makes it another operation.

use syscalls::Sysno;

use crate::sys::ptrace::{SyscallEntry, epoll_events};

/// The name of the call that `entry` enters.
pub(super) fn name(entry: &SyscallEntry) -> String {
    let Some(call) = usize::try_from(entry.number).ok().and_then(Sysno::new) else {
        return format!("call {}", entry.number);
    };
    match call.name() {
        "futex" => format!("futex:{}", futex_operation(entry.arguments[1])),
        "epoll_ctl" => format!("epoll_ctl:{}", interest(entry)),
        other => plain(other).into(),
    }
}

/// One name for calls that C libraries and architectures choose between freely.
fn plain(name: &str) -> &str {
    match name {
        "clone3" | "fork" | "vfork" => "clone",
        // arm64 has no epoll_wait; glibc then passes an empty mask to epoll_pwait.
        "epoll_pwait" | "epoll_pwait2" => "epoll_wait",
        "ppoll" => "poll",
        "pselect6" => "select",
        "waitid" => "wait4",
        other => other,
    }
}

/// futex(2), "Futex operations": the command without its flags. The bitset forms are what libraries use to give an
/// absolute timeout.
fn futex_operation(argument: u64) -> String {
    let command = argument as i32 & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    match command {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => "wait".into(),
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => "wake".into(),
        libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE => "requeue".into(),
        libc::FUTEX_LOCK_PI => "lock-pi".into(),
        libc::FUTEX_UNLOCK_PI => "unlock-pi".into(),
        other => other.to_string(),
    }
}

/// epoll_ctl(2): what is registered, or that something is removed.
fn interest(entry: &SyscallEntry) -> &'static str {
    if entry.arguments[1] == libc::EPOLL_CTL_DEL as u64 {
        return "remove";
    }
    match epoll_events(entry) {
        Some(events) if events & libc::EPOLLET as u32 != 0 => "edge",
        Some(events) if events & libc::EPOLLONESHOT as u32 != 0 => "oneshot",
        Some(_) => "level",
        None => "unreadable",
    }
}
