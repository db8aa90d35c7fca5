//! Answering datagrams by tasks that await their calls: what the models on runtimes share. One task receives, and
//! answers at once; with a delay each datagram has a task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::async_serving::{LiveTask, LiveTasks};
use super::blocking::LONGEST_DATAGRAM;
use super::connection::{Connection, NextStep};
use super::stop::{GRACE, PAUSE};
use super::{ServedInstance, ServerError};

/// A socket for datagrams, as a runtime has it.
pub(super) trait AsyncDatagrams {
    /// Receives a datagram into the beginning of `memory`; its length, and where it comes from.
    async fn receive_from(&self, memory: Vec<u8>) -> (io::Result<(usize, SocketAddr)>, Vec<u8>);

    /// Sends `memory` to `to`.
    async fn send_to(&self, memory: Vec<u8>, to: SocketAddr) -> Vec<u8>;

    /// Waits.
    async fn sleep(time: Duration);
}

/// A datagram in the task that answers it.
pub(super) struct DatagramTask<D> {
    socket: Arc<D>,
    connection: Connection,
    from: SocketAddr,
    _alive: LiveTask,
}

/// Answers datagrams until the server is to stop; those with a delay in tasks that `spawn` starts, which are to call
/// [`DatagramTask::answer`].
///
/// # Errors
/// None: a datagram that fails is lost.
pub(super) async fn serve_datagrams<D: AsyncDatagrams>(
    instance: Arc<ServedInstance>,
    socket: D,
    mut spawn: impl FnMut(DatagramTask<D>),
) -> Result<(), ServerError> {
    let (alive, worker, socket) = (LiveTasks::default(), instance.worker(0), Arc::new(socket));
    let unused = || Connection::uncounted(&instance.handling, worker.clone());
    let mut memory = vec![0; LONGEST_DATAGRAM];
    let mut spare = unused();
    loop {
        let (outcome, returned) = socket.receive_from(std::mem::take(&mut memory)).await;
        memory = returned;
        // Woken by an empty one.
        if instance.stop.is_requested() {
            break;
        }
        let Ok((bytes, from)) = outcome else {
            worker.paused();
            D::sleep(PAUSE).await;
            continue;
        };
        if instance.handling.delay.0 == 0 {
            spare.deliver(&memory[..bytes]);
            answer(&*socket, &mut spare, from).await;
        } else {
            let mut connection = unused();
            connection.deliver(&memory[..bytes]);
            spawn(DatagramTask { socket: Arc::clone(&socket), connection, from, _alive: alive.enter() });
        }
    }
    let deadline = Instant::now() + GRACE;
    while alive.count() > 0 && Instant::now() < deadline {
        D::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

impl<D: AsyncDatagrams> DatagramTask<D> {
    /// Answers it.
    pub(super) async fn answer(mut self) {
        answer(&*self.socket, &mut self.connection, self.from).await;
    }
}

async fn answer<D: AsyncDatagrams>(socket: &D, connection: &mut Connection, to: SocketAddr) {
    loop {
        match connection.step() {
            NextStep::Delay(delay) => {
                D::sleep(Duration::from_nanos(delay.0)).await;
                connection.delayed();
            }
            NextStep::Send => {
                let (output, _) = connection.take_output();
                let length = output.len();
                connection.put_back(socket.send_to(output, to).await);
                connection.sent(length);
            }
            NextStep::Receive | NextStep::Close | NextStep::File { .. } => return,
        }
    }
}
