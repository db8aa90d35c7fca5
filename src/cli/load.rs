//! `switchcost load`: asks a server at times fixed beforehand, and tells what came of it.

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::FAILED;
use super::load_netns::{self, NetworkCost};
use super::load_record::LoadRecord;
use super::load_search::SearchArgs;
use super::load_view::{LoadWatch, outcome_table, search_table};
use super::options::{UsageError, cpus};
use crate::harness::rounds::{Signals, duration};
use crate::load::{
    ArrivalPattern, ENGINES, HttpRequest, LoadDriver, LoadEnd, LoadEngine, LoadOutcome, LoadPlan, LoadProtocol, engine,
    hdr_log, hdr_now, run_load,
};
use crate::sys::affinity::allowed_cpus;
use crate::sys::limits::raise_descriptors;
use crate::units::Nanos;

/// Generate load for a server over HTTP/1.1, TCP or UDP, and say whether the response times can be trusted
#[derive(Debug, Args)]
#[command(after_help = "\
Without --rate, a fixed number of requests (one per connection, or --outstanding) is outstanding all the time: the \
next one is sent when an answer arrives, so a server that stalls gets no requests (a closed loop). With --rate or \
--times, requests are sent when they are due, and response times count from then.\n\
A run is VOID if fewer than 99.5 % of the requests were sent in time, if the client itself was late by more than a \
tenth of the median response time, or if the client's CPUs were busy all the time.\n\
Exit status: 0 the figures can be trusted, 1 they are void or the server gave up, 2 bad usage.")]
pub(super) struct LoadArgs {
    /// http://HOST:PORT/PATH, or tcp://HOST:PORT and udp://HOST:PORT, where the server sends back what it gets
    url: String,
    /// Connections, each with one request at a time
    #[arg(short, long, value_name = "N", default_value_t = 64)]
    connections: usize,
    /// Threads of the client; the engine `threads` has one for each connection
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// How long to run (default: until the p99 is known within 5 %, at most 30 s)
    #[arg(short, long, short_alias = 'z', value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Requests a second, whatever the server does
    #[arg(short = 'R', long, short_alias = 'q', value_name = "N")]
    rate: Option<f64>,
    /// At most this many requests
    #[arg(short = 'n', long, value_name = "N")]
    requests: Option<u64>,
    /// How requests of a --rate arrive: uniform, poisson, or bursts:ON/OFF, such as bursts:10ms/90ms
    #[arg(long, value_name = "PATTERN", default_value = "uniform")]
    arrivals: String,
    /// A file with the times at which requests are to be sent: seconds from the start, one a line, rising
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "arrivals"])]
    times: Option<PathBuf>,
    /// Requests outstanding at a time, without --rate (default: one on each connection)
    #[arg(long, value_name = "N", conflicts_with_all = ["rate", "times"])]
    outstanding: Option<usize>,
    /// What sends and receives: threads, epoll, uring or tokio
    #[arg(short, long, value_name = "NAME", default_value = "epoll")]
    engine: String,
    /// Pin the client's threads to these CPUs in turn, such as 0-3,8
    #[arg(long, value_name = "LIST")]
    cpus: Option<String>,
    /// A request that gets no answer in this time has failed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// Requests of the first TIME are sent and not counted
    #[arg(long, value_name = "TIME", value_parser = duration)]
    warm_up: Option<Duration>,
    /// How long before a request is due a thread stops sleeping and reads the clock, in microseconds (default: 100
    /// where the client has a CPU to spare, and with the engine `threads` 0)
    #[arg(long, value_name = "US")]
    spin_us: Option<u64>,
    /// End as soon as the 95 % interval of the p99 is within this share of it, such as 5%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    until_p99: Option<f64>,
    /// Further connections that are opened and stay idle
    #[arg(long, value_name = "N", default_value_t = 0)]
    idle_connections: usize,
    /// The method of HTTP requests
    #[arg(short, long, value_name = "NAME", default_value = "GET")]
    method: String,
    /// A header of HTTP requests, as `Name: value`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "LINE")]
    headers: Vec<String>,
    /// The body of HTTP requests
    #[arg(long, value_name = "TEXT", default_value = "")]
    body: String,
    /// A connection for each HTTP request
    #[arg(long)]
    disable_keepalive: bool,
    /// Bytes of a request over tcp:// and udp://
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    payload: u32,
    /// Seed of arrivals and of the order of connections
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    pub(super) search: SearchArgs,
    /// Write the outcome as JSON into this file; `-` is standard output, without the table
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write response and service times, second by second, as an interval log of HdrHistogram
    #[arg(long, value_name = "FILE")]
    pub(super) hdr: Option<PathBuf>,
    /// Append the outcome to the record in this folder, which `show`, `report` and `compare` read; one folder for each
    /// URL
    #[arg(long, value_name = "FOLDER")]
    pub(super) record: Option<PathBuf>,
    /// The server is this process, started by `switchcost serve MODEL --netns`: ask it from a network namespace of the
    /// client's own, over a pair of virtual Ethernet devices
    #[arg(long, value_name = "PID")]
    pub(super) netns: Option<i32>,
    /// Show no progress
    #[arg(long)]
    pub(super) quiet: bool,
}

