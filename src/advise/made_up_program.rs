//! A made-up program and made-up calibrations: threads that each wait for one socket, and servers whose costs differ by
//! what a test says.

use crate::terms::{
    CalibrationLap, CalibrationPoint, CalibrationTime, DescriptorType, Dispatch, Observation, ObservedMoment,
    PointRole, ServerCalibration, Wait, WaitKind, WatchOverhead, WatchTier,
};
use crate::units::{CpuId, Nanos};

pub(crate) const SECOND: u64 = 1_000_000_000;

pub(crate) fn wait(kind: WaitKind, call: &str, threads: u64, switches: f64) -> Wait {
    let is_socket = matches!(kind, WaitKind::OneDescriptor | WaitKind::ManyDescriptors);
    Wait {
        call: call.into(),
        kind,
        descriptors: is_socket.then_some(if kind == WaitKind::OneDescriptor { 1.0 } else { 64.0 }),
        descriptor_type: is_socket.then_some(DescriptorType::Socket),
        threads,
        switches,
        blocked: Nanos(threads * 8 * SECOND),
        direct: None,
        woken_by_own: None,
        events_per_wake: None,
        serving: None,
    }
}

/// A program that used 0.5 CPUs for ten seconds, and gave them up 40,000 times a second in `waits`.
pub(crate) fn observed(waits: Vec<Wait>) -> Observation {
    let moment = |at: u64| ObservedMoment {
        at: Nanos(at * SECOND / 2),
        wall: Nanos(SECOND / 2),
        cpu: Nanos(SECOND / 4),
        voluntary: 20_000,
        involuntary: 50,
        run_queue_wait: Some(Nanos(SECOND / 10)),
        threads: 33,
        active_threads: 32,
        requests: None,
    };
    Observation {
        started_ms: 1_790_000_000_000,
        wall: Nanos(10 * SECOND),
        pid: 4242,
        command: "service".into(),
        processes_seen: 1,
        threads_peak: 33,
        threads_begun: 0,
        threads_ended: 0,
        cpus_allowed: vec![CpuId(0)],
        tiers: vec![WatchTier::Proc, WatchTier::Burst],
        user: Nanos(SECOND),
        system: Nanos(4 * SECOND),
        voluntary: 400_000,
        involuntary: 1000,
        run_queue_wait: Some(Nanos(2 * SECOND)),
        resident: Some(64 << 20),
        stack_resident: Some(33 * 12288),
        moments: (1..=20).map(moment).collect(),
        roles: Vec::new(),
        waits,
        switches: None,
        calls: None,
        requests: None,
        overhead: WatchOverhead::default(),
        unseen: Vec::new(),
        changed: Vec::new(),
    }
}

pub(crate) fn blocking_server() -> Observation {
    observed(vec![wait(WaitKind::OneDescriptor, "recvfrom", 32, 400_000.0)])
}

/// What servers cost at a point: CPU time a request of the blocking one and of the loop, in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Costs {
    pub(crate) blocking: f64,
    pub(crate) looped: f64,
    /// Voluntary switches of the loop for each request.
    pub(crate) sleeps: f64,
}

pub(crate) fn lap(dispatch: Dispatch, cpu: f64, switches: f64, round: usize, rate: f64) -> CalibrationLap {
    let requests = 10_000.0;
    // Both sides of a round are disturbed alike, by up to 1 %.
    let disturbed = 1.0 + 0.01 * ((round * 7 % 5) as f64 / 4.0 - 0.5);
    let more = 1.0 + 0.002 * ((round * 3 % 5) as f64 / 4.0 - 0.5);
    let cost = if dispatch == Dispatch::Blocking { cpu * disturbed } else { cpu * disturbed * more };
    CalibrationLap {
        dispatch,
        model: dispatch.name().into(),
        wall: Nanos((requests / rate * 1e9) as u64),
        requests: requests as u64,
        cpu: Nanos((requests * cost) as u64),
        voluntary: (requests * switches) as u64,
        involuntary: 5,
        wakes: (requests * switches.max(0.01)) as u64,
        events: requests as u64,
        client_cpu: Nanos((requests * if dispatch == Dispatch::Blocking { 5000.0 } else { 4000.0 }) as u64),
        in_flight: 3.0,
        memory_per_connection: Some(if dispatch == Dispatch::Blocking { 30_000.0 } else { 1000.0 }),
    }
}

pub(crate) fn point(role: PointRole, costs: Costs) -> CalibrationPoint {
    let factor = if let PointRole::Load(factor) = role { factor } else { 1.0 };
    let rate = 40_000.0 * factor;
    let laps = (0..5).flat_map(|round| {
        let looped = Dispatch::TARGETS.iter().map(move |target| {
            let dearer = if *target == Dispatch::Tokio { 500.0 } else { 0.0 };
            lap(*target, costs.looped + dearer, costs.sleeps, round, rate)
        });
        std::iter::once(lap(Dispatch::Blocking, costs.blocking, 1.0, round, rate)).chain(looped)
    });
    CalibrationPoint {
        role,
        connections: 32,
        idle_connections: 0,
        rate: matches!(role, PointRole::Load(_)).then_some(rate),
        work: Nanos(0),
        delay: Nanos(0),
        laps: laps.collect(),
    }
}

pub(crate) fn calibration(time: CalibrationTime, points: Vec<CalibrationPoint>) -> ServerCalibration {
    ServerCalibration {
        time,
        started_ms: 1_790_000_000_000,
        wall: Nanos(10 * SECOND),
        server_cpus: vec![CpuId(0)],
        client_cpus: vec![CpuId(1)],
        beside_program: false,
        points,
        lacking: Vec::new(),
    }
}

pub(crate) const REFERENCE: Costs = Costs { blocking: 9000.0, looped: 7000.0, sleeps: 0.3 };

/// Calibrations in which a loop costs `looped` a request at the observed load where threads cost 10 µs.
pub(crate) fn calibrations(looped: f64) -> Vec<ServerCalibration> {
    let at = |blocking, looped, sleeps| Costs { blocking, looped, sleeps };
    let after = vec![
        point(PointRole::Reference, REFERENCE),
        point(PointRole::Load(0.25), at(10_500.0, 10_900.0, 0.9)),
        point(PointRole::Load(0.5), at(10_200.0, 9900.0, 0.7)),
        point(PointRole::Load(1.0), at(10_000.0, looped, 0.4)),
        point(PointRole::Load(2.0), at(9800.0, looped - 500.0, 0.1)),
        point(PointRole::Alone, at(11_000.0, 11_500.0, 1.0)),
        point(PointRole::Full, at(9500.0, looped - 1000.0, 0.05)),
    ];
    let before = vec![point(PointRole::Reference, REFERENCE)];
    vec![calibration(CalibrationTime::Before, before), calibration(CalibrationTime::After, after)]
}

/// The record that tests of other rooms and of the command line read.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::AdviceRecord;

    #[test]
    fn the_fixture_is_the_made_up_program() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/advice");
        let record = AdviceRecord::read(&folder).unwrap();
        let made =
            AdviceRecord { observation: blocking_server(), calibrations: calibrations(7000.0), ..record.clone() };
        if std::env::var_os("SWITCHCOST_WRITE_FIXTURES").is_some() {
            made.write(&folder).unwrap();
        }
        assert!(record == made, "it is another; with SWITCHCOST_WRITE_FIXTURES=1 it is written again");
    }
}
