//! What this suite's own servers cost a request at the load that a watched program is under: blocking, and as event
//! loops.
//!
//! Each lap is a fresh server process and a client that asks it for a fraction of a second; laps of all kinds of server
//! take turns, so that a slow stretch of the machine meets all of them. What a lap's CPU time is taken over begins once
//! all connections are open and each has been served.

mod lap_order;
mod server_lap;

use std::time::{Duration, Instant};

use super::{now_ms, usable_cpus};
use crate::load::LoadError;
use crate::server::ServerError;
use crate::sys::affinity::allowed_cpus;
use crate::sys::limits::raise_descriptors;
use crate::terms::{
    CalibrationPoint, CalibrationTime, Dispatch, OperatingPoint, PointRole, ServerCalibration, Shortfall,
};
use crate::units::{CpuId, Nanos};

use lap_order::LapOrder;
use server_lap::{LapPlan, server_lap};

/// What is to be calibrated.
#[derive(Debug, Clone)]
pub struct CalibrationRequest {
    /// On which side of the observation.
    pub time: CalibrationTime,
    /// The load; `None` measures the reference alone.
    pub point: Option<OperatingPoint>,
    /// The kinds of event loop.
    pub targets: Vec<Dispatch>,
    /// The CPUs of the servers; those that this process may not use are left out.
    pub cpus: Vec<CpuId>,
    /// How long it may take in all.
    pub budget: Duration,
    /// The CPUs that the watched program uses meanwhile; empty when it does not run.
    pub program_cpus: Vec<CpuId>,
}

