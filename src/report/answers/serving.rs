//! What a request costs a server and its client, by how they wait.

use super::facts::{Beside, Facts, Silence, beside, scalar, told};
use super::text;
use crate::report::run_view::BenchmarkView;
use crate::terms::{MetricKey, Placement};

/// The benchmark in the first placement that the run has of those in which a server and its client are measured.
fn measured<'a>(facts: &Facts<'a>, mechanism: &str) -> Result<&'a BenchmarkView<'a>, Silence> {
    facts.across(mechanism).or_else(|silence| match silence {
        Silence::NotMeasured(_) => facts.get(mechanism, Placement::Unpinned),
        refused @ Silence::NoFigure(..) => Err(refused),
    })
}

/// What the data say of threads beside an event loop.
fn verdict(threads: &BenchmarkView, events: &BenchmarkView) -> String {
    match beside(threads, events) {
        apart @ (Beside::More(..) | Beside::Less(..)) => format!("threads take {}", apart.times()),
        not_apart @ Beside::NotApart(..) => format!("threads and the event loop are {}", not_apart.times()),
    }
}

/// A thread for each connection beside an event loop and async tasks, with what each figure depends on.
pub(super) fn server(facts: &Facts) -> Result<String, Silence> {
    let (threads, events) = (measured(facts, "server/threaded")?, measured(facts, "server/epoll")?);
    let mut sentence = format!(
        "A request costs the server {} of CPU with a thread for each connection and {} in an event loop (epoll): {}",
        told(threads),
        told(events),
        verdict(threads, events)
    );
    if let Ok(tasks) = measured(facts, "server/tokio_current_thread") {
        sentence.push_str(&format!(
            "; async tasks on one thread (tokio) {}, {}",
            told(tasks),
            beside(tasks, events).times()
        ));
    }
    if let Ok(ring) = measured(facts, "server/uring") {
        sentence.push_str(&format!("; io_uring {}, {}", told(ring), beside(ring, events).times()));
    }
    let (in_flight, _) = scalar(events, &MetricKey::RequestsInFlight)?;
    let (at_once, _) = scalar(events, &MetricKey::EventsPerWake)?;
    sentence.push_str(&format!(
        ". On average {} requests were in flight, and a wait of the event loop returned {} of them",
        text::significant(in_flight),
        text::significant(at_once)
    ));
    Ok(sentence + ".")
}

/// A thread that blocks for each request beside an event loop, as clients.
pub(super) fn client(facts: &Facts) -> Result<String, Silence> {
    let (threads, events) = (measured(facts, "client/threads")?, measured(facts, "client/epoll")?);
    let (in_flight, _) = scalar(threads, &MetricKey::RequestsInFlight)?;
    let mut sentence = format!(
        "With {} requests in flight, one costs a client {} of CPU if a thread blocks for each, and {} in an event loop \
         (epoll): {}",
        text::significant(in_flight),
        told(threads),
        told(events),
        verdict(threads, events)
    );
    if let Ok(tasks) = measured(facts, "client/tokio") {
        sentence.push_str(&format!("; async tasks (tokio) {}, {}", told(tasks), beside(tasks, events).times()));
    }
    Ok(sentence + ".")
}
