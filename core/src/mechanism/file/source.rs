//! The file that is read, in the state that the parameters ask for: which blocks come next, and what of them is in the
//! page cache.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;

use super::{BLOCK, SIZE, is_cold, is_direct};
use crate::mechanism::{Failure, Metric, MetricKey, Parameters, Unsupported};
use crate::sys::SysError;
use crate::sys::file::{DataFile, UnsuitableFileSystem, may_create_in, page_size};
use crate::units::Quantity;

/// How often dropping the pages is tried. The kernel leaves out a page that it has in hand just then, on its way from
/// one list to another for example, and such hands are emptied within milliseconds, but not on a machine that is busy.
const ATTEMPTS: u32 = 10;
/// Between the attempts.
const PAUSE: Duration = Duration::from_millis(2);
/// Of so many pages one may stay: the reads avoid it.
const PAGES_PER_STRAY: usize = 100;

/// The file, and the order of its blocks.
pub(super) struct BlockSource {
    file: DataFile,
    block: usize,
    cold: bool,
    direct: bool,
    /// The offset of every block, in the order of the reads.
    order: Box<[u64]>,
    next: usize,
    depth: usize,
    /// Share of the pages in the cache before reads: the one that is worst for what the parameters say.
    resident: Option<f64>,
    /// Pages that would not leave the cache before the reads to come, whose blocks are left out.
    strays: usize,
    /// Pages that came into the cache although no read asked for them, the most in a batch.
    read_ahead: usize,
}

/// Whether there is a place for the file.
pub(super) fn probe() -> Result<(), Unsupported> {
    folder().map(drop)
}

/// Where the file goes.
pub(super) fn folder() -> Result<PathBuf, Unsupported> {
    let named = std::env::var_os("TMPDIR").filter(|named| !named.is_empty());
    // /tmp is in memory on many a machine, /var/tmp outlives a reboot (hier(7)); in a container both may be an overlay
    // and the folder one works in a disk.
    let candidates = named.map_or_else(|| vec!["/var/tmp".into(), ".".into()], |named| vec![PathBuf::from(named)]);
    choose(&candidates, |folder| {
        may_create_in(folder)?;
        UnsuitableFileSystem::holding(folder)
    })
}

fn choose<E: std::fmt::Display>(
    candidates: &[PathBuf],
    holding: impl Fn(&Path) -> Result<Option<UnsuitableFileSystem>, E>,
) -> Result<PathBuf, Unsupported> {
    let mut observed = Vec::new();
    for candidate in candidates {
        match holding(candidate) {
            Ok(None) => return Ok(candidate.clone()),
            Ok(Some(undisked)) => observed.push(format!("{} is on {}", candidate.display(), undisked.name())),
            Err(error) => observed.push(error.to_string()),
        }
    }
    Err(Unsupported::new(
        "a folder on a disk for the file",
        observed.join("; "),
        "TMPDIR=FOLDER, one on a disk's file system (`df -T FOLDER`)",
    ))
}

impl BlockSource {
    /// Makes the file, for waves of `depth` reads.
    pub(super) fn open(parameters: &Parameters, depth: usize) -> Result<Self, Failure> {
        let folder = folder()?;
        let (block, bytes) = (parameters.size(BLOCK.name) * 1024, parameters.size(SIZE.name) * 1024 * 1024);
        if !block.is_multiple_of(4096) {
            return Err(Unsupported::new(
                "blocks of a multiple of 4 KiB",
                format!("block={}", block / 1024),
                "another block",
            )
            .into());
        }
        // Two blocks in one page would bring each other into the cache.
        let stride = block.next_multiple_of(page_size());
        let blocks = bytes / stride;
        if blocks < depth {
            let observed = format!("{blocks} blocks of {} KiB in {} MiB", block / 1024, bytes >> 20);
            return Err(Unsupported::new(
                "a block for each read of a wave",
                observed,
                "a larger size, a smaller block or depth",
            )
            .into());
        }
        let file = DataFile::create(&folder, bytes).map_err(|error| no_room(error, &folder, bytes))?;
        let direct = is_direct(parameters);
        if direct {
            file.bypass_the_cache().map_err(|error| {
                let remedy = "io=buffered, or TMPDIR=FOLDER on another file system";
                Unsupported::new("a file system with O_DIRECT", error.to_string(), remedy)
            })?;
        }
        Ok(Self {
            file,
            block,
            cold: is_cold(parameters),
            direct,
            order: permuted(blocks).map(|place| place * stride as u64).collect(),
            next: 0,
            depth,
            resident: None,
            strays: 0,
            read_ahead: 0,
        })
    }

