//! One lap: a fresh server process under load, and what it used.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::CalibrationError;
use crate::load::{ArrivalPattern, LoadDriver, LoadError, LoadPlan, LoadProtocol, LoadRun, engine};
use crate::server::{Protocol, ServerConfig, ServerError, ServerProcess, ServerState};
use crate::sys::SysError;
use crate::sys::affinity::confine_current_thread;
use crate::sys::timer::monotonic;
use crate::terms::{CalibrationLap, CalibrationPoint, Dispatch};
use crate::units::{CpuId, Nanos};

/// What a lap is asked to be.
#[derive(Debug)]
pub(super) struct LapPlan<'a> {
    pub(super) dispatch: Dispatch,
    pub(super) point: &'a CalibrationPoint,
    /// Threads of an event loop.
    pub(super) workers: u64,
    pub(super) server_cpus: &'a [CpuId],
    pub(super) client_cpus: &'a [CpuId],
    /// How long CPU time is taken over.
    pub(super) length: Duration,
    /// Of the arrivals; the laps of one round may differ by it.
    pub(super) seed: u64,
}

/// Bytes of a request and of its answer.
const PAYLOAD: usize = 64;

/// A client that is idle for an hour is not given up.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// A request without an answer for so long has failed: no lap hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long before a request is due the client reads the clock instead of sleeping: a sleep ends up to 74 µs late, and
/// requests that were sent in clumps make an event loop look cheaper.
const SPIN: Nanos = Nanos(100_000);

/// The model of a kind of server.
fn model(dispatch: Dispatch, workers: u64) -> &'static str {
    match dispatch {
        Dispatch::Blocking => "threaded",
        Dispatch::Epoll => "epoll",
        Dispatch::Uring => "uring_per_thread",
        Dispatch::Tokio if workers == 1 => "tokio_current_thread",
        Dispatch::Tokio => "tokio_multi_thread",
    }
}

/// Starts a server, asks it for a while, and ends it.
pub(super) fn server_lap(plan: &LapPlan) -> Result<CalibrationLap, CalibrationError> {
    let model = model(plan.dispatch, plan.workers);
    let config = ServerConfig {
        protocol: Protocol::TcpEcho,
        workers: Some(usize::try_from(plan.workers).unwrap_or(1)),
        work: plan.point.work,
        delay: plan.point.delay,
        timeout: TIMEOUT,
        ..ServerConfig::new(([127, 0, 0, 1], 0).into())
    };
    let mut server = ServerProcess::start(model, &config, plan.server_cpus, false)?;
    let empty = server.state()?;
    let idle = connect_idle(server.address(), plan.point.idle_connections)?;
    // In a thread of its own: this one keeps its CPUs.
    let asked = std::thread::scope(|scope| {
        let client =
            std::thread::Builder::new().name("calibration".into()).spawn_scoped(scope, || ask(plan, &mut server));
        let client = client.map_err(|error| LoadError::Thread(error.to_string()))?;
        client.join().unwrap_or_else(|_| Err(LoadError::Thread("it panicked".into()).into()))
    })?;
    drop(idle);
    let LapReadings { before, after, wall, client_cpu, in_flight } = asked;
    let (activity, usage) = (after.activity.since(before.activity), after.usage.since(before.usage));
    let connections = plan.point.connections + plan.point.idle_connections;
    Ok(CalibrationLap {
        dispatch: plan.dispatch,
        model: model.into(),
        wall,
        requests: activity.answered,
        cpu: usage.cpu(),
        voluntary: usage.voluntary,
        involuntary: usage.involuntary,
        wakes: activity.wakes,
        events: activity.events,
        client_cpu,
        in_flight,
        memory_per_connection: Some(after.memory.saturating_sub(empty.memory) as f64 / connections as f64),
    })
}

/// Connections that ask nothing.
fn connect_idle(address: SocketAddr, many: u64) -> Result<Vec<TcpStream>, ServerError> {
    let connect =
        |_| TcpStream::connect(address).map_err(|error| SysError::from_io("connect 127.0.0.1", &error).into());
    (0..many).map(connect).collect()
}

struct LapReadings {
    before: ServerState,
    after: ServerState,
    wall: Nanos,
    client_cpu: Nanos,
    in_flight: f64,
}

/// Asks until every connection was served, and then for the length of the lap.
fn ask(plan: &LapPlan, server: &mut ServerProcess) -> Result<LapReadings, CalibrationError> {
    // One thread on one CPU; where that is a server's too, the scheduler places it.
    let apart = plan.client_cpus.iter().find(|cpu| !plan.server_cpus.contains(cpu));
    if let Some(cpu) = apart {
        confine_current_thread(&[*cpu]).map_err(LoadError::from)?;
    }
    let spin = if apart.is_some() { SPIN } else { Nanos(0) };
    let measured = load_plan(plan, server.address(), spin, false)?;
    let mut workers = measured.engine.workers(&measured);
    let worker = workers.first_mut().ok_or_else(|| LoadError::Thread("a plan without workers".into()))?;
    worker.connect()?;
    let mut carry_out = |plan: &Arc<LoadPlan>| {
        let run = Arc::new(LoadRun::new(plan));
        run.begin(monotonic());
        run.work(&mut **worker)?;
        Ok::<_, LoadError>(run.outcome())
    };
    carry_out(&load_plan(plan, server.address(), Nanos(0), true)?)?;
    let (before, began) = (server.state()?, monotonic());
    let outcome = carry_out(&measured)?;
    let (after, ended) = (server.state()?, monotonic());
    Ok(LapReadings {
        before,
        after,
        wall: Nanos(ended.0.saturating_sub(began.0)),
        client_cpu: Nanos(outcome.client.cpu.0.saturating_sub(outcome.client.spun.0)),
        in_flight: outcome.in_flight,
    })
}

/// What the client does: as the point says, or before it one request on each connection.
fn load_plan(plan: &LapPlan, address: SocketAddr, spin: Nanos, warm_up: bool) -> Result<Arc<LoadPlan>, LoadError> {
    let connections = usize::try_from(plan.point.connections).unwrap_or(usize::MAX);
    let closed = LoadDriver::Closed { outstanding: connections, ramp: Duration::ZERO };
    let driver = match plan.point.rate {
        Some(rate) if !warm_up => LoadDriver::Open(ArrivalPattern::Poisson { rate }),
        _ => closed,
    };
    let engine = engine("epoll").ok_or_else(|| LoadError::Thread("no engine is called epoll".into()))?;
    let protocol = LoadProtocol::TcpEcho { payload: PAYLOAD };
    let plan = LoadPlan {
        connections,
        driver,
        duration: plan.length,
        requests: warm_up.then_some(2 * connections as u64),
        timeout: PATIENCE,
        spin,
        seed: plan.seed,
        ..LoadPlan::new(address, protocol, engine)
    };
    Ok(plan.checked()?)
}
