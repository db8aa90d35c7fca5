//! Servers: sixteen ways to wait for clients and move their bytes, around one handler, one parser and one protocol
//! state (`connection.rs`).
//!
//! A model is a file of `model/` and a line of [`MODELS`]. It is given sockets that listen, and serves until it is told
//! to stop; then it finishes the requests in hand and returns. No model trusts its clients: none waits for one of them
//! for ever, holds more of its input than a request, or spins when descriptors run out.

mod activity;
mod async_serving;
mod blocking;
mod children;
mod config;
mod connection;
mod datagram_loop;
mod datagram_ring;
mod datagram_tasks;
mod event_loop;
mod file_pool;
mod http;
mod listener_threads;
mod model;
mod ring_loop;
mod server_process;
mod stop;
mod timers;
mod tokio_socket;

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};

pub use activity::ActivityCounts;
pub use config::{FileWay, Protocol, ServerConfig, Shots, Trigger};
pub use server_process::{ServerProcess, ServerState, answer_server_request};

use activity::{Activity, ServerWorker};
use stop::Stop;

use crate::crew::{Calibration, CpuWork};
use crate::sys::SysError;
use crate::sys::affinity::{AffinityError, allowed_cpus};
use crate::sys::socket::{
    ListenOptions, bind_datagrams, listen, local_address, send_at_once, stop_listening, time_out, wake_receiver,
};
use crate::terms::Unsupported;
use crate::units::Nanos;

/// Every model, in the order in which they are listed.
pub static MODELS: &[&dyn ServerModel] = &[
    &model::iterative::IterativeServer,
    &model::forking::ForkingServer,
    &model::preforked::PreforkedServer,
    &model::threaded::ThreadedServer,
    &model::prethreaded::PrethreadedServer,
    &model::select::SelectServer,
    &model::poll::PollServer,
    &model::epoll::EpollServer,
    &model::mio::MioServer,
    &model::uring::UringServer,
    &model::uring_per_thread::UringPerThreadServer,
    &model::tokio_current_thread::TokioCurrentThreadServer,
    &model::tokio_multi_thread::TokioMultiThreadServer,
    &model::smol::SmolServer,
    &model::compio::CompioServer,
    &model::may::MayServer,
];

/// The model called `name`.
pub fn find_model(name: &str) -> Option<&'static dyn ServerModel> {
    MODELS.iter().copied().find(|model| model.name() == name)
}

/// A way to serve.
pub trait ServerModel: Sync {
    /// Its name: that of its file.
    fn name(&self) -> &'static str;

    /// What it does, in a phrase.
    fn about(&self) -> &'static str;

    /// What it can speak.
    fn protocols(&self) -> &'static [Protocol];

    /// How it can read a static file.
    fn file_ways(&self) -> &'static [FileWay];

    /// How it is done with a configuration.
    fn shape(&self, config: &ServerConfig) -> Shape;

    /// Whether this machine has what it needs.
    ///
    /// # Errors
    /// [`ServerError::Unsupported`], with what would help.
    fn probe(&self, _config: &ServerConfig) -> Result<(), ServerError> {
        Ok(())
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// What kept it from serving at all; never what a client did.
    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError>;
}

/// What a model needs of what is set up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Workers that serve a connection each at a time; 0 where a worker serves any number, or there is one for each.
    pub pool: usize,
    /// Sockets that listen on the address, each of which a worker has for itself.
    pub listeners: usize,
    /// Whether calls on sockets return instead of waiting.
    pub nonblocking: bool,
    /// Whether calls that wait for a client end after the timeout.
    pub timed: bool,
}

impl Shape {
    /// One worker with one socket, which serves any number of connections without waiting for one.
    pub const EVENT_LOOP: Self = Self { pool: 0, listeners: 1, nonblocking: true, timed: false };

    /// The same on a ring, which waits by itself for sockets that do, and would not for others.
    pub const RING: Self = Self { nonblocking: false, ..Self::EVENT_LOOP };

    /// Workers that wait in their calls: so many, each with a connection at a time; 0 is one for each connection.
    pub const fn waiting(pool: usize) -> Self {
        Self { pool, listeners: 1, nonblocking: false, timed: true }
    }
}

