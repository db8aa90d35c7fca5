//! A task for each stage over tokio's channels, on its runtime of several workers or of one thread.
//!
//! Timed: per message two crossings of a channel, the wakeups and polls of the tasks that wait, the transform, the
//! checks of the sink. Not timed: building the runtime, spawning and ending the tasks, waking the driver.
//! Distortions: a task that finds its channel ready again and again gives way to others after 128 messages (tokio's
//! cooperative budget), so that an unbounded channel is not filled in one go. Which worker runs a task is the runtime's
//! decision; unpinned, which CPU runs the worker, the scheduler's.

use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};

use super::channel::{Capacity, MessageChannel, without_rendezvous};
use super::tasks::{OF_TASKS, expects, resources, set_up_on_tokio, tasks};
use super::{Message, messages_per_lap};
use crate::mechanism::{
    Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "pipeline/tokio_mpsc",
    isolates: "a task for each stage over tokio's channels, on either of its runtimes",
    unit: Unit::Message,
    tasks: Tasks::Several,
    parameters: OF_TASKS,
    baseline: "pipeline/inline",
    requirements: &[],
    source: "docs.rs/tokio, sync::mpsc; runtime; task::coop",
    lap: messages_per_lap,
    resources,
    expects,
};

struct TokioMpsc;

register!(TokioMpsc);

impl Mechanism for TokioMpsc {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        without_rendezvous(parameters, "tokio")
    }

    fn tasks(&self, parameters: &Parameters) -> Tasks {
        tasks(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up_on_tokio::<Self>(parameters, crew)
    }
}

impl MessageChannel for TokioMpsc {
    type Sender = TokioSender;
    type Receiver = TokioReceiver;

    fn open(capacity: Capacity) -> (TokioSender, TokioReceiver) {
        match capacity {
            Capacity::Bounded(messages) => {
                let (sender, receiver) = channel(messages);
                (TokioSender::Bounded(sender), TokioReceiver::Bounded(receiver))
            }
            Capacity::Unbounded => {
                let (sender, receiver) = unbounded_channel();
                (TokioSender::Unbounded(sender), TokioReceiver::Unbounded(receiver))
            }
        }
    }

    #[inline]
    async fn send(sender: &mut TokioSender, message: Message) -> bool {
        match sender {
            TokioSender::Bounded(sender) => sender.send(message).await.is_ok(),
            TokioSender::Unbounded(sender) => sender.send(message).is_ok(),
        }
    }

    #[inline]
    async fn receive(receiver: &mut TokioReceiver) -> Option<Message> {
        match receiver {
            TokioReceiver::Bounded(receiver) => receiver.recv().await,
            TokioReceiver::Unbounded(receiver) => receiver.recv().await,
        }
    }
}

/// The library has a type for each.
#[derive(Debug, Clone)]
enum TokioSender {
    Bounded(Sender<Message>),
    Unbounded(UnboundedSender<Message>),
}

/// As [`TokioSender`].
#[derive(Debug)]
enum TokioReceiver {
    Bounded(Receiver<Message>),
    Unbounded(UnboundedReceiver<Message>),
}
