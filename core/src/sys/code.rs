//! Instruction streams of a chosen shape: straight code as long as one likes, written at run time, and branches that go
//! by the bits of a word.
//!
//! A page of code is never writable and executable at once: it is written, then made executable (mmap(2), mprotect(2)).

use std::num::NonZeroUsize;

use nix::sys::mman::{ProtFlags, mprotect};

use super::SysError;
use super::memory::Mapping;

/// Whether the few instructions needed are written down here for this architecture.
pub const SUPPORTED: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// The length of one piece of straight code.
pub const PIECE: usize = 4096;

/// Pieces of straight code, one behind the other: no-operations of four bytes and a return. A core executes them as
/// fast as it can fetch them, so that their time is that of fetching.
#[derive(Debug)]
pub struct StraightCode {
    memory: Mapping,
    pieces: usize,
}

impl StraightCode {
    /// Writes `pieces` pieces of code, at least one, and makes them executable.
    ///
    /// # Errors
    /// `ENOMEM`; `EACCES` or `EPERM` where a security module forbids the execution of memory that was written;
    /// `ENOEXEC` where the architecture is not [`SUPPORTED`].
    pub fn new(pieces: usize) -> Result<Self, SysError> {
        let pieces = pieces.max(1);
        let Some((nothing, back)) = INSTRUCTIONS else {
            return Err(SysError::new("straight code", nix::errno::Errno::ENOEXEC));
        };
        let length = NonZeroUsize::new(pieces * PIECE).unwrap_or(NonZeroUsize::MIN);
        let memory = Mapping::new(length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?;
        let start = memory.address.cast::<u8>();
        for offset in (0..pieces * PIECE).step_by(LENGTH) {
            let last = offset % PIECE == PIECE - LENGTH;
            let instruction = if last { back } else { nothing };
            // SAFETY: the four bytes lie inside the mapping, which is writable, and whose address no other code has.
            unsafe { start.add(offset).cast::<[u8; LENGTH]>().write_unaligned(instruction) };
        }
        // SAFETY: this mapping, whole, to which there is no reference.
        unsafe { mprotect(memory.address, length.get(), ProtFlags::PROT_READ | ProtFlags::PROT_EXEC) }
            .map_err(|errno| SysError::new("mprotect PROT_EXEC", errno))?;
        make_visible(start.as_ptr() as usize, length.get());
        Ok(Self { memory, pieces })
    }

    /// How many pieces there are.
    pub fn pieces(&self) -> usize {
        self.pieces
    }

    /// Executes one piece from end to end.
    ///
    /// # Panics
    /// When there is no such piece.
    #[inline]
    pub fn run(&self, piece: usize) {
        assert!(piece < self.pieces, "piece {piece} of {}", self.pieces);
        // SAFETY: inside the mapping.
        let start = unsafe { self.memory.address.cast::<u8>().add(piece * PIECE) };
        // SAFETY: a piece begins here; it is executable, consists of no-operations and a return, and so keeps every
        // register and the stack as a C function must.
        let piece: extern "C" fn() = unsafe { std::mem::transmute(start.as_ptr()) };
        piece();
    }
}

/// Every instruction is this long.
const LENGTH: usize = 4;

/// A no-operation and a return.
///
/// x86-64: `nop dword ptr [rax]` (Intel SDM volume 2, "NOP"), and `ret` behind a three-byte `nop`. arm64: `nop`, `ret`.
const INSTRUCTIONS: Option<([u8; LENGTH], [u8; LENGTH])> = if cfg!(target_arch = "x86_64") {
    Some(([0x0f, 0x1f, 0x40, 0x00], [0x0f, 0x1f, 0x00, 0xc3]))
} else if cfg!(target_arch = "aarch64") {
    Some((0xd503_201f_u32.to_le_bytes(), 0xd65f_03c0_u32.to_le_bytes()))
} else {
    None
};

/// Lets instruction fetches see what was stored; arm64 alone keeps the two apart (Arm ARM, B2.4.4).
fn make_visible(_start: usize, _length: usize) {
    #[cfg(target_arch = "aarch64")]
    {
        // Cache lines are at least this long (CTR_EL0 in units of words).
        const LINE: usize = 16;
        for address in (_start.._start + _length).step_by(LINE) {
            // SAFETY: maintenance of a line of a mapping that exists, which Linux lets user code do (SCTLR_EL1.UCI).
            unsafe { std::arch::asm!("dc cvau, {0}", in(reg) address, options(nostack)) };
        }
        // SAFETY: a barrier.
        unsafe { std::arch::asm!("dsb ish", options(nostack)) };
        for address in (_start.._start + _length).step_by(LINE) {
            // SAFETY: as above.
            unsafe { std::arch::asm!("ic ivau, {0}", in(reg) address, options(nostack)) };
        }
        // SAFETY: barriers.
        unsafe { std::arch::asm!("dsb ish", "isb", options(nostack)) };
    }
}

/// Branches 64 times, from the lowest bit of `word` to the highest: past an addition where the bit is 0. Returns how
/// many bits are set; 0 where the architecture is not [`SUPPORTED`].
///
/// Each bit has a branch instruction of its own, which no compiler turns into something without a branch.
#[inline]
pub fn branch_by_bits(word: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    let ones = {
        let mut ones = 0_u64;
        // SAFETY: registers alone are touched, and every branch ends inside the block.
        unsafe {
            std::arch::asm!(
                ".rept 64",
                "shr {word}",
                "jnc 2f",
                "add {ones}, 1",
                "2:",
                ".endr",
                word = inout(reg) word => _,
                ones = inout(reg) ones,
                options(nomem, nostack),
            );
        }
        ones
    };
    #[cfg(target_arch = "aarch64")]
    let ones = {
        let mut ones = 0_u64;
        // SAFETY: registers alone are touched, and every branch ends inside the block.
        unsafe {
            std::arch::asm!(
                ".rept 64",
                "tbz {word}, #0, 2f",
                "add {ones}, {ones}, #1",
                "2:",
                "lsr {word}, {word}, #1",
                ".endr",
                word = inout(reg) word => _,
                ones = inout(reg) ones,
                options(nomem, nostack),
            );
        }
        ones
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let ones = word & 0;
    ones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straight_code_runs_and_returns() {
        if !SUPPORTED {
            return;
        }
        let code = StraightCode::new(3).unwrap();
        (0..code.pieces()).for_each(|piece| code.run(piece));
        assert!(std::panic::catch_unwind(|| code.run(3)).is_err());
    }

    #[test]
    fn bits_are_counted_by_branching() {
        if !SUPPORTED {
            return;
        }
        for word in [0, 1, u64::MAX, 1 << 63, 0x0123_4567_89ab_cdef] {
            assert_eq!(branch_by_bits(word), u64::from(word.count_ones()));
        }
    }
}
