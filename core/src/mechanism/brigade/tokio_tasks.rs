//! The channels of a brigade as tokio's; both flavours of the runtime use these.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::runtime::Runtime;

use super::asynchronous::{AsyncPort, Inbox};
use super::load::Load;
use super::{RingEnds, Transport, channels_for, places};
use crate::mechanism::{Failure, Parameters};

/// An end of a channel, registered with the runtime.
enum PipeHalf {
    /// The reading end of a pipe.
    Receiver(pipe::Receiver),
    /// The writing end of a pipe.
    Sender(pipe::Sender),
    /// Either end of a socket pair.
    Stream(UnixStream),
}

/// The ends that one task holds, and its token.
pub(super) struct TokioPort {
    place: RingEnds<PipeHalf>,
    inbox: Inbox,
}

/// The calls that receive and send, under the names that the standard library's pipes and sockets give them.
pub(super) fn call_names(parameters: &Parameters) -> (&'static str, &'static str) {
    match Transport::of(parameters) {
        Transport::Pipe => ("read", "write"),
        Transport::SocketPair => ("recvfrom", "sendto"),
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::library("tokio", error)
}

/// Opens the channels and registers them with the runtime, by task.
pub(super) fn ports(runtime: &Runtime, parameters: &Parameters, load: &Load) -> Result<Vec<TokioPort>, Failure> {
    let transport = Transport::of(parameters);
    let _inside = runtime.enter();
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for channel in channels_for(parameters, load, true)? {
        let (reader, writer) = match transport {
            Transport::Pipe => (
                PipeHalf::Receiver(pipe::Receiver::from_owned_fd(channel.reader).map_err(failed)?),
                PipeHalf::Sender(pipe::Sender::from_owned_fd(channel.writer).map_err(failed)?),
            ),
            Transport::SocketPair => (
                PipeHalf::Stream(UnixStream::from_std(channel.reader.into()).map_err(failed)?),
                PipeHalf::Stream(UnixStream::from_std(channel.writer.into()).map_err(failed)?),
            ),
        };
        readers.push(reader);
        writers.push(writer);
    }
    let port = |place| TokioPort { place, inbox: Inbox::new(load) };
    Ok(places(readers, writers).into_iter().map(port).collect())
}

impl AsyncPort for TokioPort {
    async fn receive(&mut self) -> Result<Option<u8>, Failure> {
        loop {
            if let Some(byte) = self.inbox.next_token() {
                return Ok(Some(byte));
            }
            let room = self.inbox.room();
            let bytes = match &mut self.place.reader {
                PipeHalf::Receiver(end) => read(end, room).await?,
                PipeHalf::Stream(end) => read(end, room).await?,
                PipeHalf::Sender(_) => return Err(Failure::Corrupted("a sender was asked to receive".into())),
            };
            if bytes == 0 {
                return Ok(None);
            }
            self.inbox.arrived(bytes);
        }
    }

    async fn send(&mut self, byte: u8) -> Result<(), Failure> {
        let token = self.inbox.token(byte);
        match &mut self.place.writer {
            PipeHalf::Sender(end) => end.write_all(token).await,
            PipeHalf::Stream(end) => end.write_all(token).await,
            PipeHalf::Receiver(_) => return Err(Failure::Corrupted("a receiver was asked to send".into())),
        }
        .map_err(failed)
    }
}

async fn read(end: &mut (impl AsyncRead + Unpin), room: &mut [u8]) -> Result<usize, Failure> {
    end.read(room).await.map_err(failed)
}
