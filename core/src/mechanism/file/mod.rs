//! Reads of a regular file: what each way of asking for them costs, and for how long the reader is blocked.
//!
//! An operation is one read of a block. Reads go out in waves of `depth`: all of a wave are submitted, then all are
//! awaited. The blocks come in the order of a fixed permutation, and the kernel is told so (`POSIX_FADV_RANDOM`), so
//! that no read is served by another one's readahead. With `cache = cold` the file's pages are dropped before every
//! batch, and mincore(2) tells which are left: the few that the kernel would not let go are not read, and where they
//! are more than one in a hundred there is no batch. Afterwards it tells whether more came than was asked for; both
//! stand among the metrics. What lies below the page cache (the disk's own cache, a hypervisor's) is not dropped.
//!
//! The file lies in the folder that `TMPDIR` names, else in /var/tmp or the working folder, whichever is on a disk, and
//! it has no name there: it is gone when the process is.
//!
//! Beside the time of a batch each mechanism finds out, for each wave, how long its submission kept the submitter, and
//! for each read how long it took from there until its completion was taken. Nothing is divided by the depth:
//! percentiles are of waves and reads that happened. A mechanism that awaits a wave by one call takes all completions
//! at its end; tokio's futures take theirs one by one. With `depth = 1` the two add up to the time of the read; of the
//! batch they leave the look at each block, readings of the clock and their recording: some 100 ns a wave.

use super::{Domain, Group, Parameter, Parameters, Resources};
use crate::units::Quantity;

mod aio;
mod epoll;
mod inline;
mod poll;
mod pool;
mod readiness;
mod reading;
mod source;
mod tokio_fs;
mod uring;

/// The group `file`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "file",
    question: "What does it cost to read a block of a file, and for how long does asking for it block?",
    measures: Quantity::Nanoseconds,
    queues: false,
};

const CACHE: Parameter = Parameter {
    name: "cache",
    meaning: "whether the file's pages are dropped from the page cache before each batch, or all are in it",
    domain: Domain::Word { words: &[COLD, "cached"] },
};
const COLD: &str = "cold";

const IO: Parameter = Parameter {
    name: "io",
    meaning: "reads through the page cache, or bypassing it (O_DIRECT)",
    domain: Domain::Word { words: &[BUFFERED, "direct"] },
};
const BUFFERED: &str = "buffered";

const BLOCK: Parameter = Parameter {
    name: "block",
    meaning: "KiB in a read, a multiple of 4",
    domain: Domain::Number { default: 4, min: 4, max: 1024 },
};

const DEPTH: Parameter = Parameter {
    name: "depth",
    meaning: "reads in a wave: all are submitted, then all are awaited",
    domain: Domain::Number { default: 1, min: 1, max: 256 },
};

const SIZE: Parameter =
    Parameter { name: "size", meaning: "MiB in the file", domain: Domain::Number { default: 16, min: 1, max: 1024 } };

/// What every mechanism of the group needs.
const ON_DISK: &str = "a folder on a disk: TMPDIR, else /var/tmp or the working folder";

fn one_at_a_time(_: &Parameters) -> u64 {
    1
}

fn a_wave(parameters: &Parameters) -> u64 {
    parameters.number(DEPTH.name)
}

fn resources_of_one_thread(_: &Parameters) -> Resources {
    Resources { descriptors: 8, threads: 1, processes: 0 }
}

fn is_cold(parameters: &Parameters) -> bool {
    parameters.word(CACHE.name) == COLD
}

fn is_direct(parameters: &Parameters) -> bool {
    parameters.word(IO.name) != BUFFERED
}

/// Whether reads have to wait for the disk.
fn waits_for_the_disk(parameters: &Parameters) -> bool {
    is_cold(parameters) || is_direct(parameters)
}
