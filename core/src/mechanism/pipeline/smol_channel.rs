//! A task for each stage over smol's channels (async-channel), on its executor, which the crew's threads run, or the
//! driver alone.
//!
//! Timed: per message two crossings of a channel, the wakeups and polls of the tasks that wait, the transform, the
//! checks of the sink. Not timed: building the runtime, spawning and ending the tasks, waking the driver.
//! Distortions: no task gives way before it must wait, so that an unbounded channel is filled in one go. Workers sleep
//! in a future of their own and not in smol's reactor, which has no descriptors to watch.

use smol::channel::{Receiver, Sender, bounded, unbounded};

use super::channel::{Capacity, MessageChannel, without_rendezvous};
use super::tasks::{OF_TASKS, expects, resources, set_up_on_smol, tasks};
use super::{Message, messages_per_lap};
use crate::mechanism::{
    Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "pipeline/smol_channel",
    isolates: "a task for each stage over smol's channels, on its executor",
    unit: Unit::Message,
    tasks: Tasks::Several,
    parameters: OF_TASKS,
    baseline: "pipeline/inline",
    requirements: &[],
    source: "docs.rs/async-channel, docs.rs/async-executor",
    lap: messages_per_lap,
    resources,
    expects,
};

struct SmolChannel;

register!(SmolChannel);

impl Mechanism for SmolChannel {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        without_rendezvous(parameters, "smol")
    }

    fn tasks(&self, parameters: &Parameters) -> Tasks {
        tasks(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up_on_smol::<Self>(parameters, crew)
    }
}

impl MessageChannel for SmolChannel {
    type Sender = Sender<Message>;
    type Receiver = Receiver<Message>;

    fn open(capacity: Capacity) -> (Sender<Message>, Receiver<Message>) {
        match capacity {
            Capacity::Bounded(messages) => bounded(messages),
            Capacity::Unbounded => unbounded(),
        }
    }

    #[inline]
    async fn send(sender: &mut Sender<Message>, message: Message) -> bool {
        sender.send(message).await.is_ok()
    }

    #[inline]
    async fn receive(receiver: &mut Receiver<Message>) -> Option<Message> {
        receiver.recv().await.ok()
    }
}
