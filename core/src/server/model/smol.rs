//! A task for each connection on smol's executor, in one thread, over sockets that async-io watches.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor, Timer};

use super::RUNTIME_FILES;
use crate::server::async_serving::{
    AsyncListener, AsyncSocket, accept_all, datagrams_of, listener_of, read_whole_piece, serve,
};
use crate::server::datagram_tasks::{AsyncDatagrams, DatagramTask, serve_datagrams};
use crate::server::{
    FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape, StaticFile, beside_checkups,
};

/// The model. async-io has a thread of its own, which takes the reactor over while the server's thread is busy.
#[derive(Debug)]
pub(in crate::server) struct SmolServer;

/// A connection of its own.
pub(in crate::server) struct SmolSocket(Async<TcpStream>);

/// The socket for datagrams.
struct SmolDatagrams(Async<UdpSocket>);

impl ServerModel for SmolServer {
    fn name(&self) -> &'static str {
        "smol"
    }

    fn about(&self) -> &'static str {
        "a task for each connection, on smol's executor in one thread"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        RUNTIME_FILES
    }

    fn shape(&self, _: &ServerConfig) -> Shape {
        Shape::EVENT_LOOP
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        let failed = |error: io::Error| ServerError::library("smol", error);
        let (instance, executor) = (Arc::new(instance), LocalExecutor::new());
        if instance.config.protocol.is_datagrams() {
            let socket = SmolDatagrams(Async::new(datagrams_of(&instance).map_err(failed)?).map_err(failed)?);
            let spawn = |datagram: DatagramTask<_>| executor.spawn(datagram.answer()).detach();
            let serving = serve_datagrams(Arc::clone(&instance), socket, spawn);
            return smol::block_on(executor.run(serving));
        }
        let listener: Async<TcpListener> = Async::new(listener_of(&instance, 0).map_err(failed)?).map_err(failed)?;
        let spawn = |socket: SmolSocket, alive| {
            let (instance, worker) = (Arc::clone(&instance), instance.worker(0));
            let task = executor.spawn(async move {
                let _alive = alive;
                serve(socket, instance, worker).await;
            });
            task.detach();
        };
        let serving = accept_all(Arc::clone(&instance), listener, spawn);
        beside_checkups(&instance, || smol::block_on(executor.run(serving)))
    }
}

impl AsRawFd for SmolSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsyncListener for Async<TcpListener> {
    type Socket = SmolSocket;

    async fn accept(&self) -> io::Result<SmolSocket> {
        Async::<TcpListener>::accept(self).await.map(|(socket, _)| SmolSocket(socket))
    }
}

impl AsyncDatagrams for SmolDatagrams {
    async fn receive_from(&self, mut memory: Vec<u8>) -> (io::Result<(usize, SocketAddr)>, Vec<u8>) {
        (self.0.recv_from(&mut memory).await, memory)
    }

    async fn send_to(&self, memory: Vec<u8>, to: SocketAddr) -> Vec<u8> {
        // A datagram that cannot be sent is lost, as any may be.
        let _ = self.0.send_to(&memory, to).await;
        memory
    }

    async fn sleep(time: Duration) {
        Timer::after(time).await;
    }
}

impl AsyncSocket for SmolSocket {
    async fn receive(&mut self, mut memory: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        (self.0.read(&mut memory).await, memory)
    }

    async fn send(&mut self, memory: Vec<u8>, from: usize) -> (io::Result<usize>, Vec<u8>) {
        (self.0.write(&memory[from..]).await, memory)
    }

    async fn sleep(time: Duration) {
        Timer::after(time).await;
    }

    async fn read(file: &Arc<StaticFile>, offset: u64, length: usize) -> Vec<u8> {
        let (file, way) = (Arc::clone(file), file.way);
        let read = move || read_whole_piece(&file, offset, length);
        if way == FileWay::Inline { read() } else { smol::unblock(read).await }
    }
}
