//! The tasks of a brigade as tokio futures; both flavours of the runtime run these.

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::runtime::Runtime;

use super::{Place, Transport, bucket, channels, places, verify};
use crate::mechanism::{Batch, Bound, Expectation, Failure, Parameters};

/// An end of a channel, registered with the runtime.
pub(super) enum End {
    /// The reading end of a pipe.
    Receiver(pipe::Receiver),
    /// The writing end of a pipe.
    Sender(pipe::Sender),
    /// Either end of a socket pair.
    Stream(UnixStream),
}

/// The ends that one task holds.
pub(super) type Member = Place<End>;

/// One input and one output a hop, under the names that the standard library's pipes and sockets give them.
pub(super) fn one_byte_each_way(parameters: &Parameters) -> Expectation {
    let (receive, send) = match Transport::of(parameters) {
        Transport::Pipe => ("read", "write"),
        Transport::SocketPair => ("recvfrom", "sendto"),
    };
    Expectation::nothing().call(receive, Bound::Exactly(1.0)).call(send, Bound::Exactly(1.0))
}

/// Opens the channels and registers them with the runtime, by task.
pub(super) fn members(runtime: &Runtime, parameters: &Parameters) -> Result<Vec<Member>, Failure> {
    let failed = |error| Failure::library("tokio", error);
    let transport = Transport::of(parameters);
    let _inside = runtime.enter();
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for channel in channels(parameters, true)? {
        let (reader, writer) = match transport {
            Transport::Pipe => (
                End::Receiver(pipe::Receiver::from_owned_fd(channel.reader).map_err(failed)?),
                End::Sender(pipe::Sender::from_owned_fd(channel.writer).map_err(failed)?),
            ),
            Transport::SocketPair => (
                End::Stream(UnixStream::from_std(channel.reader.into()).map_err(failed)?),
                End::Stream(UnixStream::from_std(channel.writer.into()).map_err(failed)?),
            ),
        };
        readers.push(reader);
        writers.push(writer);
    }
    Ok(places(readers, writers))
}

/// Passes every byte on until the task before has closed its end, or the runtime ends.
pub(super) async fn pass_on(mut member: Member) -> Result<(), Failure> {
    while let Some(byte) = member.reader.receive().await? {
        member.writer.send(byte).await?;
    }
    Ok(())
}

/// Sends the byte round until `ops` hops are done; `tasks` hops make a lap.
pub(super) async fn drive(member: &mut Member, tasks: u64, ops: u64) -> Result<Batch, Failure> {
    let start = Instant::now();
    let laps = ops / tasks;
    for lap in 0..laps {
        member.writer.send(bucket(lap)).await?;
        match member.reader.receive().await? {
            Some(byte) => verify(lap, byte)?,
            None => return Err(Failure::Corrupted("the brigade broke off".into())),
        }
    }
    Ok(Batch::since(start, laps * tasks))
}

impl End {
    async fn receive(&mut self) -> Result<Option<u8>, Failure> {
        match self {
            Self::Receiver(end) => one_byte(end).await,
            Self::Stream(end) => one_byte(end).await,
            Self::Sender(_) => Err(Failure::Corrupted("a sender was asked to receive".into())),
        }
    }

    async fn send(&mut self, byte: u8) -> Result<(), Failure> {
        let sent = match self {
            Self::Sender(end) => end.write_all(&[byte]).await,
            Self::Stream(end) => end.write_all(&[byte]).await,
            Self::Receiver(_) => {
                return Err(Failure::Corrupted("a receiver was asked to send".into()));
            }
        };
        sent.map_err(|error| Failure::library("tokio", error))
    }
}

/// The byte in a channel, into a buffer larger than it; `None` when the other end is closed.
async fn one_byte(end: &mut (impl AsyncRead + Unpin)) -> Result<Option<u8>, Failure> {
    let mut buffer = [0; 16];
    match end.read(&mut buffer).await.map_err(|error| Failure::library("tokio", error))? {
        0 => Ok(None),
        1 => Ok(Some(buffer[0])),
        bytes => Err(Failure::Corrupted(format!("{bytes} bytes where one was sent"))),
    }
}
