//! Serving a connection by a task that awaits its calls: what the models on runtimes share.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::activity::ServerWorker;
use super::blocking::{AcceptError, read_piece};
use super::connection::{Connection, NextStep};
use super::stop::{GRACE, PAUSE};
use super::{ServedInstance, ServerError, StaticFile};

/// What is received at once.
pub(super) const RECEIVED_AT_ONCE: usize = 4096;

/// A connection's socket, as a runtime has it.
pub(super) trait AsyncSocket: AsRawFd {
    /// Receives into the whole of `memory`; 0 when the client has ended its side.
    async fn receive(&mut self, memory: Vec<u8>) -> (io::Result<usize>, Vec<u8>);

    /// Sends `memory` from its byte `from` on, or a part of that.
    async fn send(&mut self, memory: Vec<u8>, from: usize) -> (io::Result<usize>, Vec<u8>);

    /// Waits.
    async fn sleep(time: Duration);

    /// Reads a piece of the file, in the way that it is read in; nothing where that fails.
    async fn read(file: &Arc<StaticFile>, offset: u64, length: usize) -> Vec<u8>;
}

/// Serves a connection to its end, which may be the server's.
pub(super) async fn serve<S: AsyncSocket>(mut socket: S, instance: Arc<ServedInstance>, worker: ServerWorker) {
    // Behind the socket in this list, so that it is off the server's list before the socket is closed.
    let held = instance.stop.hold(socket.as_raw_fd());
    let mut connection = Connection::new(&instance.handling, worker);
    let mut memory = vec![0; RECEIVED_AT_ONCE];
    loop {
        held.waits_for_client(connection.progress());
        let outcome = match connection.step() {
            NextStep::Receive => {
                let (outcome, returned) = socket.receive(std::mem::take(&mut memory)).await;
                memory = returned;
                outcome.map(|bytes| match bytes {
                    0 => connection.end_of_input(),
                    bytes => connection.deliver(&memory[..bytes]),
                })
            }
            NextStep::Send => {
                let (output, from) = connection.take_output();
                let (outcome, returned) = socket.send(output, from).await;
                connection.put_back(returned);
                outcome.map(|bytes| connection.sent(bytes))
            }
            NextStep::Delay(delay) => {
                held.waits_for_server();
                S::sleep(Duration::from_nanos(delay.0)).await;
                connection.delayed();
                Ok(())
            }
            NextStep::File { offset, length } => match &instance.handling.file {
                Some(file) => {
                    connection.file_read(&S::read(file, offset, length).await);
                    Ok(())
                }
                None => return,
            },
            NextStep::Close => return,
        };
        match outcome {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
            _ => {}
        }
    }
}

/// How many tasks there are.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveTasks(Arc<AtomicUsize>);

/// A task that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct LiveTask(Arc<AtomicUsize>);

impl LiveTasks {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn enter(&self) -> LiveTask {
        self.0.fetch_add(1, Ordering::Relaxed);
        LiveTask(Arc::clone(&self.0))
    }
}

impl Drop for LiveTask {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// A listening socket, as a runtime has it.
pub(super) trait AsyncListener {
    /// Its connections.
    type Socket: AsyncSocket;

    /// The next connection.
    async fn accept(&self) -> io::Result<Self::Socket>;
}

/// Accepts until the server is to stop, hands each connection to `spawn`, and waits for their tasks to end.
///
/// # Errors
/// When the listener is none.
pub(super) async fn accept_all<L: AsyncListener>(
    instance: Arc<ServedInstance>,
    listener: L,
    mut spawn: impl FnMut(L::Socket, LiveTask),
) -> Result<(), ServerError> {
    let (alive, worker) = (LiveTasks::default(), instance.worker(0));
    let outcome = loop {
        if instance.stop.is_requested() {
            break Ok(());
        }
        let error = match listener.accept().await {
            Ok(socket) => {
                spawn(socket, alive.enter());
                continue;
            }
            Err(error) => error,
        };
        match AcceptError::of(error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)) {
            AcceptError::Passing => {}
            AcceptError::Exhausted => {
                worker.paused();
                L::Socket::sleep(PAUSE).await;
            }
            AcceptError::Stopped if instance.stop.is_requested() => break Ok(()),
            AcceptError::Stopped => break Err(ServerError::library("accept", error)),
        }
    };
    // Their input ends with the server; a client that does not take its answer cannot hold the server up.
    let deadline = Instant::now() + GRACE;
    while alive.count() > 0 && Instant::now() < deadline {
        L::Socket::sleep(Duration::from_millis(1)).await;
    }
    outcome
}

/// The listening socket once more, for a runtime to own.
///
/// # Errors
/// `EMFILE` and `ENFILE` when descriptors run out.
pub(super) fn listener_of(instance: &ServedInstance, number: usize) -> io::Result<std::net::TcpListener> {
    let socket: OwnedFd = instance.sockets[number].try_clone()?;
    Ok(socket.into())
}

/// The socket for datagrams once more, for a runtime to own.
///
/// # Errors
/// As [`listener_of`].
pub(super) fn datagrams_of(instance: &ServedInstance) -> io::Result<std::net::UdpSocket> {
    let socket: OwnedFd = instance.sockets[0].try_clone()?;
    Ok(socket.into())
}

/// Reads a piece of the file on this thread; nothing where that fails.
pub(super) fn read_whole_piece(file: &StaticFile, offset: u64, length: usize) -> Vec<u8> {
    let mut piece = vec![0; length];
    let read = read_piece(file, offset, &mut piece).len();
    piece.truncate(read);
    piece
}
