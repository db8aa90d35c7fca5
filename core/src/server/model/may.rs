//! A stackful coroutine for each connection on may's scheduler: code that looks as if it blocked.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use may::net::{TcpListener, TcpStream, UdpSocket};
use nix::errno::Errno;

use crate::server::async_serving::{LiveTask, LiveTasks, RECEIVED_AT_ONCE, read_whole_piece};
use crate::server::blocking::{AcceptError, LONGEST_DATAGRAM};
use crate::server::connection::{Connection, NextStep};
use crate::server::stop::{GRACE, PAUSE};
use crate::server::{
    FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape, beside_checkups, workers,
};
use crate::sys::coroutine;

/// The model. The scheduler is one for the process, so that the first server settles how many workers it has.
#[derive(Debug)]
pub(in crate::server) struct MayServer;

impl ServerModel for MayServer {
    fn name(&self) -> &'static str {
        "may"
    }

    fn about(&self) -> &'static str {
        "a stackful coroutine for each connection, on may's scheduler, one worker for each CPU by default"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        &[FileWay::Inline]
    }

    fn shape(&self, _: &ServerConfig) -> Shape {
        Shape::EVENT_LOOP
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        may::config().set_workers(workers(&instance.config, 0));
        let socket = instance.sockets[0].try_clone().map_err(|error| ServerError::library("may", error))?;
        let instance = Arc::new(instance);
        if instance.config.protocol.is_datagrams() {
            let answering = Arc::clone(&instance);
            let serving =
                coroutine::run_on_large_stack(move || serve_datagrams(coroutine::datagrams(socket), &answering));
            let serving = serving.map_err(|error| ServerError::library("may", error))?;
            return serving.join().map_err(|_| ServerError::library("may", "the coroutine that receives panicked"));
        }
        let accepting = Arc::clone(&instance);
        beside_checkups(&instance, || {
            let serving = coroutine::run(move || accept_all(&coroutine::listener(socket), &accepting));
            serving.join().unwrap_or_else(|_| Err(ServerError::library("may", "the coroutine that accepts panicked")))
        })
    }
}

/// Answers datagrams until the server is to stop; with a delay each has a coroutine.
fn serve_datagrams(socket: UdpSocket, instance: &Arc<ServedInstance>) {
    let (alive, worker, socket) = (LiveTasks::default(), instance.worker(0), Arc::new(socket));
    let unused = || Connection::uncounted(&instance.handling, worker.clone());
    let mut memory = vec![0; LONGEST_DATAGRAM];
    let mut spare = unused();
    loop {
        let outcome = socket.recv_from(&mut memory);
        // Woken by an empty one.
        if instance.stop.is_requested() {
            break;
        }
        let Ok((bytes, from)) = outcome else {
            worker.paused();
            may::coroutine::sleep(PAUSE);
            continue;
        };
        if instance.handling.delay.0 == 0 {
            spare.deliver(&memory[..bytes]);
            answer(&socket, &mut spare, from);
        } else {
            let (mut connection, socket, entry) = (unused(), Arc::clone(&socket), alive.enter());
            connection.deliver(&memory[..bytes]);
            drop(coroutine::run_on_large_stack(move || {
                let _entry = entry;
                answer(&socket, &mut connection, from);
            }));
        }
    }
    let deadline = Instant::now() + GRACE;
    while alive.count() > 0 && Instant::now() < deadline {
        may::coroutine::sleep(Duration::from_millis(1));
    }
}

fn answer(socket: &UdpSocket, connection: &mut Connection, to: SocketAddr) {
    loop {
        match connection.step() {
            NextStep::Delay(delay) => {
                may::coroutine::sleep(Duration::from_nanos(delay.0));
                connection.delayed();
            }
            NextStep::Send => {
                // A datagram that cannot be sent is lost, as any may be.
                let _ = socket.send_to(connection.output(), to);
                connection.sent(connection.output().len());
            }
            NextStep::Receive | NextStep::Close | NextStep::File { .. } => return,
        }
    }
}

fn accept_all(listener: &TcpListener, instance: &Arc<ServedInstance>) -> Result<(), ServerError> {
    let (alive, worker) = (LiveTasks::default(), instance.worker(0));
    let outcome = loop {
        if instance.stop.is_requested() {
            break Ok(());
        }
        let error = match listener.accept() {
            Ok((socket, _)) => {
                let (instance, entry) = (Arc::clone(instance), alive.enter());
                drop(coroutine::run_on_large_stack(move || serve(socket, &instance, entry)));
                continue;
            }
            Err(error) => error,
        };
        match AcceptError::of(error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)) {
            AcceptError::Passing => {}
            AcceptError::Exhausted => {
                worker.paused();
                may::coroutine::sleep(PAUSE);
            }
            AcceptError::Stopped if instance.stop.is_requested() => break Ok(()),
            AcceptError::Stopped => break Err(ServerError::library("may", error)),
        }
    };
    // Their input ends with the server; a client that does not take its answer cannot hold the server up.
    let deadline = Instant::now() + GRACE;
    while alive.count() > 0 && Instant::now() < deadline {
        may::coroutine::sleep(Duration::from_millis(1));
    }
    outcome
}

fn serve(mut socket: TcpStream, instance: &ServedInstance, _alive: LiveTask) {
    // Behind the socket in this list, so that it is off the server's list before the socket is closed.
    let held = instance.stop.hold(socket.as_raw_fd());
    let mut connection = Connection::new(&instance.handling, instance.worker(0));
    let mut memory = vec![0; RECEIVED_AT_ONCE];
    loop {
        held.waits_for_client(connection.progress());
        let outcome = match connection.step() {
            NextStep::Receive => socket.read(&mut memory).map(|bytes| match bytes {
                0 => connection.end_of_input(),
                bytes => connection.deliver(&memory[..bytes]),
            }),
            NextStep::Send => socket.write(connection.output()).map(|bytes| connection.sent(bytes)),
            NextStep::Delay(delay) => {
                held.waits_for_server();
                may::coroutine::sleep(Duration::from_nanos(delay.0));
                connection.delayed();
                Ok(())
            }
            NextStep::File { offset, length } => match &instance.handling.file {
                Some(file) => {
                    connection.file_read(&read_whole_piece(file, offset, length));
                    Ok(())
                }
                None => return,
            },
            NextStep::Close => return,
        };
        match outcome {
            Err(error) if error.kind() != ErrorKind::Interrupted => return,
            _ => {}
        }
    }
}
