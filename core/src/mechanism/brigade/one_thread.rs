//! One thread makes all the writes and all the reads of a lap, in order: what a brigade's input and output cost
//! when no task has to be woken. The baseline of the group.
//!
//! Timed: `n` writes and `n` reads a lap. Not timed: opening the channels.
//! Distortions: each byte is read by the thread, and so the CPU, that has just written it; its cache lines are hot.
//! Several tokens stand in one channel together: all are written, then all are read.

use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens, read_and_write};
use super::{TASKS, TRANSPORT, bucket, channels_for, resources_of_one_thread, verify};
use crate::mechanism::{
    Batch, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::channel::{Ends, read_whole, write_whole};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/one_thread",
    isolates: "the input and output of a hop alone: one thread writes and reads every channel, and wakes no other task",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "pipe(7), read(2), write(2)",
    lap: hops_of_all_tokens,
    resources: resources_of_one_thread,
    expects: |parameters, _| read_and_write(parameters),
};

struct OneThread;

register!(OneThread);

impl Mechanism for OneThread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let load = Load::of(parameters)?;
        let ring = channels_for(parameters, &load, false)?;
        let mut chores: Vec<_> = ring.iter().map(|_| load.task_load()).collect();
        let mut tokens = vec![vec![0; load.payload]; load.tokens as usize];
        Ok(Box::new(move |ops: u64| {
            Batch::timed(|| {
                let mut hops = 0;
                let mut sent = 0;
                while hops < ops {
                    for (token, number) in tokens.iter_mut().zip(sent..) {
                        token.fill(bucket(number));
                    }
                    for (channel, task_load) in ring.iter().zip(&mut chores) {
                        hop(channel, &mut tokens)?;
                        tokens.iter().for_each(|_| task_load.perform());
                        hops += load.tokens;
                    }
                    for (token, number) in tokens.iter().zip(sent..) {
                        verify(number, token[0])?;
                    }
                    sent += load.tokens;
                }
                Ok(hops)
            })
        }))
    }
}

/// Writes all tokens to a channel and reads them back.
#[inline]
fn hop(channel: &Ends, tokens: &mut [Vec<u8>]) -> Result<(), Failure> {
    for token in &*tokens {
        write_whole(&channel.writer, token)?;
    }
    for token in tokens {
        if !read_whole(&channel.reader, token)? {
            return Err(Failure::Corrupted("a channel lost its byte".into()));
        }
    }
    Ok(())
}
