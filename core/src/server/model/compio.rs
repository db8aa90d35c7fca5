//! A task for each connection on compio, a runtime on io_uring, in one thread.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::driver::op::ReadAt;
use compio::driver::{DriverType, ProactorBuilder};
use compio::io::{AsyncRead, AsyncWrite};
use compio::net::{TcpListener, TcpStream, UdpSocket};
use compio::runtime::RuntimeBuilder;

use crate::server::async_serving::{
    AsyncListener, AsyncSocket, accept_all, datagrams_of, listener_of, read_whole_piece, serve,
};
use crate::server::datagram_tasks::{AsyncDatagrams, DatagramTask, serve_datagrams};
use crate::server::{
    FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape, StaticFile, beside_checkups,
};
use crate::terms::Unsupported;

/// The model.
#[derive(Debug)]
pub(in crate::server) struct CompioServer;

/// A connection of its own.
pub(in crate::server) struct CompioSocket(TcpStream);

impl ServerModel for CompioServer {
    fn name(&self) -> &'static str {
        "compio"
    }

    fn about(&self) -> &'static str {
        "a task for each connection, on compio's runtime on io_uring in one thread"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        &[FileWay::Inline, FileWay::Uring]
    }

    fn shape(&self, _: &ServerConfig) -> Shape {
        Shape::RING
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        let failed = |error: io::Error| ServerError::library("compio", error);
        let instance = Arc::new(instance);
        // Without this it would fall back to epoll where it misses an operation.
        let mut proactor = ProactorBuilder::new();
        proactor.driver_type(DriverType::IoUring);
        let runtime = RuntimeBuilder::new().with_proactor(proactor).build().map_err(|error| {
            let remedy = "a kernel with io_uring, permitted by `sysctl kernel.io_uring_disabled=0` and seccomp";
            ServerError::Unsupported(Unsupported::new("io_uring", error.to_string(), remedy))
        })?;
        beside_checkups(&instance, || {
            runtime.block_on(async {
                if instance.config.protocol.is_datagrams() {
                    let socket = UdpSocket::from_std(datagrams_of(&instance).map_err(failed)?).map_err(failed)?;
                    let spawn = |datagram: DatagramTask<_>| compio::runtime::spawn(datagram.answer()).detach();
                    return serve_datagrams(Arc::clone(&instance), socket, spawn).await;
                }
                let listener = TcpListener::from_std(listener_of(&instance, 0).map_err(failed)?).map_err(failed)?;
                let spawn = |socket: CompioSocket, alive| {
                    let (instance, worker) = (Arc::clone(&instance), instance.worker(0));
                    let task = compio::runtime::spawn(async move {
                        let _alive = alive;
                        serve(socket, instance, worker).await;
                    });
                    task.detach();
                };
                accept_all(Arc::clone(&instance), listener, spawn).await
            })
        })
    }
}

impl AsRawFd for CompioSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsyncListener for TcpListener {
    type Socket = CompioSocket;

    async fn accept(&self) -> io::Result<CompioSocket> {
        TcpListener::accept(self).await.map(|(socket, _)| CompioSocket(socket))
    }
}

impl AsyncDatagrams for UdpSocket {
    async fn receive_from(&self, mut memory: Vec<u8>) -> (io::Result<(usize, SocketAddr)>, Vec<u8>) {
        // It receives into the capacity, and sets the length to what came.
        memory.clear();
        let BufResult(outcome, memory) = self.recv_from(memory).await;
        (outcome, memory)
    }

    async fn send_to(&self, memory: Vec<u8>, to: SocketAddr) -> Vec<u8> {
        // A datagram that cannot be sent is lost, as any may be.
        let BufResult(_, memory) = UdpSocket::send_to(self, memory, to).await;
        memory
    }

    async fn sleep(time: Duration) {
        compio::runtime::time::sleep(time).await;
    }
}

impl AsyncSocket for CompioSocket {
    async fn receive(&mut self, mut memory: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        // It receives into the capacity, and sets the length to what came.
        let length = memory.len();
        memory.clear();
        let BufResult(outcome, mut memory) = self.0.read(memory).await;
        memory.resize(length, 0);
        (outcome, memory)
    }

    async fn send(&mut self, memory: Vec<u8>, from: usize) -> (io::Result<usize>, Vec<u8>) {
        let BufResult(outcome, memory) = self.0.write(memory.slice(from..)).await;
        (outcome, memory.into_inner())
    }

    async fn sleep(time: Duration) {
        compio::runtime::time::sleep(time).await;
    }

    async fn read(file: &Arc<StaticFile>, offset: u64, length: usize) -> Vec<u8> {
        if file.way == FileWay::Inline {
            return read_whole_piece(file, offset, length);
        }
        let read = ReadAt::new(FileToRead(Arc::clone(file)), offset, vec![0; length]);
        let BufResult(outcome, read) = compio::runtime::submit(read).await;
        let mut memory = read.into_inner();
        memory.truncate(outcome.unwrap_or(0));
        memory
    }
}

/// The file as an operation of the runtime holds it.
struct FileToRead(Arc<StaticFile>);

impl AsFd for FileToRead {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}
