//! A task per task of the brigade on smol's local executor, over descriptors that async-io watches: the other
//! well-known async stack.
//!
//! Timed: per hop the read that finds nothing, the registration, the wait, the wakeup and poll of the task, the read,
//! the write. Not timed: opening and registering the channels, spawning the tasks.
//! Distortions: async-io arms a descriptor anew each time a task waits for it (one-shot epoll) and notifies its own
//! poller when it does, hence the many calls. It keeps one reactor, of three descriptors, for the whole process and a
//! helper thread, `async-io`, that outlives every instance; while a thread blocks on a future, that one only looks
//! in every 10 ms. It is started from the thread that asks for the instance, so that it carries neither the placement's
//! mask nor the counters.

use std::os::fd::{AsFd, OwnedFd};

use smol::{Async, LocalExecutor, block_on};

use super::asynchronous::{AsyncPort, Inbox, LeadTask, pass_on};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens};
use super::{RingEnds, TASKS, TRANSPORT, channels_for, places, resources_of_one_thread};
use crate::mechanism::reactor;
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/smol",
    isolates: "async tasks on smol's executor and async-io in one thread: a reactor that arms descriptors one by one",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "docs.rs/async-io, \"Implementation\"; docs.rs/async-executor",
    lap: hops_of_all_tokens,
    resources: resources_of_one_thread,
    expects: |_, _| {
        Expectation::nothing()
            .call("write", Bound::Exactly(1.0))
            // Two of the channel, of which the first finds nothing, and those of the reactor's eventfd and timerfd.
            .call("read", Bound::AtMost(5.0))
            // The channel and the reactor's own descriptors are armed again at every wait.
            .call("epoll_ctl:oneshot", Bound::AtMost(5.0))
            .call("epoll_wait", Bound::AtMost(1.1))
            .call("timerfd_settime", Bound::AtMost(1.1))
            // The helper thread and the one that blocks take turns at the reactor's lock.
            .call("futex:wait", Bound::Depends)
            .call("futex:wake", Bound::Depends)
            .others(Bound::AtMost(0.5))
            // The helper thread's, every 10 ms: next to none, except on a machine that takes that long for a hop.
            .voluntary(Bound::AtMost(1.0))
            .wakeups(Bound::AtMost(1.0))
    },
};

struct Smol;

register!(Smol);

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::library("smol", error)
}

impl Mechanism for Smol {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    /// Starts the helper thread as well, if this is the first time: see the top of the file.
    fn probe(&self) -> Result<(), Unsupported> {
        reactor::start()
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        self.probe()?;
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let load = Load::of(parameters)?;
        let executor = LocalExecutor::new();
        let mut ports = ports(parameters, &load)?;
        let mut driver = LeadTask::new(ports.remove(0), load);
        for port in ports {
            executor.spawn(pass_on(port, load.task_load())).detach();
        }
        Ok(Box::new(move |ops: u64| block_on(executor.run(driver.drive(ops)))))
    }
}

struct SmolPort {
    place: RingEnds<Async<OwnedFd>>,
    inbox: Inbox,
}

fn ports(parameters: &Parameters, load: &Load) -> Result<Vec<SmolPort>, Failure> {
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for channel in channels_for(parameters, load, true)? {
        readers.push(Async::new(channel.reader).map_err(failed)?);
        writers.push(Async::new(channel.writer).map_err(failed)?);
    }
    let port = |place| SmolPort { place, inbox: Inbox::new(load) };
    Ok(places(readers, writers).into_iter().map(port).collect())
}

impl AsyncPort for SmolPort {
    async fn receive(&mut self) -> Result<Option<u8>, Failure> {
        loop {
            if let Some(byte) = self.inbox.next_token() {
                return Ok(Some(byte));
            }
            let room = self.inbox.room();
            let read = |end: &OwnedFd| Ok(nix::unistd::read(end.as_fd(), room)?);
            match self.place.reader.read_with(read).await.map_err(failed)? {
                0 => return Ok(None),
                bytes => self.inbox.arrived(bytes),
            }
        }
    }

    async fn send(&mut self, byte: u8) -> Result<(), Failure> {
        let mut left = self.inbox.token(byte);
        while !left.is_empty() {
            let write = |end: &OwnedFd| Ok(nix::unistd::write(end.as_fd(), left)?);
            let written = self.place.writer.write_with(write).await.map_err(failed)?;
            left = &left[written..];
        }
        Ok(())
    }
}