    /// The open file.
    pub(super) fn descriptor(&self) -> Arc<OwnedFd> {
        self.file.descriptor()
    }

    /// The file opened once more, with a position of its own.
    pub(super) fn open_again(&self) -> Result<OwnedFd, Failure> {
        Ok(self.file.open_again()?)
    }

    /// Bytes in a read.
    pub(super) fn block(&self) -> usize {
        self.block
    }

    /// Puts the cache into the state that is asked for, and says how many of `wanted` reads may follow.
    pub(super) fn prepare(&mut self, wanted: u64) -> Result<u64, Failure> {
        let pages = self.file.pages();
        let resident = if self.cold { self.cool()? } else { self.warm()? };
        let share = resident as f64 / pages as f64;
        let worst = if self.cold { f64::max } else { f64::min };
        self.resident = Some(self.resident.map_or(share, |before| worst(before, share)));
        Ok(if self.cold { wanted.min(self.most_cold()) } else { wanted })
    }

    /// The most reads without dropping the pages again: each block once that is not in the cache, in whole waves.
    fn most_cold(&self) -> u64 {
        let blocks = self.order.len() - self.strays;
        (blocks - blocks % self.depth) as u64
    }

    /// Drops all pages; how many stayed, which are strays.
    fn cool(&mut self) -> Result<usize, Failure> {
        let pages = self.file.pages();
        let mut left = pages;
        // Strays of the last time are likely to stay again, and are avoided anyway.
        let attempts = if self.strays > 0 { 2 } else { ATTEMPTS };
        for attempt in 0..attempts {
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
            self.file.drop_from_the_cache()?;
            left = self.file.pages_in_the_cache()?;
            if left == 0 {
                break;
            }
        }
        self.strays = left;
        if left <= pages / PAGES_PER_STRAY && self.most_cold() > 0 {
            return Ok(left);
        }
        Err(Failure::Corrupted(format!("{left} of the file's {pages} pages stay in the page cache: no read is cold")))
    }

    /// Has all pages read that are not in the cache; how many are, which is all.
    fn warm(&mut self) -> Result<usize, Failure> {
        let pages = self.file.pages();
        let mut found = self.file.pages_in_the_cache()?;
        if found < pages {
            self.file.bring_into_the_cache()?;
            found = self.file.pages_in_the_cache()?;
        }
        if found == pages {
            return Ok(found);
        }
        Err(Failure::Corrupted(format!("the page cache holds {found} of the file's {pages} pages: memory is short")))
    }

    /// Looks what came into the cache with `reads` cold ones.
    pub(super) fn review(&mut self, reads: u64) -> Result<(), Failure> {
        if self.cold {
            let each = if self.direct { 0 } else { self.block.div_ceil(page_size()) };
            let expected = reads as usize * each + self.strays;
            self.read_ahead = self.read_ahead.max(self.file.pages_in_the_cache()?.saturating_sub(expected));
        }
        Ok(())
    }

    /// The offset of the next block.
    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        loop {
            let offset = self.order[self.next];
            self.next = if self.next + 1 == self.order.len() { 0 } else { self.next + 1 };
            if self.strays == 0 || !self.file.was_in_the_cache(offset, self.block) {
                return offset;
            }
        }
    }

    /// What was seen of the cache since this was last asked.
    pub(super) fn metrics(&mut self) -> Vec<Metric> {
        let Some(resident) = self.resident.take() else { return Vec::new() };
        let mut metrics = vec![Metric::scalar(MetricKey::ResidentBefore, Quantity::Share, resident)];
        if self.cold {
            let surplus = std::mem::take(&mut self.read_ahead) as f64;
            metrics.push(Metric::scalar(MetricKey::PagesUnasked, Quantity::Number, surplus));
        }
        metrics
    }
}

