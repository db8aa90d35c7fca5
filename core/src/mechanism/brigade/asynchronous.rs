//! Tasks that are futures: the loop that each runs, whatever the runtime and the channels are.

use std::time::Instant;

use super::load::{Load, TaskLoad};
use super::{bucket, verify};
use crate::mechanism::{Batch, Failure};

/// Where one task receives and sends.
pub(super) trait AsyncPort {
    /// Waits for the next token and says its byte; `None` when the task before has closed its end.
    async fn receive(&mut self) -> Result<Option<u8>, Failure>;

    /// Sends the token of this byte to the next task.
    async fn send(&mut self, byte: u8) -> Result<(), Failure>;
}

/// Passes every token on until the task before has closed its end, or the runtime ends.
pub(super) async fn pass_on(mut port: impl AsyncPort, mut task_load: TaskLoad) -> Result<(), Failure> {
    while let Some(byte) = port.receive().await? {
        task_load.perform();
        port.send(byte).await?;
    }
    Ok(())
}

/// Sends the tokens round until `ops` hops are done.
pub(super) async fn drive(
    port: &mut impl AsyncPort,
    task_load: &mut TaskLoad,
    load: &Load,
    ops: u64,
) -> Result<Batch, Failure> {
    let start = Instant::now();
    let rounds = ops / load.tasks;
    let mut sent = 0;
    for received in 0..rounds {
        while sent < rounds.min(received + load.tokens) {
            port.send(bucket(sent)).await?;
            sent += 1;
        }
        match port.receive().await? {
            Some(byte) => verify(received, byte)?,
            None => return Err(Failure::Corrupted("the brigade broke off".into())),
        }
        task_load.perform();
    }
    Ok(Batch::since(start, rounds * load.tasks))
}

/// The driver's place and chore, which travel together.
pub(super) struct LeadTask<P> {
    /// Where it receives and sends.
    pub(super) port: P,
    task_load: TaskLoad,
    load: Load,
}

impl<P: AsyncPort> LeadTask<P> {
    /// The driver at `port`.
    pub(super) fn new(port: P, load: Load) -> Self {
        Self { port, task_load: load.task_load(), load }
    }

    /// Sends the tokens round until `ops` hops are done.
    pub(super) async fn drive(&mut self, ops: u64) -> Result<Batch, Failure> {
        drive(&mut self.port, &mut self.task_load, &self.load, ops).await
    }
}

/// The token that a task over byte channels holds, and the bytes that came with it.
///
/// The room is larger than all tokens, as any real program's is: a short read then proves that the channel is empty,
/// and a runtime that watches for edges spares the second read that would answer `EAGAIN`.
#[derive(Debug)]
pub(super) struct Inbox {
    room: Box<[u8]>,
    from: usize,
    to: usize,
    token: Box<[u8]>,
}

impl Inbox {
    /// For the tokens of `load`.
    pub(super) fn new(load: &Load) -> Self {
        let bytes = |count| vec![0; count].into_boxed_slice();
        Self { room: bytes(load.bytes() + 15), from: 0, to: 0, token: bytes(load.payload) }
    }

    /// Takes the next token out, if it is there whole, and returns its byte.
    pub(super) fn next_token(&mut self) -> Option<u8> {
        if self.to - self.from < self.token.len() {
            return None;
        }
        let end = self.from + self.token.len();
        self.token.copy_from_slice(&self.room[self.from..end]);
        self.from = end;
        Some(self.token[0])
    }

    /// Where the next bytes go.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.room.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        &mut self.room[self.to..]
    }

    /// That many bytes went into the room.
    pub(super) fn arrived(&mut self, bytes: usize) {
        self.to += bytes;
    }

    /// The token of this byte: the one held, for a task that passes it on; a new one, for the driver.
    pub(super) fn token(&mut self, byte: u8) -> &[u8] {
        if self.token[0] != byte {
            self.token.fill(byte);
        }
        &self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::{Parameters, Value, find};

    /// The driver's place in a brigade whose other tasks pass everything on: it counts what goes round.
    #[derive(Default)]
    struct Ring {
        sent: u64,
        received: u64,
        under_way: std::collections::VecDeque<u8>,
    }

    impl AsyncPort for Ring {
        async fn receive(&mut self) -> Result<Option<u8>, Failure> {
            self.received += 1;
            Ok(self.under_way.pop_front())
        }

        async fn send(&mut self, byte: u8) -> Result<(), Failure> {
            self.sent += 1;
            self.under_way.push_back(byte);
            Ok(())
        }
    }

    /// Nothing outside sees the hops of tasks that make no system call.
    #[test]
    fn as_many_tokens_go_round_as_asked_for() {
        for (tokens, rounds) in [(1, 1), (1, 7), (3, 12)] {
            let mut lead = LeadTask::new(Ring::default(), Load::plain(5, tokens));
            let done = smol::block_on(lead.drive(rounds * 5)).unwrap();
            assert_eq!((lead.port.sent, lead.port.received, done.ops.0), (rounds, rounds, rounds * 5));
        }
    }

    #[test]
    fn tokens_are_cut_from_whatever_pieces_arrive() {
        let descriptor = find("brigade/thread").unwrap().descriptor();
        let set = |parameters: Parameters, name, value| {
            parameters.with(descriptor.parameter(name).unwrap(), Value::Number(value))
        };
        let parameters = set(set(descriptor.defaults(), "payload", 3), "bytes_in_flight", 2);
        let mut inbox = Inbox::new(&Load::of(&parameters).unwrap());
        let mut seen = Vec::new();
        for piece in [&[1, 1][..], &[1, 2], &[2, 2, 3, 3], &[3]] {
            inbox.room()[..piece.len()].copy_from_slice(piece);
            inbox.arrived(piece.len());
            seen.extend(std::iter::from_fn(|| inbox.next_token()));
        }
        assert_eq!(seen, [1, 2, 3]);
        assert_eq!(inbox.token(3), [3; 3]);
        assert_eq!(inbox.token(4), [4; 3]);
    }
}
