//! A regular file without a name, and which of its pages are in the page cache: posix_fadvise(2), mincore(2).

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, PosixFadviseAdvice, fcntl, open, posix_fadvise};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, Statfs, TMPFS_MAGIC, statfs};
use nix::unistd::{AccessFlags, SysconfVar, access, mkstemp, sysconf, unlink};

use super::SysError;
use super::channel::{read_whole, write_whole};

/// Each stretch of this many bytes of a file begins with its own offset. No page is smaller.
pub const MARKED: usize = 4096;

/// The size of a page, by which the page cache keeps files.
pub fn page_size() -> usize {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|page| usize::try_from(page).ok()).unwrap_or(MARKED)
}

/// File systems on which no read reaches a disk, or on which such a read cannot be told from one that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsuitableFileSystem {
    /// tmpfs and ramfs: the page cache is all there is.
    Memory,
    /// overlayfs: whatever lies below.
    Overlay,
    /// ZFS: a cache of its own, of which mincore(2) knows nothing.
    OwnCache,
}

impl UnsuitableFileSystem {
    /// The file system's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "tmpfs, which is memory",
            Self::Overlay => "overlayfs, which hides what is below",
            Self::OwnCache => "ZFS, which has a cache of its own",
        }
    }

    /// What `folder` lies on, if it is one of these.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`.
    pub fn holding(folder: &Path) -> Result<Option<Self>, SysError> {
        // include/uapi/linux/magic.h; ZFS: include/sys/zfs_znode.h of OpenZFS.
        const RAMFS: i64 = 0x8584_58f6;
        const ZFS: i64 = 0x2fc1_2fc1;
        let found: Statfs =
            statfs(folder).map_err(|errno| SysError::new(format!("statfs {}", folder.display()), errno))?;
        let kind = found.filesystem_type();
        // The type of the number differs between architectures and C libraries.
        #[allow(clippy::unnecessary_cast)]
        let number = kind.0 as i64;
        Ok(match (kind, number) {
            (TMPFS_MAGIC, _) | (_, RAMFS) => Some(Self::Memory),
            (OVERLAYFS_SUPER_MAGIC, _) => Some(Self::Overlay),
            (_, ZFS) => Some(Self::OwnCache),
            _ => None,
        })
    }
}

/// Whether this process may make files in `folder`.
///
/// # Errors
/// `EACCES`, `EROFS`, `ENOENT`.
pub fn may_create_in(folder: &Path) -> Result<(), SysError> {
    let write = AccessFlags::W_OK | AccessFlags::X_OK;
    access(folder, write).map_err(|errno| SysError::new(format!("access {}", folder.display()), errno))
}

/// A file on disk that has no name: it is gone when its last descriptor is closed, however the process ends.
#[derive(Debug)]
pub struct DataFile {
    file: Arc<OwnedFd>,
    view: View,
}

impl DataFile {
    /// Makes a file of `bytes` in `folder` and writes it to the disk: each [`MARKED`] bytes begin with their offset,
    /// the rest is noise, which no file system can compress.
    ///
    /// # Errors
    /// `ENOSPC`, and what open(2) and fsync(2) give.
    pub fn create(folder: &Path, bytes: usize) -> Result<Self, SysError> {
        let file = without_a_name(folder)?;
        fill(&file, bytes)?;
        // Dirty pages cannot be dropped from the cache.
        nix::unistd::fsync(&file).map_err(|errno| SysError::new("fsync", errno))?;
        let view = View::of(&file, bytes)?;
        let created = Self { file: Arc::new(file), view };
        // Without read-ahead: a read brings the pages it asks for into the cache, and no others.
        created.advise(PosixFadviseAdvice::POSIX_FADV_RANDOM, "posix_fadvise POSIX_FADV_RANDOM")?;
        Ok(created)
    }

