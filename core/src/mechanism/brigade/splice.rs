//! One thread moves the byte from pipe to pipe by splice(2): one system call a hop, and the byte itself never comes
//! near the program. The floor for moving a byte that lies in the kernel.
//!
//! Timed: per hop one splice of one pipe's page into the next pipe; per batch one write and one read. Not timed:
//! opening the pipes.
//! Distortions: nothing is copied, the page changes its owner: a larger `payload` costs by the page and not by the
//! byte. The program cannot look at the byte on its way, so it is verified once a batch, and there is neither `work`
//! nor `touch`. Several tokens in one pipe would be one: a splice takes all that is there, which `payload` shows.

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};

use super::load::PAYLOAD;
use super::{TASKS, bucket, hops_per_lap, resources_of_one_thread, verify};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::SysError;
use crate::sys::channel::{Ends, make_room, pipe, read_whole, write_whole};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/splice",
    isolates: "the byte moved from pipe to pipe inside the kernel: one system call a hop, the lower bound of moving it",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, PAYLOAD],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "splice(2); fs/splice.c, splice_pipe_to_pipe",
    lap: hops_per_lap,
    resources: resources_of_one_thread,
    // The driver puts the byte in and takes it out again.
    expects: |_, _| Expectation::nothing().call("splice", Bound::Exactly(1.0)).per_batch(Expectation::OTHER_CALLS, 2.0),
};

struct Splice;

register!(Splice);

impl Mechanism for Splice {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let payload = parameters.size(PAYLOAD.name);
        let ring = (0..parameters.size(TASKS.name)).map(|_| pipe(false)).collect::<Result<Vec<Ends>, _>>()?;
        for pipe in &ring {
            make_room(&pipe.writer, 1, payload)?;
        }
        let mut token = vec![0; payload];
        let mut batches = 0;
        Ok(Box::new(move |ops: u64| {
            batches += 1;
            token.fill(bucket(batches));
            Batch::timed(|| {
                write_whole(&ring[0].writer, &token)?;
                let hops = hops(&ring, payload, ops)?;
                read_whole(&ring[0].reader, &mut token)?;
                verify(batches, token[payload - 1])?;
                Ok(hops)
            })
        }))
    }
}

/// Splices from each pipe to the next until `ops` hops are done.
fn hops(ring: &[Ends], payload: usize, ops: u64) -> Result<u64, Failure> {
    let mut hops = 0;
    while hops < ops {
        for (from, to) in ring.iter().zip(ring[1..].iter().chain(&ring[..1])) {
            hop(from, to, payload)?;
            hops += 1;
        }
    }
    Ok(hops)
}

/// Moves the whole token from one pipe to the next.
#[inline]
fn hop(from: &Ends, to: &Ends, payload: usize) -> Result<(), Failure> {
    let mut left = payload;
    while left > 0 {
        match splice(&from.reader, None, &to.writer, None, left, SpliceFFlags::empty()) {
            Ok(0) => return Err(Failure::Corrupted("a channel of the brigade closed".into())),
            Ok(moved) => left -= moved,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new("splice", errno).into()),
        }
    }
    Ok(())
}
