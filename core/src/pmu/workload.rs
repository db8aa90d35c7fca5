//! Work over which events are tried before anything is measured.

use std::hint::black_box;
use std::io::{self, Read, Write, pipe};
use std::thread;

use crate::sys::memory::ResidentBytes;

/// Long enough that every working PMU has counted, short enough (a millisecond at the slowest) to cost nothing.
const STEPS: u64 = 100_000;

/// Bytes mapped anew, so that pages fault and the pipeline stalls on any processor.
const FRESH_MEMORY: usize = 1 << 18;

/// Each takes the counters off the processor and puts them back.
const ROUND_TRIPS: u32 = 20;

/// Instructions in user mode, system calls, fresh memory, and a byte handed back and forth with a thread created
/// meanwhile, which inherits the events: cycles, instructions, branches and clocks advance on every working PMU, in
/// user mode and in the kernel.
pub(super) fn run() {
    // What the machine does not grant is left out; the loop and the call are enough to advance.
    let _ = ResidentBytes::new(FRESH_MEMORY).map(black_box);
    for step in 0..STEPS {
        black_box(step);
    }
    black_box(nix::unistd::getppid());
    let _ = hand_over();
}

/// Each side owns its ends of the pipes: where one fails, the other reads the end of the file and ends as well.
fn hand_over() -> io::Result<()> {
    let (mut request_in, mut request_out) = pipe()?;
    let (mut reply_in, mut reply_out) = pipe()?;
    let answer = move || {
        let mut byte = [0];
        while request_in.read_exact(&mut byte).is_ok() && reply_out.write_all(&byte).is_ok() {}
    };
    let answering = thread::Builder::new().spawn(answer)?;
    let trips = (0..ROUND_TRIPS).try_for_each(|_| {
        request_out.write_all(b"x")?;
        reply_in.read_exact(&mut [0])
    });
    drop(request_out);
    // It cannot panic: both its calls are checked.
    let _ = answering.join();
    trips
}
