//! `switchcost serve`: one of the server models alone, for any client.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::SignedDuration;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::options::{UsageError, cpus, nearest};
use crate::server::{
    ActivityCounts, FileWay, MODELS, Protocol, Server, ServerConfig, ServerError, ServerModel, Shots, Trigger,
    find_model,
};
use crate::sys::SysError;
use crate::sys::affinity::confine_current_thread;
use crate::sys::limits::raise_descriptors;
use crate::sys::net_namespace::{SERVER_END, enter_own_namespace, refused};
use crate::units::{CpuId, Nanos};

/// Run one of the server models until Ctrl-C or SIGTERM, for `switchcost load`, wrk or any other client
#[derive(Debug, Args)]
#[command(after_help = models_help())]
pub(super) struct ServeArgs {
    /// The model; listed below
    #[arg(value_name = "MODEL")]
    model: String,
    /// Where to listen: 127.0.0.1:8080, [::1]:8080, localhost:8080, or just a port; port 0 lets the kernel choose one
    /// (default: 127.0.0.1:8080, and with --netns 0.0.0.0:8080)
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Serve in a network namespace of its own, which `switchcost load --netns PID` connects to its own by a pair of
    /// virtual Ethernet devices
    #[arg(long)]
    pub(super) netns: bool,
    /// The protocol
    #[arg(long, value_name = "NAME", default_value = Protocol::NAMES[0])]
    #[arg(value_parser = word(Protocol::NAMES, Protocol::named))]
    protocol: Protocol,
    /// Wait this long before each answer, such as 5ms, as if for another service: by a timer or a sleep, depending on
    /// the model
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    delay: Duration,
    /// Compute this long before each answer, such as 50us
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    work: Duration,
    /// Bytes in the body of an answer of HTTP
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(..=64 << 20))]
    payload: u32,
    /// Serve this file as /file, over HTTP
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// How the file is read
    #[arg(long, value_name = "NAME", default_value = FileWay::NAMES[0])]
    #[arg(value_parser = word(FileWay::NAMES, FileWay::named))]
    file_way: FileWay,
    /// Connections that may wait to be accepted (default: as many as net.core.somaxconn allows)
    #[arg(long, value_name = "N")]
    backlog: Option<u32>,
    /// Processes of preforked, threads of prethreaded, and threads that read files with --file-way pool
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pool: u32,
    /// Event loops, rings or worker threads; 0 is one for each CPU (default: as the model has it)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1024))]
    workers: Option<u32>,
    /// How long a client may take to send a request, or to take a piece of an answer; up to twice that in event loops
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    timeout: Duration,
    /// When epoll reports a socket
    #[arg(long, value_name = "NAME", default_value = Trigger::NAMES[0])]
    #[arg(value_parser = word(Trigger::NAMES, Trigger::named))]
    trigger: Trigger,
    /// Connections that a request to accept brings, in the models on io_uring
    #[arg(long, value_name = "NAME", default_value = Shots::NAMES[0], value_parser = word(Shots::NAMES, Shots::named))]
    accept: Shots,
    /// Pieces that a request to receive brings, in the models on io_uring
    #[arg(long, value_name = "NAME", default_value = Shots::NAMES[0], value_parser = word(Shots::NAMES, Shots::named))]
    receive: Shots,
    /// Buffers of 4 KiB that a ring receives into, a power of two
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = buffers)]
    buffers: u16,
    /// Use only these CPUs, such as 0-3,8
    #[arg(long, value_name = "LIST")]
    cpus: Option<String>,
}

fn models_help() -> String {
    let longest = MODELS.iter().map(|model| model.name().len()).max().unwrap_or(0);
    let line = |model: &&dyn ServerModel| format!("  {:longest$}  {}\n", model.name(), model.about());
    let models: String = MODELS.iter().map(line).collect();
    format!("Models:\n{models}\nExit status: 0 stopped by a signal, 1 failed, 2 bad usage.")
}

/// Reads one of `names`.
fn word<T: Clone + Send + Sync + 'static>(
    names: &'static [&'static str],
    named: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).map(move |name| named(&name).expect("clap takes the names alone"))
}

fn time(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    parsed.ok_or_else(|| format!("`{text}` is no time, such as 50us, 5ms or 1s"))
}

fn buffers(text: &str) -> Result<u16, String> {
    let number = text.parse::<u16>().ok().filter(|number| number.is_power_of_two() && *number <= 1 << 14);
    number.ok_or_else(|| format!("`{text}` is no power of two from 1 to 16384"))
}

/// The address that `text` names.
fn address(text: &str) -> Result<SocketAddr, UsageError> {
    let whole = match text.parse::<u16>() {
        Ok(port) => format!("127.0.0.1:{port}"),
        Err(_) => text.strip_prefix(':').map_or_else(|| text.to_string(), |port| format!("0.0.0.0:{port}")),
    };
    let wrong = |reason: String| {
        UsageError::Unknown(format!("--listen {text}: {reason}; write it as 127.0.0.1:8080 or localhost:8080"))
    };
    let mut addresses = whole.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
    addresses.next().ok_or_else(|| wrong("no address has this name".into()))
}

