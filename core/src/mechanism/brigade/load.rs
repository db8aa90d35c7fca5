//! What a brigade carries, and what its tasks do with it: several tokens at once, payload, work, memory.

use std::hint::black_box;

use super::{Parameter, Parameters, TASKS, Transport};
use crate::mechanism::{Bound, Domain, Expectation, Unsupported};

pub(super) const BYTES_IN_FLIGHT: Parameter = Parameter {
    name: "bytes_in_flight",
    meaning: "tokens under way at once, of `payload` bytes each; a lap ends when all of them have gone round",
    domain: Domain::Number { default: 1, min: 1, max: MOST_TOKENS },
};

pub(super) const PAYLOAD: Parameter = Parameter {
    name: "payload",
    meaning: "bytes of a token, copied in and out of the kernel at every hop",
    domain: Domain::Number { default: 1, min: 1, max: MOST_BYTES },
};

pub(super) const WORK: Parameter = Parameter {
    name: "work",
    meaning: "work of the program per hop, in dependent steps of one multiplication and one addition",
    domain: Domain::Number { default: 0, min: 0, max: 100_000_000 },
};

pub(super) const TOUCH: Parameter = Parameter {
    name: "touch",
    meaning: "bytes of memory of its own that a task reads and writes per hop, a word of every 64 bytes",
    domain: Domain::Number { default: 0, min: 0, max: 64 * 1024 * 1024 },
};

/// As [`PAYLOAD`], for channels of values: the program is compiled for each of these sizes, see [`by_size`]. What is
/// larger travels as a pointer, which costs what a small message does.
pub(super) const MESSAGE: Parameter = Parameter {
    name: PAYLOAD.name,
    meaning: "bytes of a message, a value copied into the queue and out of it at every hop",
    domain: Domain::Word { words: &["1", "16", "64", "256"] },
};

/// Calls a function for the messages that [`MESSAGE`] names: `by_size!(parameters, cpu_mask(parameters, crew))`.
macro_rules! by_size {
    ($parameters:expr, $set_up_sized:ident $(<$channel:ty>)? ($($argument:expr),*)) => {
        match $parameters.word(crate::mechanism::brigade::load::MESSAGE.name) {
            "16" => $set_up_sized::<$($channel,)? 16>($($argument),*),
            "64" => $set_up_sized::<$($channel,)? 64>($($argument),*),
            "256" => $set_up_sized::<$($channel,)? 256>($($argument),*),
            _ => $set_up_sized::<$($channel,)? 1>($($argument),*),
        }
    };
}
pub(super) use by_size;

const MOST_TOKENS: u64 = 64;

/// What all tokens may hold together: then any channel can take them all, and no task ever waits for room.
const MOST_BYTES: u64 = 64 * 1024;

/// A brigade's load, as its parameters say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Tasks, the driver included.
    pub(super) tasks: u64,
    /// Tokens in flight.
    pub(super) tokens: u64,
    /// Bytes of a token.
    pub(super) payload: usize,
    work: u64,
    touch: usize,
}

impl Load {
    /// Of single bytes, without work.
    #[cfg(test)]
    pub(super) fn plain(tasks: u64, tokens: u64) -> Self {
        Self { tasks, tokens, payload: 1, work: 0, touch: 0 }
    }

    /// Of a brigade over byte channels: tokens, payload, work and memory.
    ///
    /// # Errors
    /// `Unsupported` when the tokens together are larger than a channel.
    pub(super) fn of(parameters: &Parameters) -> Result<Self, Unsupported> {
        let Self { work, touch, .. } = Self::of_tokens(parameters);
        Ok(Self { work, touch, ..Self::without_work(parameters)? })
    }

