//! A server in a process of its own, for those that measure it: its CPU time is then its own, and so are its system
//! calls.
//!
//! The process is this program again. It is asked in JSON, a line at a time, on its standard input, and answers on its
//! standard output; the end of its input tells it to stop. Its main thread does nothing else, and what that costs is
//! taken off.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::children::with_live_children;
use super::{ActivityCounts, Server, ServerConfig, ServerError, find_model};
use crate::sys::SysError;
use crate::sys::affinity::confine_current_thread;
use crate::sys::limits::raise_descriptors;
use crate::sys::memory_usage::{MemoryReader, ProcessMemory};
use crate::sys::net_namespace::{enter_own_namespace, refused};
use crate::sys::process::{die_with_parent, end_by};
use crate::sys::usage;
use crate::terms::{ResourceUsage, Unsupported};
use crate::units::{CpuId, Nanos};

/// The variable that tells a fresh process of this program that it is a server.
const REQUEST: &str = "SWITCHCOST_SERVER_REQUEST";

/// The program that the process runs; this one unless the variable names another. Tests name it, whose program is none
/// that answers.
const PROGRAM: &str = "SWITCHCOST_SERVER_PROGRAM";

/// How long a server has to end.
const ENDING: Duration = Duration::from_secs(15);

/// What the process is asked to be.
#[derive(Debug, Serialize, Deserialize)]
struct ServerRequest {
    model: String,
    config: ServerConfig,
    cpus: Vec<CpuId>,
    /// Whether it serves in a network namespace of its own.
    own_network: bool,
    /// The process that asks: the server ends when the thread that has started it has.
    parent: i32,
}

/// What it is asked while it serves.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum ServerQuestion {
    Cpu,
    State,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
enum ServerAnswer {
    Listens(SocketAddr),
    Unsupported(Unsupported),
    Failed(String),
    Cpu(Nanos),
    State(Box<ServerState>),
}

/// What a server has done and used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServerState {
    /// What it has done.
    pub activity: ActivityCounts,
    /// What its process and all their children have used, without the thread that answers this.
    pub usage: ResourceUsage,
    /// Bytes that the process and its children hold: user memory, page tables and kernel stacks; no sockets.
    pub memory: u64,
}

/// A server in a process of its own. Dropped, it has ended.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts the model called `model` on `cpus`; it listens when this returns. With `own_network` that is in a network
    /// namespace of its own, which a [`NamespacePair`](crate::sys::net_namespace::NamespacePair) leads to.
    ///
    /// # Errors
    /// Those of [`Server::start`], what keeps a process from starting, and [`ServerError::Unsupported`] where it may
    /// have no such namespace.
    pub fn start(model: &str, config: &ServerConfig, cpus: &[CpuId], own_network: bool) -> Result<Self, ServerError> {
        let request = ServerRequest {
            model: model.into(),
            config: config.clone(),
            cpus: cpus.to_vec(),
            own_network,
            parent: Pid::this().as_raw(),
        };
        let request = serde_json::to_string(&request).map_err(|error| ServerError::library("a request", error))?;
        // The link is resolved by the kernel at exec, so it works even when the file was replaced meanwhile.
        let mut command = Command::new(program());
        command.env(REQUEST, request).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| SysError::from_io("spawn the server's process", &error))?;
        let (questions, answers) = (child.stdin.take(), child.stdout.take());
        let answers = BufReader::new(answers.expect("it was asked to be a pipe"));
        let mut process = Self { child, questions, answers, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        match process.answer()? {
            ServerAnswer::Listens(address) => process.address = address,
            ServerAnswer::Unsupported(reason) => return Err(reason.into()),
            ServerAnswer::Failed(reason) => return Err(ServerError::library("the server's process", reason)),
            other => return Err(ServerError::library("the server's process", format!("it answered {other:?}"))),
        }
        Ok(process)
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of its process, by which its namespaces are found.
    pub fn pid(&self) -> Pid {
        // A number of the kernel's, which are positive.
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// CPU time of the process and all their children so far, without the thread that answers this: to 1 µs, as
    /// getrusage(2) has it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&mut self) -> Result<Nanos, ServerError> {
        match self.ask(ServerQuestion::Cpu)? {
            ServerAnswer::Cpu(cpu) => Ok(cpu),
            other => Err(ServerError::library("the server's process", format!("it answered {other:?}"))),
        }
    }

    /// What it has done and used so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn state(&mut self) -> Result<ServerState, ServerError> {
        match self.ask(ServerQuestion::State)? {
            ServerAnswer::State(state) => Ok(*state),
            other => Err(ServerError::library("the server's process", format!("it answered {other:?}"))),
        }
    }

    fn ask(&mut self, question: ServerQuestion) -> Result<ServerAnswer, ServerError> {
        let line = serde_json::to_string(&question).map_err(|error| ServerError::library("a question", error))?;
        let questions = self.questions.as_mut().expect("it is taken when this is dropped");
        let asked = questions.write_all(format!("{line}\n").as_bytes());
        asked.map_err(|error| ServerError::library("the server's process", error))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<ServerAnswer, ServerError> {
        let mut line = String::new();
        let told = |reason: String| ServerError::library("the server's process", reason);
        self.answers.read_line(&mut line).map_err(|error| told(error.to_string()))?;
        if line.is_empty() {
            return Err(told("it has ended".into()));
        }
        serde_json::from_str(&line).map_err(|error| told(format!("`{}`: {error}", line.trim())))
    }
}