/// What the options come to.
pub(super) struct ServePlan {
    pub(super) model: &'static dyn ServerModel,
    pub(super) config: ServerConfig,
    /// The CPUs that the server may use, where that was said.
    pub(super) cpus: Option<Vec<CpuId>>,
}

impl ServeArgs {
    fn config(&self) -> Result<ServerConfig, UsageError> {
        let nanos = |time: Duration| Nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4));
        if self.timeout.is_zero() {
            return Err(UsageError::Unknown("--timeout 0s would give no client the time to ask".into()));
        }
        Ok(ServerConfig {
            address: self.address()?,
            protocol: self.protocol,
            backlog: self.backlog,
            pool: self.pool as usize,
            workers: self.workers.map(|workers| workers as usize),
            delay: nanos(self.delay),
            work: nanos(self.work),
            payload: self.payload as usize,
            file: self.file.clone(),
            file_way: self.file_way,
            timeout: self.timeout,
            trigger: self.trigger,
            accept: self.accept,
            receive: self.receive,
            buffers: self.buffers,
        })
    }

    fn address(&self) -> Result<SocketAddr, UsageError> {
        let default = if self.netns { "0.0.0.0:8080" } else { "127.0.0.1:8080" };
        // A port alone is one of loopback, unless that cannot be reached.
        let listen = self.listen.as_deref().unwrap_or(default);
        let listen = match listen.parse::<u16>() {
            Ok(port) if self.netns => format!("0.0.0.0:{port}"),
            _ => listen.to_string(),
        };
        let address = address(&listen)?;
        if self.netns && (address.ip().is_loopback() || address.is_ipv6()) {
            let told = format!("--netns: no client reaches {address} from its own namespace; listen on 0.0.0.0:PORT");
            return Err(UsageError::Unknown(told));
        }
        Ok(address)
    }

    fn model(&self) -> Result<&'static dyn ServerModel, UsageError> {
        find_model(&self.model).ok_or_else(|| {
            let meant = nearest(&self.model, MODELS.iter().map(|model| model.name()));
            let told = format!("no server model is called `{}`{meant}", self.model);
            UsageError::Unknown(format!("{told}; `switchcost serve --help` lists them"))
        })
    }

    /// What the options come to.
    pub(super) fn plan(&self) -> Result<ServePlan, UsageError> {
        let cpus = self.cpus.as_deref().map(cpus).transpose()?;
        Ok(ServePlan { model: self.model()?, config: self.config()?, cpus })
    }

    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let ServePlan { model, config, cpus } = self.plan()?;
        if let Some(cpus) = &cpus {
            confine_current_thread(cpus)?;
        }
        raise_descriptors();
        if self.netns {
            enter_own_namespace().map_err(|error| refused(&error))?;
        }
        // Before there is a second thread, to which the signals would be delivered.
        let signals = block_signals()?;
        let server = Server::start(model, config).map_err(explained)?;
        let mut address = server.address();
        if self.netns {
            address.set_ip(SERVER_END.into());
        }
        let shown = match self.protocol {
            Protocol::Http | Protocol::HttpClose => format!("http://{address}/"),
            Protocol::TcpEcho => format!("tcp://{address}"),
            Protocol::UdpEcho => format!("udp://{address}"),
        };
        let mut out = std::io::stdout().lock();
        let process = std::process::id();
        writeln!(out, "{} listens on {shown} (process {process})", model.name())?;
        if self.netns {
            writeln!(out, "in a network namespace of its own; ask by `switchcost load --netns {process} {shown}`")?;
        }
        out.flush()?;
        await_end(&signals, &server)?;
        let activity = server.stop_and_count().map_err(explained)?;
        writeln!(out, "{}", told(&activity))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn told(activity: &ActivityCounts) -> String {
    let ActivityCounts { answered, accepted, pauses, .. } = activity;
    let paused = match pauses {
        0 => String::new(),
        pauses => format!("; accepting paused {pauses} times because descriptors, threads or processes had run out"),
    };
    format!("stopped: answered {answered} requests on {accepted} connections{paused}")
}

/// What another command line would help is bad usage.
fn explained(error: ServerError) -> anyhow::Error {
    match &error {
        ServerError::Unfit { .. } | ServerError::File { .. } => UsageError::Unknown(error.to_string()).into(),
        ServerError::Sys(failed) => {
            let hint = match failed.errno {
                Errno::EADDRINUSE => "another program listens there: choose another port, or port 0 for a free one",
                Errno::EADDRNOTAVAIL => "that address is not this machine's: `ip address` lists those that are",
                Errno::EACCES => "ports below 1024 need privilege: choose a higher one",
                _ => return error.into(),
            };
            anyhow::anyhow!("{failed}; {hint}")
        }
        _ => error.into(),
    }
}

fn block_signals() -> Result<SignalFd, SysError> {
    let set: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    set.thread_block().map_err(|errno| SysError::new("pthread_sigmask", errno))?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).map_err(|errno| SysError::new("signalfd", errno))
}

/// Waits for a signal, or for the server to end by itself.
fn await_end(signals: &SignalFd, server: &Server) -> Result<(), SysError> {
    let event = |descriptor| PollFd::new(descriptor, PollFlags::POLLIN);
    loop {
        match poll(&mut [event(signals.as_fd()), event(server.ended())], PollTimeout::NONE) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new("poll", errno)),
        }
    }
}