    /// The descriptor of the open file.
    pub fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.file)
    }

    /// The same file opened once more, with a position of its own.
    ///
    /// # Errors
    /// `EMFILE`; `ENOENT` where /proc is not mounted.
    pub fn open_again(&self) -> Result<OwnedFd, SysError> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let again = open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|errno| SysError::new(format!("open {path}"), errno))?;
        // Advice belongs to the open file, not to what is in it.
        posix_fadvise(&again, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM)
            .map_err(|errno| SysError::new("posix_fadvise POSIX_FADV_RANDOM", errno))?;
        Ok(again)
    }

    /// Makes reads through [`DataFile::descriptor`] pass the page cache by (`O_DIRECT`).
    ///
    /// # Errors
    /// `EINVAL` where the file system cannot.
    pub fn bypass_the_cache(&self) -> Result<(), SysError> {
        let failed = |errno| SysError::new("fcntl F_SETFL O_DIRECT", errno);
        let flags = fcntl(&self.file, FcntlArg::F_GETFL).map_err(failed)?;
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_DIRECT;
        fcntl(&self.file, FcntlArg::F_SETFL(flags)).map(drop).map_err(failed)
    }

    /// Drops every page of the file that is in the page cache and can be had from the disk again.
    ///
    /// # Errors
    /// What posix_fadvise(2) gives.
    pub fn drop_from_the_cache(&self) -> Result<(), SysError> {
        self.advise(PosixFadviseAdvice::POSIX_FADV_DONTNEED, "posix_fadvise POSIX_FADV_DONTNEED")
    }

    /// Reads the whole file through the page cache, past which [`DataFile::descriptor`] may go.
    ///
    /// # Errors
    /// As [`DataFile::open_again`], and what read(2) gives.
    pub fn bring_into_the_cache(&self) -> Result<(), SysError> {
        read_whole(&self.open_again()?, &mut vec![0; self.view.length.get()]).map(drop)
    }

    fn advise(&self, advice: PosixFadviseAdvice, call: &str) -> Result<(), SysError> {
        // Length 0 is to the end.
        posix_fadvise(&self.file, 0, 0, advice).map_err(|errno| SysError::new(call, errno))
    }

    /// How many pages the file has.
    pub fn pages(&self) -> usize {
        self.view.resident.len()
    }

    /// How many of its pages are in the page cache (mincore(2)).
    ///
    /// # Errors
    /// `EAGAIN` when the kernel is out of memory.
    pub fn pages_in_the_cache(&mut self) -> Result<usize, SysError> {
        self.view.count_resident()
    }

    /// Whether any page of the `bytes` from `offset` on was in the cache when they were last counted.
    pub fn was_in_the_cache(&self, offset: u64, bytes: usize) -> bool {
        let (first, last) = (offset as usize / page_size(), (offset as usize + bytes).div_ceil(page_size()));
        self.view.resident.iter().take(last).skip(first).any(|page| page & 1 == 1)
    }

    /// How many names the file has in its folder: none.
    ///
    /// # Errors
    /// What fstat(2) gives.
    pub fn names(&self) -> Result<u64, SysError> {
        let found = fstat(&self.file).map_err(|errno| SysError::new("fstat", errno))?;
        // The type of the count differs between architectures.
        #[allow(clippy::useless_conversion)]
        Ok(found.st_nlink.into())
    }
}

/// A new file that is never seen in the folder, or for the moment between two calls where the file system knows no
/// `O_TMPFILE`.
fn without_a_name(folder: &Path) -> Result<OwnedFd, SysError> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    match open(folder, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
        Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => {}
        opened => return opened.map_err(|errno| SysError::new(format!("open {}", folder.display()), errno)),
    }
    let template = folder.join(format!("switchcost.{}.XXXXXX", std::process::id()));
    let failed = |call: &str, errno| SysError::new(format!("{call} {}", folder.display()), errno);
    let (file, path) = mkstemp(&template).map_err(|errno| failed("mkstemp", errno))?;
    unlink(&path).map_err(|errno| failed("unlink", errno))?;
    Ok(file)
}

fn fill(file: &OwnedFd, bytes: usize) -> Result<(), SysError> {
    const PIECE: usize = 256 * MARKED;
    let mut noise = 0_u64;
    let mut piece = Vec::with_capacity(PIECE);
    for start in (0..bytes).step_by(PIECE) {
        piece.clear();
        for word in (start..bytes.min(start + PIECE)).step_by(8) {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let content = if word % MARKED == 0 { word as u64 } else { noise };
            piece.extend_from_slice(&content.to_ne_bytes());
        }
        write_whole(file, &piece)?;
    }
    Ok(())
}

