//! A task for each stage over kanal's asynchronous channels, on tokio's runtime of several workers or of one thread.
//!
//! Timed: per message two crossings of a channel, the wakeups and polls of the tasks that wait, the transform, the
//! checks of the sink. Not timed: building the runtime, spawning and ending the tasks, waking the driver.
//! Distortions: kanal's channels know nothing of tokio's cooperative budget, so that an unbounded channel is filled in
//! one go. Its spin lock is that of `pipeline/thread_kanal`.

use kanal::{AsyncReceiver, AsyncSender, bounded_async, unbounded_async};

use super::channel::{Capacity, MessageChannel};
use super::tasks::{OF_TASKS, expects, resources, set_up_on_tokio, tasks};
use super::thread_kanal::count_cpus;
use super::{Message, messages_per_lap};
use crate::mechanism::{
    Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "pipeline/kanal_async",
    isolates: "a task for each stage over kanal's asynchronous channels, on tokio's runtimes",
    unit: Unit::Message,
    tasks: Tasks::Several,
    parameters: OF_TASKS,
    baseline: "pipeline/inline",
    requirements: &[],
    source: "docs.rs/kanal",
    lap: messages_per_lap,
    resources,
    expects,
};

struct KanalAsync;

register!(KanalAsync);

impl Mechanism for KanalAsync {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        count_cpus();
        Ok(())
    }

    fn tasks(&self, parameters: &Parameters) -> Tasks {
        tasks(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up_on_tokio::<Self>(parameters, crew)
    }
}

impl MessageChannel for KanalAsync {
    type Sender = AsyncSender<Message>;
    type Receiver = AsyncReceiver<Message>;

    fn open(capacity: Capacity) -> (AsyncSender<Message>, AsyncReceiver<Message>) {
        match capacity {
            Capacity::Bounded(messages) => bounded_async(messages),
            Capacity::Unbounded => unbounded_async(),
        }
    }

    #[inline]
    async fn send(sender: &mut AsyncSender<Message>, message: Message) -> bool {
        sender.send(message).await.is_ok()
    }

    #[inline]
    async fn receive(receiver: &mut AsyncReceiver<Message>) -> Option<Message> {
        receiver.recv().await.ok()
    }
}