impl LoadArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        // Before anything is sent: a file that cannot be written would cost the run.
        let hdr = self.hdr.as_ref().map(|path| create(path)).transpose()?;
        let json = self.json.as_ref().filter(|path| path.as_os_str() != "-").map(|path| create(path)).transpose()?;
        let record = self.record.as_ref().map(|folder| LoadRecord::open(folder, &self.url)).transpose()?;
        let plan = self.plan()?;
        let search = self.search.search(plan.driver.rate())?;
        // Before there is a second thread, with which no user namespace can be joined.
        let network = self.netns.map(|server| load_netns::connect(server, &plan)).transpose()?;
        // Those of 5,000 connections.
        raise_descriptors();
        let mut signals = Signals::take_over()?;
        let least = match (&record, &hdr) {
            (Some(_), _) => Some(Duration::from_millis(100)),
            (None, Some(_)) => Some(Duration::from_secs(1)),
            (None, None) => None,
        };
        let mut watch = LoadWatch::new(&plan, self.quiet || !std::io::stderr().is_terminal(), least);
        let began = hdr_now();
        let (outcome, probes) = match search {
            None => {
                let mut interrupted = || signals.wait(Duration::ZERO).is_err() || signals.count() > 0;
                (run_load(&plan, &mut watch.until(&mut interrupted))?, None)
            }
            Some(search) => {
                let mut interrupted = || signals.wait(Duration::ZERO).is_err() || signals.count() > 0;
                let found = search.carry_out(&plan, &mut watch, &mut interrupted)?;
                (found.outcome.clone(), Some(found))
            }
        };
        watch.end();
        if let (Some(mut file), Some(path)) = (hdr, &self.hdr) {
            let log = hdr_log(began, watch.intervals()).map_err(anyhow::Error::msg)?;
            file.write_all(log.as_bytes()).with_context(|| format!("write {}", path.display()))?;
        }
        let recorded = record.as_ref().map(|record| record.folder().to_path_buf());
        if let Some(record) = record {
            // Of a search only the last load is kept, and intervals are those of all.
            let intervals = if probes.is_some() { &[] } else { watch.intervals() };
            record.append(&plan, &outcome, intervals)?;
        }
        let whole = self.as_json(&plan, &outcome, probes.as_ref(), network.as_ref())?;
        if let (Some(mut file), Some(path)) = (json, &self.json) {
            writeln!(file, "{whole}").with_context(|| format!("write {}", path.display()))?;
        }
        let mut out = std::io::stdout().lock();
        if self.json.as_ref().is_some_and(|path| path.as_os_str() == "-") {
            writeln!(out, "{whole}")?;
        } else {
            write!(out, "{}", outcome_table(&plan, &outcome))?;
            if let Some(network) = &network {
                writeln!(out, "{}", network.told())?;
            }
            if let Some(folder) = &recorded {
                writeln!(out, "recorded: `switchcost show {}` has it", folder.display())?;
            }
            if let Some(found) = &probes {
                write!(out, "{}", search_table(found))?;
            }
        }
        drop(out);
        if let LoadEnd::GaveUp(why) = &outcome.ended {
            eprintln!("switchcost: {why}");
            return Ok(ExitCode::from(FAILED));
        }
        let missed = probes.as_ref().is_some_and(|found| found.met.is_none());
        if missed {
            eprintln!("switchcost: no rate was found at which the target is met");
        }
        Ok(if outcome.void.is_empty() && !missed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    fn as_json(
        &self,
        plan: &LoadPlan,
        outcome: &LoadOutcome,
        found: Option<&super::load_search::SearchOutcome>,
        network: Option<&NetworkCost>,
    ) -> anyhow::Result<String> {
        let mut whole = serde_json::json!({
            "url": self.url,
            "address": plan.address.to_string(),
            "arrivals": plan.driver.name(),
            "argv": super::command_line(),
            "outcome": outcome,
        });
        if let Some(found) = found {
            whole["search"] = serde_json::to_value(found)?;
        }
        if let Some(network) = network {
            whole["network"] = serde_json::to_value(network)?;
        }
        Ok(format!("{whole:#}"))
    }

    pub(super) fn plan(&self) -> anyhow::Result<Arc<LoadPlan>> {
        let (address, protocol) = self.target()?;
        let engine = self.engine()?;
        let defaults = LoadPlan::new(address, protocol, engine);
        let chosen = self.cpus.as_deref().map_or(Ok(Vec::new()), cpus)?;
        let budget = self.duration.unwrap_or(Duration::from_secs(30));
        // Without an end of its own a run ends when its figure is known.
        let open_ended = self.duration.is_none() && self.requests.is_none() && self.times.is_none();
        let plan = LoadPlan {
            connections: self.connections,
            idle_connections: self.idle_connections,
            driver: self.driver()?,
            duration: budget,
            requests: self.requests,
            warm_up: self.warm_up.unwrap_or_default(),
            precision: self.until_p99.or(open_ended.then_some(0.05)),
            threads: self.threads,
            spin: Nanos(self.spin_us.map_or_else(|| default_spin(engine, self.threads), |us| us * 1000)),
            cpus: chosen,
            timeout: self.timeout,
            seed: self.seed,
            ..defaults
        };
        plan.checked().map_err(|error| UsageError::Unknown(error.to_string()).into())
    }

    fn engine(&self) -> anyhow::Result<&'static dyn LoadEngine> {
        let names = || ENGINES.iter().map(|engine| engine.name()).collect::<Vec<_>>().join(", ");
        let unknown = || UsageError::Unknown(format!("no engine is called `{}`; there are {}", self.engine, names()));
        let engine = engine(&self.engine).ok_or_else(unknown)?;
        engine.supports()?;
        Ok(engine)
    }

    fn driver(&self) -> anyhow::Result<LoadDriver> {
        if let Some(path) = &self.times {
            return Ok(LoadDriver::Open(ArrivalPattern::Times(times(path)?.into())));
        }
        let rate = match (self.rate, self.search.is_asked()) {
            (Some(rate), _) => rate,
            // Somewhere to begin.
            (None, true) => 1000.0,
            (None, false) if self.arrivals == "uniform" => {
                let outstanding = self.outstanding.unwrap_or(self.connections);
                return Ok(LoadDriver::Closed { outstanding, ramp: Duration::from_millis(10) });
            }
            (None, false) => {
                let told = format!("--arrivals {} needs a --rate: a closed loop has no arrivals", self.arrivals);
                return Err(UsageError::Unknown(told).into());
            }
        };
        Ok(LoadDriver::Open(pattern(&self.arrivals, rate)?))
    }

    fn target(&self) -> anyhow::Result<(SocketAddr, LoadProtocol)> {
        let wrong = |why: &str| UsageError::Unknown(format!("`{}` {why}; write http://HOST:PORT/", self.url));
        let (scheme, rest) = self.url.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        if authority.is_empty() {
            return Err(wrong("names no host").into());
        }
        let payload = self.payload as usize;
        let protocol = match scheme {
            "http" => LoadProtocol::Http(self.request(authority, path)?),
            "tcp" => LoadProtocol::TcpEcho { payload },
            "udp" if payload > 65_507 => {
                let told = format!("a datagram of {payload} bytes does not exist: 65507 is the most");
                return Err(UsageError::Unknown(told).into());
            }
            "udp" => LoadProtocol::UdpEcho { payload },
            "https" => return Err(wrong("asks for TLS, which this client does not speak").into()),
            _ => return Err(wrong("has a scheme that is none of http, tcp and udp").into()),
        };
        let default_port = if scheme == "http" { ":80" } else { "" };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let full = if has_port { authority.to_string() } else { format!("{authority}{default_port}") };
        let failed = |why: String| UsageError::Unknown(format!("`{authority}` does not resolve: {why}"));
        let found = full.to_socket_addrs().map_err(|error| failed(error.to_string()))?;
        let mut found: Vec<SocketAddr> = found.collect();
        // `localhost` is often both, and most servers listen on one.
        found.sort_by_key(SocketAddr::is_ipv6);
        let address = found.first().copied().ok_or_else(|| failed("no address".into()))?;
        Ok((address, protocol))
    }

    fn request(&self, host: &str, path: &str) -> anyhow::Result<HttpRequest> {
        let header = |line: &String| match line.split_once(':') {
            Some((name, value)) if !name.is_empty() && !line.contains(['\r', '\n']) => {
                Ok((name.trim().to_string(), value.trim().to_string()))
            }
            _ => Err(UsageError::Unknown(format!("`{}` is no header; write `Name: value`", line.escape_debug()))),
        };
        let token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !token(&self.method) || !token(path) {
            let told = format!("`{} {path}` is no request: no spaces in methods and paths", self.method);
            return Err(UsageError::Unknown(told).into());
        }
        let headers = self.headers.iter().map(header).collect::<Result<_, _>>()?;
        let body = self.body.clone().into_bytes();
        let keep_alive = !self.disable_keepalive;
        Ok(HttpRequest { method: self.method.clone(), headers, body, keep_alive, ..HttpRequest::get(host, path) })
    }
}

