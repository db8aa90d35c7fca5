//! epoll for a regular file: epoll_ctl(2) refuses it with `EPERM`, and that refusal is the result.
//!
//! Timed: nothing, on any Linux so far. Were it accepted, an operation would be an epoll_wait(2) and the pread(2) that
//! follows. Not timed: making the file.
//! Distortions: none; the refusal is the kernel's, whatever the parameters are: a file without a `poll` operation
//! cannot be watched (`file_can_poll` in `do_epoll_ctl`, fs/eventpoll.c).

use nix::errno::Errno;
use nix::sys::epoll::{Epoll as EpollSet, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::inline::by_pread;
use super::readiness::{ReadinessCall, ReadinessReader};
use super::reading::FileReading;
use super::source::{self, BlockSource, folder};
use super::{BLOCK, CACHE, IO, ON_DISK, SIZE, one_at_a_time, resources_of_one_thread};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::SysError;
use crate::sys::file::{DataFile, MARKED};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "file/epoll",
    isolates: "a read by an epoll loop: the kernel refuses to watch a regular file",
    unit: Unit::Read,
    tasks: Tasks::OneThread,
    parameters: &[CACHE, IO, BLOCK, SIZE],
    baseline: "file/inline",
    requirements: &[ON_DISK, "a kernel that lets epoll watch regular files; none does"],
    source: "epoll_ctl(2), EPERM; Linux fs/eventpoll.c",
    lap: one_at_a_time,
    resources: resources_of_one_thread,
    expects: |parameters, _| by_pread(parameters, Expectation::nothing().call("epoll_wait", Bound::Exactly(1.0))),
};

struct Epoll;

register!(Epoll);

impl Mechanism for Epoll {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        source::probe()?;
        let refused = |failure: Failure| match failure {
            Failure::Unsupported(reason) => reason,
            other => Unsupported::new("a file to show to epoll", other.to_string(), "see what the error says"),
        };
        let file = DataFile::create(&folder()?, MARKED).map_err(|error| refused(error.into()))?;
        Watch::of(&file.descriptor()).map(drop).map_err(refused)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let source = BlockSource::open(parameters, 1)?;
        let method = ReadinessReader::new(&source, Watch::of(&source.descriptor())?);
        Ok(FileReading::operation(source, 1, method))
    }
}

struct Watch {
    set: EpollSet,
}

impl Watch {
    fn of(file: &std::os::fd::OwnedFd) -> Result<Self, Failure> {
        let set =
            EpollSet::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|errno| SysError::new("epoll_create1", errno))?;
        match set.add(file, EpollEvent::new(EpollFlags::EPOLLIN, 0)) {
            Ok(()) => Ok(Self { set }),
            Err(Errno::EPERM) => Err(Unsupported::new(
                "epoll on a regular file",
                "epoll_ctl EPOLL_CTL_ADD: EPERM, the kernel's answer for every regular file",
                "a pool of threads (file/pool) or io_uring (file/uring) beside the event loop",
            )
            .into()),
            Err(errno) => Err(SysError::new("epoll_ctl EPOLL_CTL_ADD", errno).into()),
        }
    }
}

impl ReadinessCall for Watch {
    fn is_ready(&mut self) -> Result<bool, Failure> {
        loop {
            match self.set.wait(&mut [EpollEvent::empty()], EpollTimeout::ZERO) {
                Ok(found) => return Ok(found == 1),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("epoll_wait", errno).into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoll_refuses_a_regular_file_and_says_what_to_do_instead() {
        if source::probe().is_err() {
            return;
        }
        let refusal = Epoll.probe().unwrap_err();
        assert!(refusal.0.why.contains("EPERM") && refusal.0.remedy.contains("file/uring"), "{refusal}");
    }
}