/// Why a server cannot be started, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The model cannot do what it was asked for.
    #[error("{model} does not do {what}; it does {can}, and {others}")]
    Unfit {
        /// The model.
        model: &'static str,
        /// What was asked for.
        what: &'static str,
        /// What it does of the kind.
        can: String,
        /// Which models do what was asked for.
        others: String,
    },
    /// The static file cannot be served.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// As given.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// This machine lacks what the model needs.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A system call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// A worker is not on the CPUs that it should be on.
    #[error(transparent)]
    Affinity(#[from] AffinityError),
    /// A library or a thread of the model failed.
    #[error("{what}: {reason}")]
    Failed {
        /// The library, or the thread.
        what: &'static str,
        /// What it said.
        reason: String,
    },
}

impl ServerError {
    fn library(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Failed { what, reason: reason.to_string() }
    }
}

/// What every request is answered by, identical for all models.
#[derive(Debug)]
struct Handling {
    protocol: Protocol,
    delay: Nanos,
    work: CpuWork,
    body: Vec<u8>,
    file: Option<Arc<StaticFile>>,
}

/// The file that HTTP serves as `/file`.
#[derive(Debug)]
struct StaticFile {
    file: File,
    length: u64,
    way: FileWay,
}

impl Handling {
    fn new(config: &ServerConfig) -> Result<Self, ServerError> {
        let work = match config.work.0 {
            0 => CpuWork::nothing(),
            _ => Calibration::measured().work(config.work),
        };
        let file = config.file.as_ref().map(|path| {
            let reason = |error: std::io::Error| ServerError::File { path: path.clone(), reason: error.to_string() };
            let file = File::open(path).map_err(reason)?;
            let about = file.metadata().map_err(reason)?;
            if !about.is_file() {
                let reason = "no regular file".into();
                return Err(ServerError::File { path: path.clone(), reason });
            }
            Ok(Arc::new(StaticFile { file, length: about.len(), way: config.file_way }))
        });
        // Text that a person can tell from noise.
        let body = b"switchcost ".iter().copied().cycle().take(config.payload).collect();
        Ok(Self { protocol: config.protocol, delay: config.delay, work, body, file: file.transpose()? })
    }

    /// The file's way, where there is a file.
    fn file_way(&self) -> Option<FileWay> {
        self.file.as_ref().map(|file| file.way)
    }
}

/// What a model is given to serve with.
#[derive(Debug)]
pub struct ServedInstance {
    config: ServerConfig,
    sockets: Vec<Arc<OwnedFd>>,
    handling: Arc<Handling>,
    stop: Stop,
    activity: Activity,
}

impl ServedInstance {
    fn worker(&self, number: usize) -> ServerWorker {
        self.activity.worker(number)
    }
}