/// The file to start. A test of cargo's answers no request, and stands in `deps` in the folder of the program.
fn program() -> OsString {
    let beside_a_test = || {
        let own = std::env::current_exe().ok()?;
        let deps = own.parent().filter(|folder| folder.ends_with("deps"))?;
        Some(deps.parent()?.join("switchcost")).filter(|program| program.exists())
    };
    let named = std::env::var_os(PROGRAM).or_else(|| beside_a_test().map(OsString::from));
    named.unwrap_or_else(|| "/proc/self/exe".into())
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.questions.take());
        end_by(self.pid(), Instant::now() + ENDING);
    }
}

/// If this process was started to be a server, is one, and returns the status to end with. Every program whose
/// mechanisms start servers calls this first thing in its `main`.
pub fn answer_server_request() -> Option<ExitCode> {
    let request = std::env::var(REQUEST).ok()?;
    // Neither this nor what it was started with is a program's that the server might start.
    let outcome = serde_json::from_str(&request).map_err(|error| ServerError::library("the request", error));
    Some(match outcome.and_then(|request| serve(&request)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServerError::Unsupported(reason)) => tell(&ServerAnswer::Unsupported(reason)),
        Err(error) => tell(&ServerAnswer::Failed(error.to_string())),
    })
}

fn tell(answer: &ServerAnswer) -> ExitCode {
    println!("{}", serde_json::to_string(answer).expect("an answer is plain data"));
    ExitCode::FAILURE
}

fn serve(request: &ServerRequest) -> Result<(), ServerError> {
    if !die_with_parent(Pid::from_raw(request.parent)) {
        return Err(ServerError::library("the process that asks", "it has ended"));
    }
    let unknown = || ServerError::library("the request", format!("no model is called {}", request.model));
    let model = find_model(&request.model).ok_or_else(unknown)?;
    raise_descriptors();
    if request.own_network {
        enter_own_namespace().map_err(|error| refused(&error))?;
    }
    confine_current_thread(&request.cpus)?;
    let server = Server::start(model, request.config.clone())?;
    let failed = |error: std::io::Error| ServerError::library("an answer", error);
    let mut out = std::io::stdout().lock();
    let mut answer = |answer: ServerAnswer| {
        let line = serde_json::to_string(&answer).map_err(|error| ServerError::library("an answer", error))?;
        out.write_all(format!("{line}\n").as_bytes()).map_err(failed)
    };
    answer(ServerAnswer::Listens(server.address()))?;
    let memory = MemoryReader::new()?;
    let stdin = std::io::stdin();
    let mut questions = stdin.lock();
    loop {
        // A question is asked when the one before is answered, so none waits in the buffer.
        let mut waited =
            [PollFd::new(server.ended(), PollFlags::POLLIN), PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled.map_err(|errno| SysError::new("poll", errno))?,
        };
        if waited[0].any().unwrap_or(false) {
            // Its sockets would go on listening, and clients would wait for ever.
            server.stop()?;
            return Err(ServerError::library("the server", "it has ended by itself"));
        }
        let mut line = String::new();
        if questions.read_line(&mut line).map_err(failed)? == 0 {
            return server.stop();
        }
        let question = serde_json::from_str(&line);
        match question.map_err(|error| ServerError::library("a question", error))? {
            ServerQuestion::Cpu => answer(ServerAnswer::Cpu(cpu()?))?,
            ServerQuestion::State => {
                let state = ServerState { activity: server.activity(), usage: used()?, memory: held(&memory)? };
                answer(ServerAnswer::State(Box::new(state)))?;
            }
        }
    }
}

/// CPU time so far. A child that ends in between is counted once: it is waited for under the same lock.
fn cpu() -> Result<Nanos, SysError> {
    with_live_children(|children| {
        let alive =
            children.iter().map(|&child| usage::cpu_of_process(child).map(|cpu| cpu.0)).sum::<Result<u64, _>>()?;
        Ok(Nanos(usage::of_other_threads()?.cpu().0 + alive))
    })
}

fn used() -> Result<ResourceUsage, SysError> {
    with_live_children(|children| {
        children.iter().try_fold(usage::of_other_threads()?, |sum, &child| Ok(sum.plus(usage::of_process(child)?)))
    })
}

fn held(memory: &MemoryReader) -> Result<u64, SysError> {
    with_live_children(|children| {
        let bytes = |own: ProcessMemory| own.resident + own.page_tables + own.threads * memory.stack();
        children
            .iter()
            .try_fold(bytes(memory.own(&[])?), |sum, &child| Ok(sum + memory.of_child(child)?.map_or(0, bytes)))
    })
}