    /// Of a brigade whose tokens the program cannot touch on their way: tokens and payload.
    ///
    /// # Errors
    /// As [`Load::of`].
    pub(super) fn without_work(parameters: &Parameters) -> Result<Self, Unsupported> {
        let load = Self {
            tasks: parameters.number(TASKS.name),
            tokens: parameters.number(BYTES_IN_FLIGHT.name),
            payload: parameters.size(PAYLOAD.name),
            work: 0,
            touch: 0,
        };
        if load.bytes() as u64 > MOST_BYTES {
            return Err(Unsupported::new(
                format!("tokens of {MOST_BYTES} bytes in all, so that any channel can hold all of them"),
                format!("{} of {} bytes", load.tokens, load.payload),
                "fewer bytes_in_flight, or a smaller payload",
            ));
        }
        Ok(load)
    }

    /// Of a brigade whose channels know what they carry: tokens, work and memory.
    pub(super) fn of_tokens(parameters: &Parameters) -> Self {
        Self {
            tasks: parameters.number(TASKS.name),
            tokens: parameters.number(BYTES_IN_FLIGHT.name),
            payload: 1,
            work: parameters.number(WORK.name),
            touch: parameters.size(TOUCH.name),
        }
    }

    /// All tokens together.
    pub(super) fn bytes(&self) -> usize {
        self.tokens as usize * self.payload
    }

    /// What one task does per hop besides passing on; its memory is allocated and touched here.
    pub(super) fn task_load(&self) -> TaskLoad {
        TaskLoad { work: self.work, memory: vec![1; self.touch.div_ceil(WORD)].into_boxed_slice(), state: 1 }
    }
}

const WORD: usize = size_of::<u64>();
const WORDS_OF_A_LINE: usize = 64 / WORD;

/// A task's own work and memory.
#[derive(Debug)]
pub(super) struct TaskLoad {
    work: u64,
    memory: Box<[u64]>,
    state: u64,
}

impl TaskLoad {
    /// Does the work once. Allocates nothing: a forked task may call it.
    #[inline]
    pub(super) fn perform(&mut self) {
        for _ in 0..self.work {
            // Knuth's MMIX generator: each step needs the one before, so no two overlap. `black_box` keeps the
            // compiler from taking several steps at once, which for this recurrence it can.
            self.state =
                black_box(self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        }
        for line in self.memory.chunks_mut(WORDS_OF_A_LINE) {
            line[0] = black_box(line[0].wrapping_add(1));
        }
    }
}

/// The hops of a lap of all tokens.
pub(super) fn hops_of_all_tokens(parameters: &Parameters) -> u64 {
    parameters.number(TASKS.name) * parameters.number(BYTES_IN_FLIGHT.name)
}

/// The most that a pipe or socket takes or gives at once without a gap that another task could see: a page, the least
/// that any pipe has (pipe(7), "PIPE_BUF").
const WHOLE: u64 = 4096;

/// In how many pieces a token may be met.
pub(super) fn pieces(parameters: &Parameters) -> u64 {
    parameters.number(PAYLOAD.name).div_ceil(WHOLE)
}

/// One write a hop, and one read, unless a large payload is met half way.
pub(super) fn read_and_write(parameters: &Parameters) -> Expectation {
    let pieces = pieces(parameters);
    let reads = if pieces == 1 { Bound::Exactly(1.0) } else { Bound::Between(1.0, 1.0 + pieces as f64) };
    Expectation::nothing().call("read", reads).call("write", Bound::Exactly(1.0))
}

/// Whether a single byte goes round, so that what each hop does is certain to the last digit.
pub(super) fn one_token(parameters: &Parameters) -> bool {
    parameters.number(BYTES_IN_FLIGHT.name) == 1
}

impl Transport {
    /// Whether a channel of this kind holds all tokens of `load` only when it is made larger first.
    pub(super) fn needs_room(self, load: &Load) -> bool {
        // A socket's buffer, 208 KiB (net.core.wmem_default), holds 64 KiB and its bookkeeping however it is cut.
        self == Self::Pipe && load.bytes() > WHOLE as usize
    }
}
