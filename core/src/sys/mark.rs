//! Marks that a traced process leaves for its tracer: a system call that does nothing.

/// The option number of the marks: no prctl(2) option, and none that the kernel will ever hand out ("SWCT").
const OPTION: libc::c_int = 0x5357_4354;

/// The driver begins a batch.
pub const BATCH_BEGINS: u64 = 1 << 32;
/// The driver has ended a batch.
pub const BATCH_ENDS: u64 = BATCH_BEGINS + 1;

/// Leaves mark `number` on the calling thread. The kernel answers EINVAL and does nothing.
pub fn leave(number: u64) {
    // SAFETY: prctl(2) with an unknown option touches nothing.
    unsafe { libc::prctl(OPTION, number, 0, 0, 0) };
}

/// Leaves mark `number` on the calling thread and returns the tracer's answer to it; `None` when no tracer answers.
pub fn ask(number: u64) -> Option<u64> {
    // Not the C library's prctl, whose answer is an int.
    // SAFETY: prctl(2) with an unknown option touches nothing.
    let answer = unsafe { libc::syscall(libc::SYS_prctl, libc::c_long::from(OPTION), number, 0, 0, 0) };
    u64::try_from(answer).ok()
}

/// The mark's number, if a call with these arguments is one.
pub fn read(call: u64, arguments: &[u64; 6]) -> Option<u64> {
    (call == libc::SYS_prctl as u64 && arguments[0] == OPTION as u64).then_some(arguments[1])
}