/// A server that runs in this process, and stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Stop,
    activity: Activity,
    /// Readable once the thread has ended.
    ended: Arc<EventFd>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Server {
    /// Starts `model`: clients can connect when this returns.
    ///
    /// # Errors
    /// [`ServerError::Unfit`] for what the model does not do, [`ServerError::File`], and what keeps the sockets from
    /// listening: a port that is taken is `EADDRINUSE`.
    pub fn start(model: &'static dyn ServerModel, config: ServerConfig) -> Result<Self, ServerError> {
        check(model, &config)?;
        model.probe(&config)?;
        let shape = model.shape(&config);
        let handling = Arc::new(Handling::new(&config)?);
        let sockets = listeners(&config, shape)?;
        let address = local_address(&*sockets[0])?;
        // A socket for datagrams that is shut down would be reported as ready ever after to those that do not wait.
        let wake = if config.protocol.is_datagrams() && !shape.timed { wake_receiver } else { stop_listening };
        let (stop, activity) = (Stop::new(&sockets, wake)?, Activity::new(shape.pool)?);
        let instance = ServedInstance { config, sockets, handling, stop: stop.clone(), activity: activity.clone() };
        let ended = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC);
        let ended = Arc::new(ended.map_err(|errno| SysError::new("eventfd2", errno))?);
        let end = Arc::clone(&ended);
        let life = move || {
            let outcome = model.serve(instance);
            // Written to once, it is never full.
            let _ = end.write(1);
            outcome
        };
        let thread = std::thread::Builder::new().name("server".into()).spawn(life);
        let thread = thread.map_err(|error| SysError::from_io("clone3", &error))?;
        Ok(Self { address, stop, activity, ended, thread: Some(thread) })
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done so far.
    pub fn activity(&self) -> ActivityCounts {
        self.activity.counts()
    }

    /// Is readable once it has ended, by itself or because it was told to.
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    /// Ends it: no further connection is accepted, requests in hand are answered, threads and child processes have
    /// ended when this returns.
    ///
    /// # Errors
    /// What made it end before.
    pub fn stop(self) -> Result<(), ServerError> {
        self.stop_and_count().map(drop)
    }

    /// As [`Server::stop`]; returns what the server has done in all.
    ///
    /// # Errors
    /// As [`Server::stop`].
    pub fn stop_and_count(mut self) -> Result<ActivityCounts, ServerError> {
        self.end().map(|()| self.activity.counts())
    }

    fn end(&mut self) -> Result<(), ServerError> {
        self.stop.request();
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(ServerError::library("the server's thread", "it panicked")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A caller that wants the reason calls `stop`.
        let _ = self.end();
    }
}

/// Refuses what `model` does not do.
fn check(model: &dyn ServerModel, config: &ServerConfig) -> Result<(), ServerError> {
    let unfit = |what: &'static str, can: Vec<&str>, others: Vec<&str>| ServerError::Unfit {
        model: model.name(),
        what,
        can: if can.is_empty() { "none of the kind".into() } else { can.join(", ") },
        others: match others.as_slice() {
            [] => "no model does".into(),
            others => format!("{} {} it", others.join(", "), if others.len() == 1 { "does" } else { "do" }),
        },
    };
    if !model.protocols().contains(&config.protocol) {
        let can = model.protocols().iter().map(|protocol| protocol.name()).collect();
        let others = MODELS.iter().filter(|model| model.protocols().contains(&config.protocol));
        return Err(unfit(config.protocol.name(), can, others.map(|model| model.name()).collect()));
    }
    if config.file.is_some() && !model.file_ways().contains(&config.file_way) {
        let can = model.file_ways().iter().map(|way| way.name()).collect();
        let others = MODELS.iter().filter(|model| model.file_ways().contains(&config.file_way));
        return Err(unfit(config.file_way.name(), can, others.map(|model| model.name()).collect()));
    }
    Ok(())
}

/// The sockets, whose options the connections inherit from them (`sk_clone_lock` in net/core/sock.c).
fn listeners(config: &ServerConfig, shape: Shape) -> Result<Vec<Arc<OwnedFd>>, ServerError> {
    let shared = shape.listeners > 1;
    let options = ListenOptions { backlog: config.backlog, shared, nonblocking: shape.nonblocking };
    let open = if config.protocol.is_datagrams() { bind_datagrams } else { listen };
    if shared && config.address.port() != 0 {
        // Another server that shares its address too would not be in the way of sockets that do.
        drop(open(&config.address, ListenOptions { shared: false, ..options })?);
    }
    let mut sockets = vec![open(&config.address, options)?];
    let address = local_address(&sockets[0])?;
    while sockets.len() < shape.listeners {
        sockets.push(open(&address, options)?);
    }
    for socket in &sockets {
        if !config.protocol.is_datagrams() {
            send_at_once(socket.as_fd());
        }
        if shape.timed {
            time_out(socket.as_fd(), config.timeout);
        }
    }
    Ok(sockets.into_iter().map(Arc::new).collect())
}

/// Runs `serve`, whose connections are on the list of `instance`, beside a thread that gives up clients that do not get
/// on: after one to two timeouts, as in event loops, and at no cost for a request.
fn beside_checkups(
    instance: &ServedInstance,
    serve: impl FnOnce() -> Result<(), ServerError>,
) -> Result<(), ServerError> {
    let (stop, timeout) = (&instance.stop, instance.config.timeout);
    std::thread::scope(|scope| {
        let look = || {
            while !stop.wait(timeout) {
                stop.give_up_the_slow();
            }
        };
        let thread = std::thread::Builder::new().name("checkups".into()).spawn_scoped(scope, look);
        let started = thread.map_err(|error| SysError::from_io("clone3", &error).into());
        let outcome = started.and_then(|_| serve());
        // It would look on after a server that has failed.
        stop.request();
        outcome
    })
}

/// How many workers `config` asks for, where `default` says what a model has by itself; 0 is one for each CPU.
fn workers(config: &ServerConfig, default: usize) -> usize {
    match config.workers.unwrap_or(default) {
        0 => allowed_cpus().map_or(1, |cpus| cpus.len()),
        workers => workers,
    }
}

#[cfg(test)]
mod tests;
