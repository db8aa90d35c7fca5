//! Serving a connection by calls that wait: what the models share that give a process or a thread to each connection.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::sendfile::sendfile64;

use super::activity::ServerWorker;
use super::connection::{Connection, FILE_CHUNK, NextStep};
use super::stop::{PAUSE, Stop};
use super::{FileWay, ServedInstance, ServerError, StaticFile};
use crate::sys::SysError;
use crate::sys::socket::{self, receive, receive_from, send, send_to};
use crate::sys::timer::{monotonic, sleep_until};
use crate::units::Nanos;

/// What is received at once. Larger than any request that is not hostile, and not so large that a thread for each
/// connection would hold much.
const RECEIVED_AT_ONCE: usize = 16 * 1024;

/// As long as UDP allows.
pub(super) const LONGEST_DATAGRAM: usize = 64 * 1024;

/// What a worker needs that waits in its calls, made before it may no longer allocate.
pub(super) struct BlockingWorker {
    buffer: Box<[u8]>,
    chunk: Box<[u8]>,
    timeout: Duration,
}

impl BlockingWorker {
    pub(super) fn new(instance: &ServedInstance) -> Self {
        // A file that is not read into memory needs no memory.
        let chunk = if instance.handling.file_way() == Some(FileWay::Inline) { FILE_CHUNK } else { 0 };
        let received = if instance.config.protocol.is_datagrams() { LONGEST_DATAGRAM } else { RECEIVED_AT_ONCE };
        Self {
            buffer: vec![0; received].into_boxed_slice(),
            chunk: vec![0; chunk].into_boxed_slice(),
            timeout: instance.config.timeout,
        }
    }

    /// Serves a connection to its end, which may be the server's.
    pub(super) fn serve(&mut self, socket: &OwnedFd, connection: &mut Connection, instance: &ServedInstance) {
        let socket = socket.as_fd();
        // When a request that is not whole began, and how far the connection had got by then.
        let mut waiting: Option<(Instant, u64)> = None;
        loop {
            // The socket's own timeouts are one call's each, and inherited from the listener.
            let outcome = match connection.step() {
                NextStep::Receive => {
                    if waiting.is_some_and(|(since, _)| since.elapsed() > self.timeout) {
                        return;
                    }
                    receive(socket, &mut self.buffer).map(|bytes| match bytes {
                        0 => connection.end_of_input(),
                        bytes => connection.deliver(&self.buffer[..bytes]),
                    })
                }
                NextStep::Send => send(socket, connection.output()).map(|bytes| connection.sent(bytes)),
                NextStep::Delay(delay) => {
                    // It cannot fail for a moment of this clock.
                    let _ = sleep_until(Nanos(monotonic().0 + delay.0));
                    connection.delayed();
                    Ok(())
                }
                NextStep::File { offset, length } => match &instance.handling.file {
                    Some(file) => send_file(socket, connection, file, (offset, length), &mut self.chunk),
                    None => return,
                },
                NextStep::Close => return,
            };
            match outcome {
                Ok(()) => {}
                Err(Errno::EINTR) if instance.stop.is_requested() => connection.end_of_input(),
                Err(Errno::EINTR) => {}
                // The socket's timeout, or a client that has gone.
                Err(_) => return,
            }
            if waiting.is_none_or(|(_, progress)| progress != connection.progress()) {
                // A clock is read only where a request comes in pieces.
                let in_pieces = connection.waiting_input() > 0 && connection.step() == NextStep::Receive;
                waiting = in_pieces.then(|| (Instant::now(), connection.progress()));
            }
        }
    }
}

/// Moves a piece of the file towards the client.
fn send_file(
    socket: BorrowedFd<'_>,
    connection: &mut Connection,
    file: &StaticFile,
    (offset, length): (u64, usize),
    chunk: &mut [u8],
) -> Result<(), Errno> {
    if file.way == FileWay::Sendfile {
        return sendfile(socket, file, offset, length).map(|bytes| connection.file_sent(bytes));
    }
    connection.file_read(read_piece(file, offset, &mut chunk[..length]));
    Ok(())
}

