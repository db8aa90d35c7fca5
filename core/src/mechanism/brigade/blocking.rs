//! Tasks that block: the loop that each runs, whatever the channels are.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::load::{Load, TaskLoad};
use super::{RingEnds, bucket, channels_for, places, verify};
use crate::mechanism::{Batch, Crew, Failure, Operation, Parameters};
use crate::sys::channel::{read_whole, write_whole};

/// Where one task receives and sends.
pub(super) trait Port {
    /// Waits for the next token and says its byte; `None` when the task before has closed its end.
    fn receive(&mut self) -> Result<Option<u8>, Failure>;

    /// Sends the token of this byte to the next task.
    fn send(&mut self, byte: u8) -> Result<(), Failure>;
}

/// Passes every token on until the task before has closed its end.
pub(super) fn pass_on(port: &mut impl Port, task_load: &mut TaskLoad) -> Result<(), Failure> {
    while let Some(byte) = port.receive()? {
        task_load.perform();
        port.send(byte)?;
    }
    Ok(())
}

/// Sends the tokens round until `ops` hops are done.
pub(super) fn drive(port: &mut impl Port, task_load: &mut TaskLoad, load: &Load, ops: u64) -> Result<u64, Failure> {
    let rounds = ops / load.tasks;
    let mut sent = 0;
    // No token overtakes another, so they come round as they were sent.
    for received in 0..rounds {
        while sent < rounds.min(received + load.tokens) {
            port.send(bucket(sent))?;
            sent += 1;
        }
        match port.receive()? {
            Some(byte) => verify(received, byte)?,
            None => return Err(Failure::Corrupted("the brigade broke off".into())),
        }
        task_load.perform();
    }
    Ok(rounds * load.tasks)
}

/// The driver's part, once the other tasks are placed.
pub(super) fn lead(mut driver: impl Port + 'static, load: Load) -> Box<dyn Operation> {
    let mut task_load = load.task_load();
    Box::new(move |ops: u64| Batch::timed(|| drive(&mut driver, &mut task_load, &load, ops)))
}

/// Spawns a thread for every port but the first, which is the driver's.
pub(super) fn spawn_threads(
    ports: impl IntoIterator<Item = impl Port + Send + 'static>,
    load: Load,
    crew: &mut Crew,
) -> Result<Box<dyn Operation>, Failure> {
    let mut ports = ports.into_iter();
    let driver = ports.next().ok_or_else(|| Failure::Corrupted("a brigade without tasks".into()))?;
    for (index, mut port) in ports.enumerate() {
        crew.spawn(index + 1, move |ready| {
            let mut task_load = load.task_load();
            ready.signal();
            pass_on(&mut port, &mut task_load)
        })?;
    }
    Ok(lead(driver, load))
}

/// A task's ends of two byte channels, and the token it holds.
#[derive(Debug)]
pub(super) struct BytePort {
    place: RingEnds<OwnedFd>,
    token: Box<[u8]>,
}

impl BytePort {
    /// The ports of a brigade, by task.
    pub(super) fn open(parameters: &Parameters, load: &Load) -> Result<Vec<Self>, Failure> {
        let (readers, writers) =
            channels_for(parameters, load, false)?.into_iter().map(|c| (c.reader, c.writer)).unzip();
        Ok(places(readers, writers).into_iter().map(|place| Self::at(place, load)).collect())
    }

    /// The port at `place`.
    pub(super) fn at(place: RingEnds<OwnedFd>, load: &Load) -> Self {
        Self { place, token: vec![0; load.payload].into_boxed_slice() }
    }

    /// The numbers of its two descriptors.
    pub(super) fn descriptors(&self) -> [RawFd; 2] {
        [self.place.reader.as_raw_fd(), self.place.writer.as_raw_fd()]
    }
}

impl Port for BytePort {
    #[inline]
    fn receive(&mut self) -> Result<Option<u8>, Failure> {
        Ok(read_whole(&self.place.reader, &mut self.token)?.then_some(self.token[0]))
    }

    #[inline]
    fn send(&mut self, byte: u8) -> Result<(), Failure> {
        // A task that passes on holds this very token; only the driver makes new ones.
        if self.token[0] != byte {
            self.token.fill(byte);
        }
        Ok(write_whole(&self.place.writer, &self.token)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// The driver's place in a brigade whose other tasks pass everything on: it counts what goes round.
    #[derive(Default)]
    struct Ring {
        sent: u64,
        received: u64,
        under_way: VecDeque<u8>,
        most: usize,
    }

    impl Port for Ring {
        fn receive(&mut self) -> Result<Option<u8>, Failure> {
            self.received += 1;
            Ok(self.under_way.pop_front())
        }

        fn send(&mut self, byte: u8) -> Result<(), Failure> {
            self.sent += 1;
            self.under_way.push_back(byte);
            self.most = self.most.max(self.under_way.len());
            Ok(())
        }
    }

    /// Nothing outside sees the hops of tasks that make no system call.
    #[test]
    fn as_many_tokens_go_round_as_asked_for() {
        for (tokens, rounds) in [(1, 1), (1, 7), (3, 3), (3, 12)] {
            let load = Load::plain(5, tokens);
            let mut ring = Ring::default();
            let done = drive(&mut ring, &mut load.task_load(), &load, rounds * 5).unwrap();
            assert_eq!((ring.sent, ring.received, done), (rounds, rounds, rounds * 5));
            assert_eq!(ring.most as u64, tokens, "so many are under way at once");
        }
    }
}