fn create(path: &std::path::Path) -> anyhow::Result<std::fs::File> {
    std::fs::File::create(path)
        .map_err(|error| UsageError::Unknown(format!("create {}: {error}", path.display())).into())
}

/// A thread that spins takes a CPU for itself.
fn default_spin(engine: &dyn LoadEngine, threads: usize) -> u64 {
    let cpus = allowed_cpus().map_or(1, |cpus| cpus.len());
    if engine.name() != "threads" && cpus > threads { 100_000 } else { 0 }
}

fn pattern(word: &str, rate: f64) -> Result<ArrivalPattern, UsageError> {
    let unknown = || UsageError::Unknown(format!("--arrivals {word}: uniform, poisson, or bursts:ON/OFF (10ms/90ms)"));
    match word {
        "uniform" => Ok(ArrivalPattern::Uniform { rate }),
        "poisson" => Ok(ArrivalPattern::Poisson { rate }),
        _ => {
            let (on, off) = word.strip_prefix("bursts:").and_then(|rest| rest.split_once('/')).ok_or_else(unknown)?;
            let time = |text: &str| duration(text).map_err(|_| unknown());
            Ok(ArrivalPattern::Bursts { rate, on: time(on)?, off: time(off)? })
        }
    }
}

fn times(path: &std::path::Path) -> Result<Vec<Nanos>, UsageError> {
    let failed = |why: String| UsageError::Unknown(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let time = |(index, line): (usize, &str)| {
        let seconds = line.trim().parse::<f64>().ok().filter(|time| (0.0..3600.0).contains(time));
        let told = || failed(format!("line {}: `{line}` is no time: seconds from the start, below 3600", index + 1));
        seconds.map(|seconds| Nanos((seconds * 1e9) as u64)).ok_or_else(told)
    };
    let written = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    written.map(time).collect()
}

/// `5%` or `0.05`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 0.01));
    let share = number.trim().parse::<f64>().ok().map(|number| number * scale);
    share.filter(|share| *share > 0.0 && share.is_finite()).ok_or_else(|| format!("`{text}` is no share; write 5%"))
}
