//! A tokio task per task of the brigade, over tokio's channels, all on one thread: no descriptor and no system call.
//!
//! Timed: per hop a push into a channel, the wakeup of a task through its waker, its poll, a pop. Not timed: building
//! the runtime, spawning the tasks.
//! Distortions: nothing ever enters the kernel, so that this is the price of the runtime's queues alone; what wakes a
//! real task is mostly outside the program.

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::asynchronous::{AsyncPort, LeadTask, pass_on};
use super::channel::MessagePort;
use super::load::{BYTES_IN_FLIGHT, Load, MESSAGE, TOUCH, WORK, by_size, hops_of_all_tokens};
use super::{TASKS, demand_without_descriptors, places};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/tokio_mpsc",
    isolates: "async tasks over channels in one thread: waking a task without the kernel",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, BYTES_IN_FLIGHT, MESSAGE, WORK, TOUCH],
    baseline: "brigade/tokio_current_thread",
    requirements: &[],
    source: "docs.rs/tokio, sync::mpsc",
    lap: hops_of_all_tokens,
    resources: demand_without_descriptors,
    // The channel allocates room for 32 messages at a time; for large ones the allocator may ask for more memory.
    expects: |parameters, _| match parameters.word(MESSAGE.name) {
        "1" => Expectation::nothing(),
        _ => Expectation::nothing().others(Bound::AtMost(0.1)),
    },
};

struct TokioMpsc;

register!(TokioMpsc);

impl Mechanism for TokioMpsc {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        by_size!(parameters, spawn(parameters))
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::library("tokio", error)
}

type ChannelPort<const BYTES: usize> = MessagePort<Receiver<[u8; BYTES]>, Sender<[u8; BYTES]>, BYTES>;

fn spawn<const BYTES: usize>(parameters: &Parameters) -> Result<Box<dyn Operation>, Failure> {
    let load = Load::of_tokens(parameters);
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(failed)?;
    // Room for all tokens, so that no task ever waits to send.
    let (senders, receivers) = (0..load.tasks).map(|_| channel(load.tokens as usize)).unzip();
    let mut ends = places(receivers, senders).into_iter().map(ChannelPort::<BYTES>::new);
    let driver = ends.next().ok_or_else(|| failed("no tasks"))?;
    for ends in ends {
        runtime.spawn(pass_on(ends, load.task_load()));
    }
    let mut driver = LeadTask::new(driver, load);
    Ok(Box::new(move |ops: u64| runtime.block_on(driver.drive(ops))))
}

impl<const BYTES: usize> AsyncPort for ChannelPort<BYTES> {
    async fn receive(&mut self) -> Result<Option<u8>, Failure> {
        let message = self.place.reader.recv().await;
        Ok(message.map(|message| self.keep(message)))
    }

    async fn send(&mut self, byte: u8) -> Result<(), Failure> {
        let message = self.message(byte);
        self.place.writer.send(message).await.map_err(failed)
    }
}
