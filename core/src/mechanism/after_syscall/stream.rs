//! What user code does between calls: three kinds of blocks, each always the same work.

use std::hint::black_box;

use crate::mechanism::{Domain, Failure, Parameter, Parameters, Unsupported};
use crate::sys::code::{PIECE, SUPPORTED, StraightCode, branch_by_bits};

/// How much the stream needs to have at hand.
pub(super) const WORKING_SET: Parameter = Parameter {
    name: "working_set",
    meaning: "working set of the code after the call, in bytes: data, code, or 8 for each branch of the pattern",
    domain: Domain::Number { default: 32 * 1024, min: BLOCK as u64, max: 1 << 30 },
};

/// What of the CPU the stream needs.
pub(super) const STREAM: Parameter = Parameter {
    name: "stream",
    meaning: "what runs after the call: a chase of pointers, straight code, or branches by a random pattern",
    domain: Domain::Word { words: &[DATA, CODE, BRANCHES] },
};
pub(super) const DATA: &str = "data";
pub(super) const CODE: &str = "code";
pub(super) const BRANCHES: &str = "branches";

/// Cache lines of x86-64 and of most arm64 processors; longer ones are touched twice.
const LINE: usize = 64;
/// Accesses in a block.
const ACCESSES: usize = 64;
/// What a block covers of the working set.
pub(super) const BLOCK: usize = LINE * ACCESSES;
const _: () = assert!(BLOCK == PIECE);

/// Words of 64 branches in a block: correctly predicted branches take a quarter of a nanosecond, and a block must last
/// many steps of the counter.
const WORDS: usize = 8;

/// A stream of equal blocks.
pub(super) trait Stream {
    /// Executes the next block.
    fn block(&mut self);

    /// Where the next block is; 0 is where the first one was.
    fn position(&self) -> usize;

    /// Goes back to where [`Stream::position`] was.
    fn seek(&mut self, position: usize);
}

/// Whether this machine can run the stream that `parameters` name.
pub(super) fn supports(parameters: &Parameters) -> Result<(), Unsupported> {
    let needs = match parameters.word(STREAM.name) {
        DATA => return Ok(()),
        CODE if SUPPORTED => match StraightCode::new(1) {
            Ok(_) => return Ok(()),
            Err(error) => {
                let remedy = "allow this program to execute memory it wrote (SELinux: execmem)";
                return Err(Unsupported::new("code written at run time", error.to_string(), remedy));
            }
        },
        BRANCHES if SUPPORTED => return Ok(()),
        other => other,
    };
    let remedy = "--set stream=data";
    Err(Unsupported::new(format!("stream={needs} on x86-64 or arm64"), std::env::consts::ARCH, remedy))
}

/// A chase of pointers through every cache line of the working set, in an order that no prefetcher guesses.
pub(super) struct Data {
    /// In the first word of each line the index of the next one's.
    chain: Vec<usize>,
    at: usize,
}

impl Data {
    pub(super) fn new(working_set: usize) -> Self {
        const APART: usize = LINE / size_of::<usize>();
        let lines = working_set / LINE;
        let mut chain = vec![0; lines * APART];
        (0..lines).for_each(|line| chain[line * APART] = line * APART);
        let mut random = SplitMix::new();
        // S. Sattolo, "An algorithm to generate a random cyclic permutation", Information Processing Letters 22, 1986:
        // one cycle through all lines.
        for line in (1..lines).rev() {
            let other = random.below(line);
            chain.swap(line * APART, other * APART);
        }
        Self { chain, at: 0 }
    }
}

impl Stream for Data {
    #[inline]
    fn block(&mut self) {
        let mut at = self.at;
        for _ in 0..ACCESSES {
            at = self.chain[at];
        }
        self.at = black_box(at);
    }

    fn position(&self) -> usize {
        self.at
    }

    fn seek(&mut self, position: usize) {
        self.at = position;
    }
}

/// Straight code, a page a block.
pub(super) struct Code {
    code: StraightCode,
    at: usize,
}

impl Code {
    pub(super) fn new(working_set: usize) -> Result<Self, Failure> {
        Ok(Self { code: StraightCode::new(working_set / PIECE)?, at: 0 })
    }
}

impl Stream for Code {
    #[inline]
    fn block(&mut self) {
        self.code.run(self.at);
        self.at = if self.at + 1 == self.code.pieces() { 0 } else { self.at + 1 };
    }

    fn position(&self) -> usize {
        self.at
    }

    fn seek(&mut self, position: usize) {
        self.at = position;
    }
}

/// Branches by the bits of random words, over and over the same.
pub(super) struct Branches {
    blocks: Vec<[u64; WORDS]>,
    at: usize,
}

impl Branches {
    pub(super) fn new(working_set: usize) -> Self {
        let mut random = SplitMix::new();
        // As many branches one way as the other in every word: a branch not taken is an addition more.
        let mut half = || loop {
            let word = random.next();
            if word.count_ones() == u64::BITS / 2 {
                return word;
            }
        };
        let blocks = (0..(working_set / BLOCK).max(1)).map(|_| std::array::from_fn(|_| half())).collect();
        Self { blocks, at: 0 }
    }
}

impl Stream for Branches {
    #[inline]
    fn block(&mut self) {
        for word in self.blocks[self.at] {
            black_box(branch_by_bits(word));
        }
        self.at = if self.at + 1 == self.blocks.len() { 0 } else { self.at + 1 };
    }

    fn position(&self) -> usize {
        self.at
    }

    fn seek(&mut self, position: usize) {
        self.at = position;
    }
}

/// G. Steele, D. Lea and C. Flood's SplitMix64 (OOPSLA 2014): the same order in every process, so that it is no part of
/// what differs between them; where the pages lie still is.
pub(super) struct SplitMix(u64);

impl SplitMix {
    pub(super) fn new() -> Self {
        Self(0x5eed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `bound`; the bias is that of 64 bits.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chase_visits_every_line_once_before_it_comes_back() {
        let mut data = Data::new(5 * BLOCK);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..5 * ACCESSES {
            assert!(seen.insert(data.at) && data.at.is_multiple_of(LINE / size_of::<usize>()));
            data.at = data.chain[data.at];
        }
        assert_eq!(data.at, 0);
        (0..5).for_each(|_| data.block());
        assert_eq!(data.at, 0, "as many blocks as the working set has");
    }

    #[test]
    fn every_stream_returns_to_where_it_was() {
        fn check(mut stream: impl Stream) {
            assert_eq!(stream.position(), 0);
            stream.block();
            let second = stream.position();
            assert_ne!(second, 0);
            stream.block();
            stream.seek(second);
            assert_eq!(stream.position(), second);
        }
        check(Data::new(5 * BLOCK));
        if SUPPORTED {
            check(Code::new(5 * BLOCK).unwrap());
            check(Branches::new(5 * BLOCK));
        }
    }

    #[test]
    fn code_and_branches_come_round_after_the_working_set() {
        if !SUPPORTED {
            return;
        }
        let (mut code, mut branches) = (Code::new(3 * BLOCK).unwrap(), Branches::new(3 * BLOCK));
        for _ in 0..3 {
            code.block();
            branches.block();
        }
        assert_eq!((code.at, branches.at, branches.blocks.len()), (0, 0, 3));
        let words: std::collections::BTreeSet<u64> = Branches::new(1 << 20).blocks.into_iter().flatten().collect();
        assert!(words.len() == 2048 && words.iter().all(|word| word.count_ones() == 32), "{words:?}");
    }
}
