//! Handoffs between tasks that each use memory of their own: what a switch costs after it is over.
//!
//! A ring over pipes: task `i` of `n` reads pipe `i`, touches its working set, and writes pipe `i + 1` (modulo `n`).
//! The driver is task 0. A lap is `n` handoffs: `n` writes, `n` reads, and each task's set touched once.
//!
//! The baseline makes the same calls and touches as much in one task, without a switch. What it leaves of a handoff is
//! the whole cost of a switch: the direct one, which a set of 0 bytes shows alone, and the indirect one, the caches and
//! TLB entries that the other tasks took meanwhile. How it is told apart depends on what the one task touches:
//!
//! - `sets=one`: always the same set, so that it is hot, whatever the number of tasks. All that is not hot is then the
//!   switch's doing. This is what lmbench's lat_ctx subtracts (lat_ctx(8): "the overhead is measured using hot
//!   caches"), and what Li, Ding and Shen do, whose one process makes "the same amount of array accesses as each of the
//!   two communicating processes" (*Quantifying the cost of context switch*, ExpCS 2007).
//! - `sets=every`: the sets of all tasks in turn. This one task misses its caches too, once the sets together outgrow
//!   them: what it takes beyond `sets=one` is the price of using so much memory, and no way of switching avoids it.
//!
//! All sets lie in pages of the base size. Where transparent huge pages are always on, a set would lie in them where it
//! happens to be aligned, and a forked task's would not, since it copies page by page: the baseline would be spared TLB
//! misses that the tasks have.

use std::hint::black_box;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::{
    Batch, Bound, Domain, Expectation, Failure, Group, Operation, Parameter, Parameters, Placement, Resources,
};
use crate::sys::channel::{Ends, ReadOutcome, pipe, read_byte, write_byte};
use crate::terms::Unsupported;
use crate::units::Quantity;

mod process;
mod thread;
mod touching;

/// The group `switch_working_set`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "switch_working_set",
    question: "What does a switch cost when every task uses memory of its own?",
    measures: Quantity::Nanoseconds,
    queues: false,
};

const TASKS: Parameter = Parameter {
    name: "tasks",
    meaning: "tasks in the ring, the driver included, and pipes between them",
    domain: Domain::Number { default: 2, min: 2, max: 10_000_000 },
};

const TOUCH: Parameter = Parameter {
    name: "touch",
    meaning: "bytes of memory of its own that each task touches per turn, line by line",
    domain: Domain::Number { default: 64 * 1024, min: 0, max: 64 * 1024 * 1024 },
};

const ACCESS: Parameter = Parameter {
    name: "access",
    meaning: "what a task does with each line of its memory: reads a word, reads every word, or writes one",
    domain: Domain::Word { words: &[READ, READ_ALL, WRITE] },
};

const READ: &str = "read";
/// As lat_ctx does. Eight loads a line hide a part of what the line's own arrival takes.
const READ_ALL: &str = "read-all";
/// Lines that were written must be written back.
const WRITE: &str = "write";

/// What the sets of all tasks may hold together. There are two instances at once, a bare and a counted one.
const MOST_BYTES: u64 = 8 << 30;

/// Whether the sets fit into what is allowed.
fn check_memory(parameters: &Parameters) -> Result<(), Unsupported> {
    let (tasks, touch) = (parameters.number(TASKS.name), parameters.number(TOUCH.name));
    if tasks * touch <= MOST_BYTES {
        return Ok(());
    }
    Err(Unsupported::new(
        format!("working sets of {MOST_BYTES} bytes in all"),
        format!("{tasks} tasks with {touch} bytes each"),
        "fewer tasks, or less to touch",
    ))
}

/// The memory of one task.
#[derive(Debug)]
struct WorkingSet {
    lines: Box<[CacheLine]>,
    touch: fn(&mut [CacheLine]),
}

/// A cache line of x86 and of most arm64 processors; where lines are longer, each is touched twice.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct CacheLine([u64; 8]);

impl WorkingSet {
    /// Allocated and written to, so that every line has a page of its own. The task that uses it makes it, on its own
    /// memory node, and while [`SmallPages`](crate::sys::heap::SmallPages) are held.
    fn new(parameters: &Parameters) -> Self {
        let lines = vec![CacheLine([1; 8]); parameters.size(TOUCH.name).div_ceil(size_of::<CacheLine>())];
        let touch = match parameters.word(ACCESS.name) {
            WRITE => write_a_word,
            READ_ALL => {
                |lines: &mut [CacheLine]| read(lines, |line| line.0.iter().fold(0, |sum, word| word.wrapping_add(sum)))
            }
            _ => |lines: &mut [CacheLine]| read(lines, |line| line.0[0]),
        };
        Self { lines: lines.into_boxed_slice(), touch }
    }

    /// Writes to every line, which gives a forked task pages of its own.
    fn make_own(&mut self) {
        write_a_word(&mut self.lines);
    }

    /// Uses every line once, in order. Allocates nothing: a forked task may call it.
    #[inline]
    fn touch(&mut self) {
        (self.touch)(&mut self.lines);
    }
}

fn write_a_word(lines: &mut [CacheLine]) {
    for line in black_box(lines) {
        line.0[0] = line.0[0].wrapping_add(1);
    }
}

/// `black_box` on the way in and out: the memory may have changed, and the sum is wanted.
#[inline]
fn read(lines: &mut [CacheLine], of: impl Fn(&CacheLine) -> u64) {
    black_box(black_box(lines).iter().fold(0_u64, |sum, line| sum.wrapping_add(of(line))));
}

