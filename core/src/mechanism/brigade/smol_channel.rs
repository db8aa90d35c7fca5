//! A task per task of the brigade on smol's executor, over its channels, all on one thread: no descriptor and no system
//! call.
//!
//! Timed: per hop a push into a channel, the wakeup of a task through its waker, its poll, a pop. Not timed: building
//! the executor, spawning the tasks.
//! Distortions: as in `brigade/tokio_mpsc`. The driver is blocked on without smol's reactor, which would look for
//! events of descriptors that there are none of.

use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::block_on;

use super::asynchronous::{AsyncPort, LeadTask, pass_on};
use super::channel::MessagePort;
use super::load::{BYTES_IN_FLIGHT, Load, MESSAGE, TOUCH, WORK, by_size, hops_of_all_tokens};
use super::{TASKS, demand_without_descriptors, places};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/smol_channel",
    isolates: "async tasks over smol's channels and executor in one thread: waking a task without the kernel",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, BYTES_IN_FLIGHT, MESSAGE, WORK, TOUCH],
    baseline: "brigade/tokio_mpsc",
    requirements: &[],
    source: "docs.rs/async-channel, docs.rs/async-executor",
    lap: hops_of_all_tokens,
    resources: demand_without_descriptors,
    // A task that waits allocates an entry in the channel's list of listeners; the allocator may ask for more memory.
    expects: |_, _| Expectation::nothing().others(Bound::AtMost(0.01)),
};

struct SmolChannel;

register!(SmolChannel);

impl Mechanism for SmolChannel {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        by_size!(parameters, spawn(parameters))
    }
}

type ChannelPort<const BYTES: usize> = MessagePort<Receiver<[u8; BYTES]>, Sender<[u8; BYTES]>, BYTES>;

fn spawn<const BYTES: usize>(parameters: &Parameters) -> Result<Box<dyn Operation>, Failure> {
    let load = Load::of_tokens(parameters);
    let executor = LocalExecutor::new();
    // Room for all tokens, so that no task ever waits to send.
    let (senders, receivers) = (0..load.tasks).map(|_| bounded(load.tokens as usize)).unzip();
    let mut ends = places(receivers, senders).into_iter().map(ChannelPort::<BYTES>::new);
    let driver = ends.next().ok_or_else(|| Failure::library("smol", "no tasks"))?;
    for ends in ends {
        executor.spawn(pass_on(ends, load.task_load())).detach();
    }
    let mut driver = LeadTask::new(driver, load);
    Ok(Box::new(move |ops: u64| block_on(executor.run(driver.drive(ops)))))
}

impl<const BYTES: usize> AsyncPort for ChannelPort<BYTES> {
    async fn receive(&mut self) -> Result<Option<u8>, Failure> {
        let message = self.place.reader.recv().await.ok();
        Ok(message.map(|message| self.keep(message)))
    }

    async fn send(&mut self, byte: u8) -> Result<(), Failure> {
        let message = self.message(byte);
        self.place.writer.send(message).await.map_err(|error| Failure::library("smol", error))
    }
}
