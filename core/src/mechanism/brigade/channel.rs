//! What the brigades over channels in user space have in common.

use super::blocking::{Port, spawn_threads};
use super::load::{Load, by_size};
use super::{RingEnds, TASKS, places};
use crate::mechanism::{Bound, Crew, Expectation, Failure, Operation, Parameters, Placement, Resources};

/// A library's unbounded channel, whose receiver blocks its thread.
pub(super) trait BlockingChannel: 'static {
    /// What a failure calls the library.
    const LIBRARY: &'static str;
    /// Where messages go in.
    type Sender<T: Send + 'static>: Send + 'static;
    /// Where messages come out.
    type Receiver<T: Send + 'static>: Send + 'static;

    /// A channel of its own.
    fn open<T: Send + 'static>() -> (Self::Sender<T>, Self::Receiver<T>);

    /// Sends; false when the receiver is gone.
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, message: T) -> bool;

    /// Waits for a message; `None` when the sender is gone and nothing is left.
    fn receive<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T>;
}

/// A thread per task over channels of this library.
pub(super) fn set_up_threads<C: BlockingChannel>(
    parameters: &Parameters,
    crew: &mut Crew,
) -> Result<Box<dyn Operation>, Failure> {
    by_size!(parameters, set_up_sized<C>(parameters, crew))
}

fn set_up_sized<C: BlockingChannel, const BYTES: usize>(
    parameters: &Parameters,
    crew: &mut Crew,
) -> Result<Box<dyn Operation>, Failure> {
    let load = Load::of_tokens(parameters);
    let (senders, receivers) = (0..load.tasks).map(|_| C::open::<[u8; BYTES]>()).unzip();
    let ports = places(receivers, senders).into_iter().map(|place| ChannelPort::<C, BYTES>(MessagePort::new(place)));
    spawn_threads(ports, load, crew)
}

/// What a thread holds: the receiver of its own channel and the sender of the next task's.
struct ChannelPort<C: BlockingChannel, const BYTES: usize>(
    MessagePort<C::Receiver<[u8; BYTES]>, C::Sender<[u8; BYTES]>, BYTES>,
);

impl<C: BlockingChannel, const BYTES: usize> Port for ChannelPort<C, BYTES> {
    #[inline]
    fn receive(&mut self) -> Result<Option<u8>, Failure> {
        let message = C::receive(&self.0.place.reader);
        Ok(message.map(|message| self.0.keep(message)))
    }

    #[inline]
    fn send(&mut self, byte: u8) -> Result<(), Failure> {
        let message = self.0.message(byte);
        // It fails only when the next task is gone, whose own failure the crew tells.
        if C::send(&self.0.place.writer, message) {
            Ok(())
        } else {
            Err(Failure::library(C::LIBRARY, "the next task's receiver is gone"))
        }
    }
}

/// A task's ends of two channels, and the message that it holds.
#[derive(Debug)]
pub(super) struct MessagePort<R, S, const BYTES: usize> {
    pub(super) place: RingEnds<R, S>,
    message: [u8; BYTES],
}

impl<R, S, const BYTES: usize> MessagePort<R, S, BYTES> {
    /// At `place`.
    pub(super) fn new(place: RingEnds<R, S>) -> Self {
        Self { place, message: [0; BYTES] }
    }

    /// Keeps what has arrived and says its byte.
    #[inline]
    pub(super) fn keep(&mut self, message: [u8; BYTES]) -> u8 {
        self.message = message;
        self.message[0]
    }

    /// The message of this byte: the one held, for a task that passes it on; a new one, for the driver.
    #[inline]
    pub(super) fn message(&mut self, byte: u8) -> [u8; BYTES] {
        if self.message[0] != byte {
            self.message.fill(byte);
        }
        self.message
    }
}

/// Threads, and no descriptor but those of the process itself.
pub(super) fn demand_of_channel_threads(parameters: &Parameters) -> Resources {
    Resources { descriptors: 8, threads: parameters.number(TASKS.name), processes: 0 }
}

/// A receiver that finds nothing sleeps in a futex and is woken; how often it looks again before, and whether it yields
/// meanwhile, is the library's affair.
pub(super) fn woken_threads(placement: Placement) -> Expectation {
    let calls = Expectation::nothing()
        .call("futex:wait", Bound::Depends)
        .call("futex:wake", Bound::Depends)
        .call("sched_yield", Bound::Depends)
        // A park with a timeout looks at the clock where that is a call.
        .others(Bound::AtMost(0.1));
    match placement {
        // A yield is a switch, of the involuntary kind. A waker holds the lock on the list of sleepers while it wakes:
        // a woken task that preempts the waker sleeps once more, for the lock.
        Placement::SameCpu => calls.voluntary(Bound::AtMost(2.0)).wakeups(Bound::AtMost(2.0)),
        // On several CPUs the locks are also met by chance.
        _ => calls.voluntary(Bound::AtMost(3.0)).wakeups(Bound::AtMost(3.0)),
    }
}