/// A task's ends of two pipes.
#[derive(Debug)]
struct TaskPipes {
    reader: OwnedFd,
    writer: OwnedFd,
}

/// The places of a ring, by task.
fn places(parameters: &Parameters) -> Result<Vec<TaskPipes>, Failure> {
    let (readers, mut writers): (Vec<_>, Vec<_>) = pipes(parameters)?.into_iter().map(|c| (c.reader, c.writer)).unzip();
    // Task i writes pipe i + 1.
    writers.rotate_left(1);
    Ok(readers.into_iter().zip(writers).map(|(reader, writer)| TaskPipes { reader, writer }).collect())
}

fn pipes(parameters: &Parameters) -> Result<Vec<Ends>, Failure> {
    let opened: Result<Vec<Ends>, _> = (0..parameters.size(TASKS.name)).map(|_| pipe(false)).collect();
    Ok(opened?)
}

impl TaskPipes {
    fn descriptors(&self) -> [RawFd; 2] {
        [self.reader.as_raw_fd(), self.writer.as_raw_fd()]
    }

    /// Passes each token on until the task before has closed its end.
    fn pass_token(&self, set: &mut WorkingSet) -> Result<(), Failure> {
        while let ReadOutcome::Byte(byte) = read_byte(&self.reader)? {
            set.touch();
            write_byte(&self.writer, byte)?;
        }
        Ok(())
    }
}

/// The driver's part, once the other tasks are placed.
fn lead(place: TaskPipes, parameters: &Parameters) -> Box<dyn Operation> {
    let tasks = parameters.number(TASKS.name);
    let mut set = WorkingSet::new(parameters);
    Box::new(move |ops: u64| {
        Batch::timed(|| {
            let laps = ops / tasks;
            for lap in 0..laps {
                write_byte(&place.writer, token(lap))?;
                verify(lap, read_byte(&place.reader)?)?;
                set.touch();
            }
            Ok(laps * tasks)
        })
    })
}

/// Another byte each lap, so that one left over would be noticed.
fn token(lap: u64) -> u8 {
    (lap % 251) as u8
}

fn verify(lap: u64, received: ReadOutcome) -> Result<(), Failure> {
    match received {
        ReadOutcome::Byte(byte) if byte == token(lap) => Ok(()),
        other => Err(Failure::Corrupted(format!("lap {lap} sent byte {} and {other:?} came round", token(lap)))),
    }
}

fn handoffs_per_lap(parameters: &Parameters) -> u64 {
    parameters.number(TASKS.name)
}

fn descriptors(parameters: &Parameters) -> u64 {
    2 * parameters.number(TASKS.name) + 8
}

fn resources_of_one_thread(parameters: &Parameters) -> Resources {
    Resources { descriptors: descriptors(parameters), threads: 1, processes: 0 }
}

/// The pipe calls of a handoff.
fn read_and_write() -> Expectation {
    Expectation::nothing().call("read", Bound::Exactly(1.0)).call("write", Bound::Exactly(1.0))
}

/// What a handoff does when the tasks are the kernel's and block in a pipe.
fn switched(parameters: &Parameters, placement: Placement) -> Expectation {
    match placement {
        // On one CPU every handoff is a switch; a task that is preempted by the one it has woken is switched to once
        // more, to block, unless the byte has come round by then.
        Placement::SameCpu if parameters.number(TASKS.name) > 2 => {
            let mostly = Bound::Between(0.5, 1.0);
            read_and_write().voluntary(mostly).wakeups(mostly).switches(Bound::Between(1.0, 2.0))
        }
        // A writer that is preempted while it holds the pipe's mutex leaves the reader it has woken to sleep there.
        Placement::SameCpu => read_and_write()
            .voluntary(Bound::AtMost(1.25))
            .wakeups(Bound::AtMost(1.25))
            .switches(Bound::Between(1.0, 1.25)),
        // Side by side they meet at that mutex often, and either may sleep there.
        _ => read_and_write().voluntary(Bound::AtMost(3.0)).wakeups(Bound::AtMost(3.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::{Value, find};

    fn parameters(touch: u64, access: &str) -> Parameters {
        let thread = find("switch_working_set/thread").unwrap().descriptor();
        let word = Value::Word(access.into());
        thread.defaults().with(&TOUCH, Value::Number(touch)).with(&ACCESS, word)
    }

    #[test]
    fn every_line_of_a_set_is_written_once_per_touch_and_none_is_where_it_is_read() {
        for (touch, lines) in [(0, 0), (1, 1), (64, 1), (65, 2), (64 * 1024, 1024)] {
            let mut written = WorkingSet::new(&parameters(touch, WRITE));
            let mut read = WorkingSet::new(&parameters(touch, READ));
            let mut read_all = WorkingSet::new(&parameters(touch, READ_ALL));
            for set in [&mut written, &mut read, &mut read_all] {
                set.touch();
                set.touch();
            }
            assert_eq!(written.lines.len(), lines);
            assert!(written.lines.iter().all(|line| line.0[0] == 3), "{touch}");
            assert!(read.lines.iter().chain(&read_all.lines).all(|line| line.0[0] == 1), "{touch}");
        }
    }

    #[test]
    fn sets_that_no_machine_holds_are_refused() {
        assert!(check_memory(&parameters(1 << 26, "read")).is_ok());
        let many = parameters(1 << 26, "read").with(&TASKS, Value::Number(129));
        assert!(check_memory(&many).unwrap_err().to_string().contains("129 tasks"));
    }
}