/// A full disk is this machine's, not the program's, fault.
fn no_room(error: SysError, folder: &Path, bytes: usize) -> Failure {
    if !matches!(error.errno, Errno::ENOSPC | Errno::EDQUOT) {
        return error.into();
    }
    let requirement = format!("{} MiB of room in {}", bytes >> 20, folder.display());
    Unsupported::new(requirement, error.to_string(), "a smaller size, or TMPDIR=FOLDER on another disk").into()
}

/// The numbers below `count` in an order that is the same every time and in which few neighbours follow each other
/// (D. E. Knuth, The Art of Computer Programming, volume 2, algorithm 3.4.2 P).
fn permuted(count: usize) -> impl Iterator<Item = u64> {
    let mut order: Vec<u64> = (0..count as u64).collect();
    let mut state = 0_u64;
    for last in (1..count).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The high bits of such a generator are the good ones.
        let place = (state >> 33) as usize % (last + 1);
        order.swap(last, place);
    }
    order.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::{Value, find};

    #[test]
    fn the_order_is_fixed_whole_and_not_the_files() {
        let order: Vec<u64> = permuted(4096).collect();
        assert_eq!(order, permuted(4096).collect::<Vec<_>>());
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..4096).collect::<Vec<_>>());
        let background = order.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
        assert!(background < 10, "{background} blocks follow the one before them");
    }

    #[test]
    fn memory_is_no_place_and_the_next_candidate_is() {
        let holding = |folder: &Path| -> Result<Option<UnsuitableFileSystem>, SysError> {
            Ok((folder == Path::new("/memory")).then_some(UnsuitableFileSystem::Memory))
        };
        let chosen = choose(&["/memory".into(), "/disk".into()], holding);
        assert_eq!(chosen, Ok("/disk".into()));
        let refused = choose(&["/memory".into()], holding).unwrap_err();
        assert!(refused.0.why.contains("/memory is on tmpfs") && refused.0.remedy.contains("TMPDIR"), "{refused}");
    }

    fn parameters(set: &[(&str, Value)]) -> Parameters {
        let descriptor = find("file/inline").unwrap().descriptor();
        set.iter().fold(descriptor.defaults(), |parameters, (name, value)| {
            parameters.with(descriptor.parameter(name).unwrap(), value.clone())
        })
    }

    #[test]
    fn cold_reads_are_cold_and_what_was_not_asked_for_is_counted() {
        if let Err(reason) = folder() {
            return println!("not checked: {reason}");
        }
        let mut source = BlockSource::open(&parameters(&[("size", Value::Number(1))]), 3).unwrap();
        let pages = source.file.pages();
        assert_eq!(source.prepare(1_000_000).unwrap() as usize, pages - pages % 3, "each block is cold once");
        source.file.bring_into_the_cache().unwrap();
        source.review(3).unwrap();
        let values: Vec<f64> = source.metrics().iter().map(number).collect();
        assert_eq!(values, [0.0, (pages - 3) as f64]);
        assert!(source.metrics().is_empty());
    }

    #[test]
    fn cached_reads_are_cached_also_after_the_cache_was_dropped() {
        if let Err(reason) = folder() {
            return println!("not checked: {reason}");
        }
        let cached = [("size", Value::Number(1)), ("cache", Value::Word("cached".into()))];
        let mut source = BlockSource::open(&parameters(&cached), 1).unwrap();
        source.file.drop_from_the_cache().unwrap();
        assert_eq!(source.prepare(1_000_000), Ok(1_000_000));
        assert_eq!(source.metrics().iter().map(number).collect::<Vec<_>>(), [1.0]);
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let failure = |errno| no_room(SysError::new("write", errno), Path::new("/full"), 16 << 20);
        let Failure::Unsupported(full) = failure(Errno::ENOSPC) else { panic!() };
        assert!(full.0.what.contains("16 MiB") && full.0.remedy.contains("TMPDIR"), "{full}");
        assert!(matches!(failure(Errno::EIO), Failure::Sys(_)));
    }

    fn number(metric: &Metric) -> f64 {
        let Metric::Scalar(figure) = metric else { panic!("{metric:?}") };
        figure.value
    }
}
