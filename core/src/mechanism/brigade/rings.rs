//! The rings of the brigades on io_uring: their flags as parameters, and whether this kernel has them.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;

use super::Transport;
use crate::mechanism::{Bound, Domain, Expectation, Failure, Parameter, Parameters, Unsupported};
use crate::sys::SysError;
use crate::sys::channel::pipes_can_be_asked;
use crate::sys::uring::{Ring, RingSetup, RingTarget, Slots};

pub(super) const TASKRUN: Parameter = Parameter {
    name: "taskrun",
    meaning: "when completions are posted: whenever the task leaves the kernel, or when it waits for them \
              (IORING_SETUP_SINGLE_ISSUER and DEFER_TASKRUN)",
    domain: Domain::Word { words: &["default", "defer"] },
};

pub(super) const SQPOLL: Parameter = Parameter {
    name: "sqpoll",
    meaning: "whether a kernel thread takes the submissions; its CPU time is part of the cost (IORING_SETUP_SQPOLL)",
    domain: Domain::Word { words: &["off", "on"] },
};

pub(super) const FILES: Parameter = Parameter {
    name: "files",
    meaning: "descriptors looked up at each request, or files registered with the ring once (IORING_REGISTER_FILES)",
    domain: Domain::Word { words: &["plain", "registered"] },
};

/// Whether this machine gives out rings.
pub(in crate::mechanism) fn probe() -> Result<(), Unsupported> {
    Ring::new(8, Slots::default(), 0, RingSetup::default()).map(drop).map_err(|error| {
        Unsupported::new(
            "io_uring (Linux 5.6)",
            error.to_string(),
            "a newer kernel, `sysctl kernel.io_uring_disabled=0`, or a container profile that allows io_uring_setup",
        )
    })
}

/// Whether it gives out rings like these.
pub(in crate::mechanism) fn supports(setup: RingSetup) -> Result<(), Unsupported> {
    probe()?;
    if setup.sqpoll && setup.defer_taskrun {
        return Err(Unsupported::new(
            "a ring with IORING_SETUP_SQPOLL or with DEFER_TASKRUN",
            "both were asked for, and a kernel thread that submits cannot defer to the task: EINVAL",
            "one of taskrun=default and sqpoll=off",
        ));
    }
    Ring::new(8, Slots::default(), 0, setup).map(drop).map_err(|error| {
        let remedy = if error.errno == Errno::EPERM { "root or CAP_SYS_NICE, or Linux 5.11" } else { "a newer kernel" };
        let requirement = if setup.sqpoll {
            "io_uring with IORING_SETUP_SQPOLL (Linux 5.1; without privilege 5.11)"
        } else {
            "io_uring with IORING_SETUP_DEFER_TASKRUN (Linux 6.1)"
        };
        Unsupported::new(requirement, error.to_string(), remedy)
    })
}

/// Whether it knows multishot reads into provided buffers.
pub(super) fn supports_multishot() -> Result<(), Unsupported> {
    let lacks = |observed: String| {
        Unsupported::new("io_uring with IORING_OP_READ_MULTISHOT (Linux 6.7)", observed, "a newer kernel")
    };
    let lacking = |error: SysError| lacks(error.to_string());
    let mut ring = Ring::new(8, Slots { count: 0, bytes: 1 }, 0, RingSetup::default()).map_err(lacking)?;
    if !ring.knows_multishot_reads().map_err(lacking)? {
        return Err(lacks("the kernel's list of operations is without it".into()));
    }
    ring.provide_buffers(8).map_err(lacking)
}

/// The set-up that the parameters name; a mechanism without one of them has its default.
pub(super) fn setup(parameters: &Parameters) -> RingSetup {
    let says = |name: &str, word: &str| parameters.iter().any(|(n, value)| n == name && value.to_string() == word);
    RingSetup { defer_taskrun: says(TASKRUN.name, "defer"), sqpoll: says(SQPOLL.name, "on") }
}

/// The expectation where nothing comes between the task and its ring, adapted to what does.
pub(super) fn adapted(parameters: &Parameters, expected: Expectation) -> Expectation {
    if setup(parameters).sqpoll {
        // The task enters the kernel to sleep or to wake the thread that submits, and each may find the other awake.
        return Expectation::nothing()
            .call("io_uring_enter", Bound::Depends)
            .voluntary(Bound::Depends)
            .wakeups(Bound::Depends);
    }
    if needs_workers(parameters) {
        return expected.voluntary(Bound::Depends).wakeups(Bound::Depends);
    }
    expected
}

/// Whether kernel workers do what the ring is asked, since it cannot ask the channels itself.
pub(super) fn needs_workers(parameters: &Parameters) -> bool {
    Transport::of(parameters) == Transport::Pipe && !pipes_can_be_asked()
}

/// Whether requests that are not linked are done in the order of the queue: as long as each is done at once.
pub(super) fn supports_order_without_links(parameters: &Parameters) -> Result<(), Unsupported> {
    if !needs_workers(parameters) {
        return Ok(());
    }
    Err(Unsupported::new(
        "pipes that io_uring reads without a kernel worker (Linux 6.4), for requests to keep their order unlinked",
        "preadv2 of a pipe with RWF_NOWAIT: EOPNOTSUPP",
        "transport=socketpair, link=linked, or a newer kernel",
    ))
}

/// What requests on the channels of a ring name: descriptors, or places in the list of registered files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RingFiles {
    Plain,
    Registered,
}

impl RingFiles {
    /// As the parameters say; with `Registered`, registers the readers and behind them the writers.
    pub(super) fn of<'a>(
        parameters: &Parameters,
        ring: &mut Ring,
        readers: impl Iterator<Item = &'a OwnedFd>,
        writers: impl Iterator<Item = &'a OwnedFd>,
    ) -> Result<Self, Failure> {
        if parameters.word(FILES.name) == "plain" {
            return Ok(Self::Plain);
        }
        let files: Vec<_> = readers.chain(writers).map(AsRawFd::as_raw_fd).collect();
        ring.register_files(&files)?;
        Ok(Self::Registered)
    }

    /// The target of requests on `descriptor`, file number `place`.
    #[inline]
    pub(super) fn target(self, descriptor: &OwnedFd, place: usize) -> RingTarget<'_> {
        match self {
            Self::Plain => descriptor.into(),
            // Descriptors are numbered with 32 bits.
            Self::Registered => RingTarget::Registered(place as u32),
        }
    }
}
