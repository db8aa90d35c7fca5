//! One thread that asks the kernel which channels are readable: the loop, whatever it asks with.
//!
//! A ready channel is emptied by one read into a buffer with room to spare: less than asked for means that nothing is
//! left, which an edge-triggered reader must know before it waits again (epoll(7), "Questions and answers", 9), and the
//! others may know too. Each token then goes on by a write of its own.

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::load::{Load, TaskLoad, one_token};
use super::{RingEnds, TASKS, bucket, channels_for, places, verify};
use crate::mechanism::{Batch, Bound, Expectation, Failure, Operation, Parameters};
use crate::sys::SysError;
use crate::sys::channel::write_whole;

/// What tells which channels are readable.
pub(super) trait Readiness {
    /// Waits until one is, and adds the tasks whose channels are to `ready`. May add none after a signal.
    fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), Failure>;

    /// The channel of `task` was emptied, and is to be watched again.
    fn rearm(&mut self, _task: usize, _reader: &OwnedFd) -> Result<(), Failure> {
        Ok(())
    }
}

/// What the read needs beyond the tokens, to come back short.
const SPARE: usize = 15;

/// The channels of a brigade, open and nonblocking; `watch` is given each task and its reading end.
pub(super) fn set_up<R: Readiness + 'static>(
    parameters: &Parameters,
    watch: impl FnOnce(&[RingEnds<OwnedFd>]) -> Result<R, Failure>,
) -> Result<Box<dyn Operation>, Failure> {
    let load = Load::of(parameters)?;
    let (readers, writers) = channels_for(parameters, &load, true)?.into_iter().map(|c| (c.reader, c.writer)).unzip();
    let places = places(readers, writers);
    let readiness = watch(&places)?;
    let chores = places.iter().map(|_| load.task_load()).collect();
    let buffer = vec![0; load.bytes() + SPARE].into_boxed_slice();
    let mut event_loop =
        ReadinessLoop { readiness, places, chores, load, ready: Vec::new(), buffer, at: LoopProgress::default() };
    Ok(Box::new(move |ops: u64| Batch::timed(|| event_loop.hops(ops))))
}

/// One wait, one read and one write a hop; with several tokens one wait may find several channels, and one read
/// several tokens.
pub(super) fn calls(wait: &str, parameters: &Parameters) -> Expectation {
    let shared = if one_token(parameters) { Bound::Exactly(1.0) } else { Bound::AtMost(1.0) };
    Expectation::nothing().call(wait, shared).call("read", shared).call("write", Bound::Exactly(1.0))
}

/// What set-up registers: a channel for each task.
pub(super) fn registrations(parameters: &Parameters) -> Bound {
    Bound::Exactly(parameters.number(TASKS.name) as f64)
}

struct ReadinessLoop<R> {
    // Before the channels that it watches.
    readiness: R,
    places: Vec<RingEnds<OwnedFd>>,
    chores: Vec<TaskLoad>,
    load: Load,
    ready: Vec<usize>,
    buffer: Box<[u8]>,
    at: LoopProgress,
}

/// How far a batch has got.
#[derive(Debug, Default, Clone, Copy)]
struct LoopProgress {
    hops: u64,
    sent: u64,
    received: u64,
}

impl<R: Readiness> ReadinessLoop<R> {
    fn hops(&mut self, ops: u64) -> Result<u64, Failure> {
        let rounds = ops / self.load.tasks;
        self.at = LoopProgress::default();
        while self.at.received < rounds {
            while self.at.sent < rounds.min(self.at.received + self.load.tokens) {
                let token = &mut self.buffer[..self.load.payload];
                token.fill(bucket(self.at.sent));
                write_whole(&self.places[0].writer, token)?;
                self.at.sent += 1;
            }
            self.ready.clear();
            self.readiness.wait(&mut self.ready)?;
            for index in 0..self.ready.len() {
                self.serve(self.ready[index])?;
            }
        }
        Ok(self.at.hops)
    }

    /// Empties the channel of `task` and passes on what was in it.
    fn serve(&mut self, task: usize) -> Result<(), Failure> {
        let Self { readiness, places, chores, load, buffer, at, .. } = self;
        let place = &places[task];
        let bytes = read_all(&place.reader, buffer)?;
        readiness.rearm(task, &place.reader)?;
        if bytes % load.payload != 0 {
            return Err(Failure::Corrupted(format!("{bytes} bytes are no whole tokens of {}", load.payload)));
        }
        for token in buffer[..bytes].chunks(load.payload) {
            at.hops += 1;
            chores[task].perform();
            if task == 0 {
                verify(at.received, token[0])?;
                at.received += 1;
            } else {
                write_whole(&place.writer, token)?;
            }
        }
        Ok(())
    }
}

/// Reads once; nothing when there was nothing.
#[inline]
fn read_all(reader: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Failure> {
    loop {
        match nix::unistd::read(reader, buffer) {
            Ok(0) => return Err(Failure::Corrupted("a channel of the brigade closed".into())),
            Ok(bytes) if bytes < buffer.len() => return Ok(bytes),
            Ok(bytes) => return Err(Failure::Corrupted(format!("{bytes} bytes where fewer were sent"))),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(0),
            Err(errno) => return Err(SysError::new("read", errno).into()),
        }
    }
}