/// The file's pages in the address space, none of which is ever touched: a page that is mapped is not dropped.
#[derive(Debug)]
struct View {
    address: NonNull<std::ffi::c_void>,
    length: NonZeroUsize,
    /// A byte for each page, whose lowest bit tells whether it is in the cache.
    resident: Vec<u8>,
}

// SAFETY: the address is only handed to the kernel, as the name of the mapping.
unsafe impl Send for View {}

impl View {
    fn of(file: &OwnedFd, bytes: usize) -> Result<Self, SysError> {
        let length = NonZeroUsize::new(bytes).ok_or_else(|| SysError::new("mmap", Errno::EINVAL))?;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let address = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file.as_fd(), 0) };
        let address = address.map_err(|errno| SysError::new("mmap", errno))?;
        Ok(Self { address, length, resident: vec![0; bytes.div_ceil(page_size())] })
    }

    fn count_resident(&mut self) -> Result<usize, SysError> {
        // SAFETY: the range is this mapping, whole, and `resident` holds a byte for each of its pages.
        let answer =
            unsafe { libc::mincore(self.address.as_ptr(), self.length.get(), self.resident.as_mut_ptr().cast()) };
        Errno::result(answer).map_err(|errno| SysError::new("mincore", errno))?;
        Ok(self.resident.iter().filter(|&&page| page & 1 == 1).count())
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: this mapping, whole, to which no reference exists.
        let _ = unsafe { munmap(self.address, self.length.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::blocks::Blocks;

    /// Where tests put theirs; on some machines that is memory, and then there is nothing to test.
    fn on_disk() -> Option<DataFile> {
        let folder = std::env::temp_dir();
        match UnsuitableFileSystem::holding(&folder) {
            Ok(None) => Some(DataFile::create(&folder, 64 * MARKED).unwrap()),
            other => {
                println!("not checked: {} is on no disk: {other:?}; set TMPDIR", folder.display());
                None
            }
        }
    }

    #[test]
    fn a_file_has_no_name_from_the_beginning() {
        let Some(file) = on_disk() else { return };
        assert_eq!(file.names(), Ok(0));
    }

    #[test]
    fn what_is_read_comes_back_into_the_cache_and_nothing_else() {
        let Some(mut file) = on_disk() else { return };
        assert_eq!(file.pages_in_the_cache(), Ok(file.pages()));
        file.drop_from_the_cache().unwrap();
        assert_eq!(file.pages_in_the_cache(), Ok(0));
        let blocks = Blocks::new(MARKED, 1);
        blocks.read(&file.descriptor(), 0, 7 * MARKED as u64).unwrap();
        assert_eq!(blocks.first_word(0), 7 * MARKED as u64);
        assert_eq!(file.pages_in_the_cache(), Ok(1));
        assert!(file.was_in_the_cache(7 * MARKED as u64, MARKED) && file.was_in_the_cache(0, 8 * MARKED));
        assert!(!file.was_in_the_cache(0, 4096));
    }

    #[test]
    fn a_direct_read_leaves_nothing_in_the_cache() {
        let Some(mut file) = on_disk() else { return };
        if let Err(error) = file.bypass_the_cache() {
            return println!("not checked: direct reads: {error}; set TMPDIR to a folder on ext4 or xfs");
        }
        file.drop_from_the_cache().unwrap();
        let blocks = Blocks::new(MARKED, 2);
        blocks.read(&file.descriptor(), 1, 9 * MARKED as u64).unwrap();
        assert_eq!((blocks.first_word(1), file.pages_in_the_cache()), (9 * MARKED as u64, Ok(0)));
    }

    #[test]
    fn memory_is_told_from_a_disk() {
        let memory = Path::new("/dev/shm");
        if memory.exists() {
            assert_eq!(UnsuitableFileSystem::holding(memory), Ok(Some(UnsuitableFileSystem::Memory)));
        }
        assert_eq!(UnsuitableFileSystem::holding(Path::new("/nonexistent")).unwrap_err().errno, Errno::ENOENT);
    }
}
