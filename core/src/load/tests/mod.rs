//! Runs against servers of a few lines in threads of the test.

mod broken;
mod plain;
mod server;
mod stall;

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::terms::ValueHistogram;
use crate::units::Nanos;

/// A plan for nothing that is there.
pub(super) fn plan() -> LoadPlan {
    plan_for(([127, 0, 0, 1], 1).into())
}

fn plan_for(address: SocketAddr) -> LoadPlan {
    let http = LoadProtocol::Http(HttpRequest::get("localhost", "/"));
    let mut plan = LoadPlan::new(address, http, engine("epoll").unwrap());
    (plan.connections, plan.duration) = (8, Duration::from_millis(500));
    plan.driver = LoadDriver::Closed { outstanding: 8, ramp: Duration::ZERO };
    plan
}

fn open(rate: f64) -> LoadDriver {
    LoadDriver::Open(ArrivalPattern::Uniform { rate })
}

fn run(plan: LoadPlan) -> LoadOutcome {
    run_load(&plan.checked().unwrap(), &mut ()).unwrap()
}

/// A run in which nothing went wrong.
pub(super) fn outcome() -> LoadOutcome {
    let mut counts = RequestCounts::default();
    (counts.intended, counts.sent, counts.answered, counts.answered_in_time) = (1000, 1000, 1000, 1000);
    let values = |value: u64| {
        let mut values = ValueHistogram::new();
        values.record_many(value, 1000);
        values
    };
    LoadOutcome {
        engine: "epoll".into(),
        connections: 8,
        idle_connections: 0,
        asked_rate: Some(1000.0),
        sending: Nanos(1_000_000_000),
        lasted: Nanos(1_000_000_000),
        counts,
        response: values(200_000),
        service: values(190_000),
        lateness: values(10_000),
        p99: None,
        in_flight: 0.2,
        client: ClientUsage { cpu: Nanos(100), available: Nanos(1000), ..ClientUsage::default() },
        network: None,
        ended: LoadEnd::Duration,
        told: Vec::new(),
        void: Vec::new(),
        backlog: None,
    }
}
