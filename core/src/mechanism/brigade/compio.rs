//! A task per task of the brigade on compio, a runtime on io_uring, all on one thread: completions in place of
//! readiness, behind the same `async fn`.
//!
//! Timed: per hop the read that the task submits, the write that completes the next task's, the io_uring_enter that
//! brings both, the poll of the task. Not timed: building the runtime, spawning the tasks.
//! Distortions: buffers are handed to the runtime and back, as completions demand; the channels are blocking ones, on
//! which a read waits inside the ring, or before Linux 6.4 that of a pipe in a kernel worker.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;

use compio::BufResult;
use compio::driver::{DriverType, ProactorBuilder};
use compio::io::{AsyncReadExt, AsyncWriteExt};
use compio::runtime::fd::AsyncFd;
use compio::runtime::{Runtime, RuntimeBuilder};

use super::asynchronous::{AsyncPort, LeadTask, pass_on};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens, one_token};
use super::{RingEnds, TASKS, TRANSPORT, channels_for, places, resources_of_one_thread, rings};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/compio",
    isolates: "async tasks on an io_uring runtime in one thread: what the runtime adds to the bare ring",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/uring",
    requirements: &["io_uring with IORING_OP_READ (Linux 5.6)"],
    source: "docs.rs/compio; io_uring(7)",
    lap: hops_of_all_tokens,
    resources: resources_of_one_thread,
    expects: |parameters, _| {
        // One brings the hop's two completions; the executor also looks every 61 polls. Tokens that go together share
        // it. Kernel workers complete the two each for itself, and the first ends the wait.
        let enters = match (one_token(parameters), rings::needs_workers(parameters)) {
            (true, false) => Bound::Between(1.0, 1.1),
            (false, false) => Bound::AtMost(1.1),
            (_, true) => Bound::AtMost(2.2),
        };
        rings::adapted(parameters, Expectation::nothing().call("io_uring_enter", enters))
    },
};

struct Compio;

register!(Compio);

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::library("compio", error)
}

impl Mechanism for Compio {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        rings::probe()
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        self.probe()?;
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let load = Load::of(parameters)?;
        // Without this it would fall back to epoll where it misses an operation.
        let mut proactor = ProactorBuilder::new();
        proactor.driver_type(DriverType::IoUring);
        let runtime = RuntimeBuilder::new().with_proactor(proactor).build().map_err(failed)?;
        let mut ports = runtime.enter(|| ports(parameters, &load))?;
        let driver = LeadTask::new(ports.remove(0), load);
        for port in ports {
            runtime.spawn(pass_on(port, load.task_load())).detach();
        }
        let mut brigade = Brigade { driver, runtime };
        Ok(Box::new(move |ops: u64| brigade.runtime.block_on(brigade.driver.drive(ops))))
    }
}

struct Brigade {
    // Before the runtime that its descriptors belong to.
    driver: LeadTask<CompioPort>,
    runtime: Runtime,
}

struct CompioPort {
    place: RingEnds<AsyncFd<OwnedFd>>,
    /// Away while an operation has it.
    token: Vec<u8>,
}

fn ports(parameters: &Parameters, load: &Load) -> Result<Vec<CompioPort>, Failure> {
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for channel in channels_for(parameters, load, false)? {
        readers.push(AsyncFd::new(channel.reader).map_err(failed)?);
        writers.push(AsyncFd::new(channel.writer).map_err(failed)?);
    }
    let port = |place| CompioPort { place, token: vec![0; load.payload] };
    Ok(places(readers, writers).into_iter().map(port).collect())
}

impl AsyncPort for CompioPort {
    async fn receive(&mut self) -> Result<Option<u8>, Failure> {
        let BufResult(outcome, token) = self.place.reader.read_exact(std::mem::take(&mut self.token)).await;
        self.token = token;
        match outcome {
            Ok(()) => Ok(Some(self.token[0])),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn send(&mut self, byte: u8) -> Result<(), Failure> {
        let mut token = std::mem::take(&mut self.token);
        if token[0] != byte {
            token.fill(byte);
        }
        let BufResult(outcome, token) = self.place.writer.write_all(token).await;
        self.token = token;
        outcome.map_err(failed)
    }
}
