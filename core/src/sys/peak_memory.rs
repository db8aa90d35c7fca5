//! The most memory that this process held during a stretch of time: the kernel's high-water mark (`VmHWM` in
//! proc_pid_status(5)), which a write to /proc/self/clear_refs sets back (proc_pid_clear_refs(5), value 5, Linux 4.0).
//!
//! The mark is of the whole process. The kernel adds the counters that threads keep for themselves to it late, so that
//! it may be wrong by some hundred KiB.

use std::fs::{read_to_string, write};

/// A stretch of time that has begun.
#[derive(Debug, Clone, Copy)]
pub struct MemoryPeak {
    before: u64,
}

/// What a stretch of time took of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenMemory {
    /// The most resident memory beyond what there was at the beginning.
    pub most: u64,
    /// What is left of it at the end; negative where memory was given back.
    pub kept: i64,
}

impl MemoryPeak {
    /// Sets the mark back. `None` where the kernel does not let it be set.
    pub fn begin() -> Option<Self> {
        write("/proc/self/clear_refs", "5").ok()?;
        Some(Self { before: resident_and_peak()?.0 })
    }

    /// Reads the mark; `None` where /proc cannot be read.
    pub fn end(self) -> Option<TakenMemory> {
        let (resident, peak) = resident_and_peak()?;
        let kept = resident.cast_signed().saturating_sub(self.before.cast_signed());
        Some(TakenMemory { most: peak.saturating_sub(self.before), kept })
    }
}

/// In bytes.
fn resident_and_peak() -> Option<(u64, u64)> {
    parse(&read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<(u64, u64)> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    Some((bytes("VmRSS:")?, bytes("VmHWM:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_are_read_in_bytes() {
        let status = "Name:\ta) b\nVmHWM:\t    2048 kB\nVmRSS:\t      44 kB\n";
        assert_eq!(parse(status), Some((44 << 10, 2 << 20)));
        assert_eq!(parse("Name:\tkernel thread\n"), None);
    }

    /// Other tests of this process come and go meanwhile, and take as much: not ten times over.
    #[test]
    fn what_was_held_and_given_back_is_in_the_peak_and_not_in_what_is_kept() {
        const BYTES: usize = 64 << 20;
        let attempt = |_| {
            let begun = MemoryPeak::begin()?;
            drop(std::hint::black_box(vec![1_u8; BYTES]));
            let taken = begun.end()?;
            let most = (BYTES as u64 / 2..2 * BYTES as u64).contains(&taken.most);
            // The mark of the stretch before is no part of the next.
            let next = MemoryPeak::begin()?.end()?;
            (most && taken.kept < BYTES as i64 / 2 && next.most < BYTES as u64 / 2).then_some(taken)
        };
        match MemoryPeak::begin() {
            Some(_) => assert!((0..10).find_map(attempt).is_some()),
            None => println!("not checked: the kernel does not let the mark be set back"),
        }
    }
}