/// Why there is no calibration.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// A server did not start, or ended.
    #[error("a server to calibrate by: {0}")]
    Server(#[from] ServerError),
    /// Its client could not ask it.
    #[error("the client of a server to calibrate by: {0}")]
    Load(#[from] LoadError),
    /// None of the CPUs can be used.
    #[error("{0}")]
    Cpus(String),
    /// The caller ended it.
    #[error("calibration was interrupted")]
    Interrupted,
}

/// Connections of the reference: some that take turns, and not so many that caches matter.
const REFERENCE_CONNECTIONS: u64 = 8;

/// The loads around the observed one, as its multiples.
const FACTORS: &[f64] = &[0.25, 0.5, 2.0];

/// Measures servers until all laps are done or the time is over. `progress` is told before each lap how much of it is
/// done, from 0 to 1, and ends it by returning false.
///
/// # Errors
/// When the blocking server or all event loops cannot be measured, or `progress` ends it.
pub fn calibrate(
    request: &CalibrationRequest,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<ServerCalibration, CalibrationError> {
    // Those of some thousand connections.
    raise_descriptors();
    let (started_ms, began) = (now_ms(), Instant::now());
    let server_cpus = usable_cpus(&request.cpus).map_err(|error| CalibrationError::Cpus(error.to_string()))?;
    let client_cpus = beside(&server_cpus);
    let mut points = points(request);
    let mut order = LapOrder::new(&points, &request.targets, request.budget);
    let mut lacking: Vec<(Dispatch, Shortfall)> = Vec::new();
    while let Some((index, dispatch)) = order.next_lap(began.elapsed()) {
        if !progress(order.done()) {
            return Err(CalibrationError::Interrupted);
        }
        if lacking.iter().any(|(lacking, _)| *lacking == dispatch) {
            continue;
        }
        let point = &points[index];
        let plan = LapPlan {
            dispatch,
            point,
            workers: request.point.as_ref().map_or(1, |point| point.workers),
            server_cpus: &server_cpus,
            client_cpus: &client_cpus,
            length: order.length(),
            seed: order.laps_begun(),
        };
        match server_lap(&plan) {
            Ok(lap) => points[index].laps.push(lap),
            Err(CalibrationError::Server(ServerError::Unsupported(why))) if dispatch != Dispatch::Blocking => {
                let told =
                    Shortfall::new(format!("a calibration with {}", dispatch.in_words()), why.why(), why.0.remedy);
                lacking.push((dispatch, told));
            }
            Err(error) => return Err(error),
        }
    }
    let mut lacking: Vec<Shortfall> = lacking.into_iter().map(|(_, told)| told).collect();
    lacking.extend(order.cut_short());
    points.retain(|point| !point.laps.is_empty());
    Ok(ServerCalibration {
        time: request.time,
        started_ms,
        wall: Nanos(began.elapsed().as_nanos() as u64),
        beside_program: request.program_cpus.iter().any(|cpu| server_cpus.contains(cpu)),
        server_cpus,
        client_cpus,
        points,
        lacking,
    })
}

/// CPUs for the client: those that the servers do not use; all where they use all.
fn beside(server_cpus: &[CpuId]) -> Vec<CpuId> {
    let allowed = allowed_cpus().unwrap_or_default();
    let apart: Vec<CpuId> = allowed.iter().copied().filter(|cpu| !server_cpus.contains(cpu)).collect();
    if apart.is_empty() { allowed } else { apart }
}

/// The points to measure, without their laps.
fn points(request: &CalibrationRequest) -> Vec<CalibrationPoint> {
    let of = |role, connections, idle_connections, rate, (work, delay)| CalibrationPoint {
        role,
        connections,
        idle_connections,
        rate,
        work,
        delay,
        laps: Vec::new(),
    };
    let mut points = vec![of(PointRole::Reference, REFERENCE_CONNECTIONS, 0, None, (Nanos(0), Nanos(0)))];
    if let Some(own) = &request.point {
        let idle = own.idle_connections;
        let request = (own.work, own.delay);
        let at = |factor: f64| {
            // Beyond what the program can do, its clients wait as well.
            let rate = Some(own.rate * factor).filter(|_| factor < 1.0 || !own.saturated);
            of(PointRole::Load(factor), own.connections, idle, rate, request)
        };
        points.push(at(1.0));
        points.extend(FACTORS.iter().map(|factor| at(*factor)));
        points.push(of(PointRole::Alone, 1, 0, None, request));
        points.push(of(PointRole::Full, own.connections.max(REFERENCE_CONNECTIONS), idle, None, request));
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(point: Option<OperatingPoint>, budget: Duration) -> CalibrationRequest {
        let cpus = allowed_cpus().unwrap();
        let targets = vec![Dispatch::Epoll];
        CalibrationRequest { time: CalibrationTime::After, point, targets, program_cpus: vec![cpus[0]], cpus, budget }
    }

    #[test]
    fn the_load_asked_for_is_the_load_measured() {
        let cpus = vec![allowed_cpus().unwrap()[0]];
        let point = OperatingPoint {
            connections: 64,
            idle_connections: 5,
            rate: 100.0,
            saturated: false,
            work: Nanos(20_000),
            delay: Nanos(500_000),
            workers: 1,
            cpus: cpus.clone(),
        };
        let saturated = OperatingPoint { saturated: true, ..point.clone() };
        let rates = |point| -> Vec<Option<f64>> {
            points(&request(Some(point), Duration::from_secs(1)))[1..5].iter().map(|point| point.rate).collect()
        };
        assert_eq!(rates(saturated), [None, Some(25.0), Some(50.0), None]);
        let points = points(&request(Some(point), Duration::from_secs(1)));
        let roles: Vec<PointRole> = points.iter().map(|point| point.role).collect();
        let factors = [1.0, 0.25, 0.5, 2.0].map(PointRole::Load);
        assert_eq!(roles[0], PointRole::Reference);
        assert_eq!(roles[1..5], factors);
        assert_eq!(roles[5..], [PointRole::Alone, PointRole::Full]);
        let own = points.iter().find(|point| point.role == PointRole::Load(1.0)).unwrap();
        assert_eq!((own.connections, own.idle_connections, own.rate, own.work), (64, 5, Some(100.0), Nanos(20_000)));
        assert_eq!(own.delay, Nanos(500_000));
        let lap = |dispatch| {
            let length = Duration::from_millis(300);
            let (server_cpus, client_cpus) = (&cpus[..], &beside(&cpus)[..]);
            let plan = LapPlan { dispatch, point: own, workers: 1, server_cpus, client_cpus, length, seed: 1 };
            server_lap(&plan).unwrap()
        };
        for dispatch in [Dispatch::Blocking, Dispatch::Epoll] {
            let lap = lap(dispatch);
            // On a busy machine fewer are answered. More were only with the two on each connection before the lap.
            assert!(lap.requests > 0 && lap.rate() < 250.0, "{lap:?}");
            assert!(lap.cpu_per_request().unwrap() > 15_000.0, "{lap:?}");
            // The blocking server sleeps in each request, beside waiting for it.
            let waits = if dispatch == Dispatch::Blocking { 1.5 } else { 0.0 };
            assert!(lap.switches_per_request().unwrap() > waits, "{lap:?}");
            let per_connection = lap.memory_per_connection.unwrap();
            assert!(per_connection < 200_000.0, "{lap:?}");
            if dispatch == Dispatch::Epoll {
                assert!(lap.events >= lap.requests && lap.wakes <= lap.events, "{lap:?}");
            }
        }
    }

    #[test]
    fn the_reference_alone_is_measured_by_blocking_servers_and_by_one_event_loop() {
        let calibration = calibrate(&request(None, Duration::from_millis(600)), &mut |_| true).unwrap();
        assert_eq!(calibration.points.len(), 1);
        let reference = calibration.point(PointRole::Reference).unwrap();
        assert!(reference.laps_of(Dispatch::Blocking).count() >= 2 && reference.laps_of(Dispatch::Epoll).count() >= 2);
    }

    #[test]
    fn it_ends_when_the_caller_says_so() {
        let request = request(None, Duration::from_secs(600));
        assert!(matches!(calibrate(&request, &mut |_| false), Err(CalibrationError::Interrupted)));
    }
}
