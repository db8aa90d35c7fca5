//! tokio's sockets, tasks and timers, for both of its runtimes.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Builder;

use super::async_serving::{
    AsyncListener, AsyncSocket, accept_all, datagrams_of, listener_of, read_whole_piece, serve,
};
use super::datagram_tasks::{AsyncDatagrams, serve_datagrams};
use super::{FileWay, ServedInstance, ServerError, StaticFile, beside_checkups};

/// A connection of tokio's.
pub(super) struct TokioSocket(TcpStream);

fn failed(error: impl std::fmt::Display) -> ServerError {
    ServerError::library("tokio", error)
}

/// Serves on the runtime that `builder` builds.
///
/// # Errors
/// What keeps the runtime from starting.
pub(super) fn run(mut builder: Builder, instance: Arc<ServedInstance>) -> Result<(), ServerError> {
    let runtime = builder.enable_io().enable_time().max_blocking_threads(instance.config.pool).build();
    let runtime = runtime.map_err(failed)?;
    let looking = Arc::clone(&instance);
    let serving = async move {
        let listener = TcpListener::from_std(listener_of(&instance, 0).map_err(failed)?).map_err(failed)?;
        if instance.config.protocol.is_datagrams() {
            let socket = UdpSocket::from_std(datagrams_of(&instance).map_err(failed)?).map_err(failed)?;
            return serve_datagrams(instance, socket, |datagram| drop(tokio::spawn(datagram.answer()))).await;
        }
        let spawning = Arc::clone(&instance);
        let spawn = move |socket, alive| {
            let (instance, worker) = (Arc::clone(&spawning), spawning.worker(0));
            tokio::spawn(async move {
                let _alive = alive;
                serve::<TokioSocket>(socket, instance, worker).await;
            });
        };
        accept_all(instance, listener, spawn).await
    };
    // A task as well: the thread that builds a runtime of several threads is none of its workers.
    let outcome = beside_checkups(&looking, || {
        runtime.block_on(async { tokio::spawn(serving).await }).map_err(failed).and_then(|outcome| outcome)
    });
    // A client that does not take its answer would keep its task.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

impl AsRawFd for TokioSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsyncListener for TcpListener {
    type Socket = TokioSocket;

    async fn accept(&self) -> io::Result<TokioSocket> {
        TcpListener::accept(self).await.map(|(socket, _)| TokioSocket(socket))
    }
}

impl AsyncDatagrams for UdpSocket {
    async fn receive_from(&self, mut memory: Vec<u8>) -> (io::Result<(usize, SocketAddr)>, Vec<u8>) {
        (self.recv_from(&mut memory).await, memory)
    }

    async fn send_to(&self, memory: Vec<u8>, to: SocketAddr) -> Vec<u8> {
        // A datagram that cannot be sent is lost, as any may be.
        let _ = UdpSocket::send_to(self, &memory, to).await;
        memory
    }

    async fn sleep(time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl AsyncSocket for TokioSocket {
    async fn receive(&mut self, mut memory: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        (self.0.read(&mut memory).await, memory)
    }

    async fn send(&mut self, memory: Vec<u8>, from: usize) -> (io::Result<usize>, Vec<u8>) {
        (self.0.write(&memory[from..]).await, memory)
    }

    async fn sleep(time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn read(file: &Arc<StaticFile>, offset: u64, length: usize) -> Vec<u8> {
        let (file, way) = (Arc::clone(file), file.way);
        let read = move || read_whole_piece(&file, offset, length);
        if way == FileWay::Inline { read() } else { tokio::task::spawn_blocking(read).await.unwrap_or_default() }
    }
}