/// Reads a piece of the file; nothing where that fails.
pub(super) fn read_piece<'a>(file: &StaticFile, offset: u64, into: &'a mut [u8]) -> &'a [u8] {
    let read = file.file.read_at(into, offset).unwrap_or(0);
    &into[..read]
}

/// sendfile(2) of a piece of the file.
pub(super) fn sendfile(to: BorrowedFd<'_>, file: &StaticFile, offset: u64, length: usize) -> Result<usize, Errno> {
    // Files are shorter than 2⁶³ bytes.
    let mut offset = offset as i64;
    sendfile64(to, &file.file, Some(&mut offset), length)
}

/// Serves connections one after the other, each to its end, or datagrams: the whole work of a thread.
///
/// # Errors
/// Those of [`accept`].
pub(super) fn serve_in_turn(instance: &ServedInstance, number: usize) -> Result<(), ServerError> {
    let (worker, listener) = (instance.worker(number), &instance.sockets[0]);
    let mut blocking = BlockingWorker::new(instance);
    if instance.config.protocol.is_datagrams() {
        serve_datagrams(instance, listener, &mut blocking, Connection::uncounted(&instance.handling, worker));
        return Ok(());
    }
    while let Some(socket) = accept(listener, &instance.stop, &worker, || {})? {
        let _held = instance.stop.hold(socket.as_raw_fd());
        let mut connection = Connection::new(&instance.handling, worker.clone());
        blocking.serve(&socket, &mut connection, instance);
    }
    Ok(())
}

/// The next connection; `None` when the server is to stop. Calls `when_idle` once a timeout in which none has come.
///
/// # Errors
/// When the listener is none.
pub(super) fn accept(
    listener: &OwnedFd,
    stop: &Stop,
    worker: &ServerWorker,
    mut when_idle: impl FnMut(),
) -> Result<Option<OwnedFd>, ServerError> {
    loop {
        if stop.is_requested() {
            return Ok(None);
        }
        match socket::accept(listener.as_fd(), false) {
            Ok(socket) => return Ok(Some(socket)),
            Err(Errno::EAGAIN) => when_idle(),
            Err(error) => match AcceptError::of(error) {
                AcceptError::Passing => {}
                AcceptError::Exhausted => {
                    worker.paused();
                    stop.wait(PAUSE);
                }
                AcceptError::Stopped if stop.is_requested() => return Ok(None),
                AcceptError::Stopped => return Err(SysError::new("accept4", error).into()),
            },
        }
    }
}

/// What an error of accept4(2) means for the one who accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AcceptError {
    /// It concerns a connection that is gone already: the next may be there.
    Passing,
    /// The connection still waits: accepting again at once would spin.
    Exhausted,
    /// The listener accepts no more.
    Stopped,
}

impl AcceptError {
    pub(super) fn of(error: Errno) -> Self {
        match error {
            Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM => Self::Exhausted,
            Errno::EINVAL | Errno::EBADF | Errno::ENOTSOCK | Errno::EOPNOTSUPP | Errno::EFAULT => Self::Stopped,
            // EINTR, ECONNABORTED, and the pending network errors that accept(2) lists.
            _ => Self::Passing,
        }
    }
}

/// Answers datagrams until the server is to stop.
pub(super) fn serve_datagrams(
    instance: &ServedInstance,
    socket: &OwnedFd,
    blocking: &mut BlockingWorker,
    mut connection: Connection,
) {
    while !instance.stop.is_requested() {
        let Ok(Some((bytes, from))) = receive_from(socket.as_fd(), &mut blocking.buffer) else { continue };
        connection.deliver(&blocking.buffer[..bytes]);
        loop {
            match connection.step() {
                NextStep::Delay(delay) => {
                    let _ = sleep_until(Nanos(monotonic().0 + delay.0));
                    connection.delayed();
                }
                NextStep::Send => {
                    // A datagram that cannot be sent is lost, as any may be.
                    let _ = send_to(socket.as_fd(), connection.output(), &from);
                    connection.sent(connection.output().len());
                }
                NextStep::Receive | NextStep::Close | NextStep::File { .. } => break,
            }
        }
    }
}
