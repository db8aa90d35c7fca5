//! Every engine with every protocol and driver, against servers that do as they should.

use std::net::UdpSocket;
use std::time::Duration;

use super::server::{HELLO, TestServer, udp_echo};
use super::*;

/// Runs a plan with each engine that this machine has.
fn with_each_engine(look: impl Fn(&'static dyn LoadEngine)) {
    for engine in ENGINES {
        match engine.supports() {
            Ok(()) => look(*engine),
            Err(reason) => println!("not checked: {}: {reason}", engine.name()),
        }
    }
}

#[test]
fn a_closed_loop_asks_as_often_as_it_is_told() {
    with_each_engine(|engine| {
        let server = TestServer::http(HELLO, |_| {});
        let outcome = run(LoadPlan { engine, requests: Some(300), ..plan_for(server.address) });
        let name = engine.name();
        assert_eq!((outcome.counts.answered, server.served()), (300, 300), "{name}: {:?}", outcome.told);
        assert_eq!((outcome.counts.failures(), outcome.ended), (0, LoadEnd::Requests), "{name}");
        assert_eq!((outcome.response.count(), outcome.lateness.count()), (300, 0), "{name}");
        assert!(outcome.in_flight > 0.0 && outcome.in_flight <= 8.01, "{name}: {}", outcome.in_flight);
        assert!(outcome.client.cpu.0 > 0 && outcome.client.received >= 300 * 30, "{name}: {:?}", outcome.client);
    });
}

#[test]
fn fewer_are_outstanding_than_there_are_connections() {
    with_each_engine(|engine| {
        let server = TestServer::http(HELLO, |_| {});
        let driver = LoadDriver::Closed { outstanding: 2, ramp: Duration::from_millis(1) };
        let outcome =
            run(LoadPlan { engine, driver, requests: Some(100), idle_connections: 3, ..plan_for(server.address) });
        assert_eq!(outcome.counts.answered, 100, "{}: {:?}", engine.name(), outcome.told);
        assert!(outcome.in_flight <= 2.01, "{}: {}", engine.name(), outcome.in_flight);
        assert_eq!(server.shared.accepted.load(std::sync::atomic::Ordering::Relaxed), 11, "{}", engine.name());
    });
}

#[test]
fn an_open_loop_sends_what_its_schedule_says() {
    with_each_engine(|engine| {
        let server = TestServer::http(HELLO, |_| {});
        let outcome = run(LoadPlan { engine, driver: open(400.0), ..plan_for(server.address) });
        let (name, counts) = (engine.name(), &outcome.counts);
        assert_eq!((counts.intended, counts.answered, counts.unsent), (200, 200, 0), "{name}: {:?}", outcome.told);
        assert_eq!((outcome.lateness.count(), server.served()), (200, 200), "{name}");
        // A response counts from before its request is sent.
        assert!(outcome.response.mean() >= outcome.service.mean(), "{name}");
        assert!(outcome.sending.0.abs_diff(500_000_000) < 60_000_000, "{name}: {:?}", outcome.sending);
    });
}

#[test]
fn a_warm_up_is_asked_and_not_counted() {
    with_each_engine(|engine| {
        let server = TestServer::http(HELLO, |_| {});
        let warm_up = Duration::from_millis(200);
        let outcome = run(LoadPlan { engine, driver: open(200.0), warm_up, ..plan_for(server.address) });
        assert_eq!((outcome.counts.answered, server.served()), (60, 100), "{}", engine.name());
    });
}

#[test]
fn a_connection_per_request_is_opened_for_each() {
    with_each_engine(|engine| {
        let server = TestServer::start(|mut stream, shared| {
            use std::io::{Read, Write};
            let _ = stream.read(&mut [0; 4096]);
            shared.served.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil it is closed");
        });
        let request = HttpRequest { keep_alive: false, ..HttpRequest::get("localhost", "/") };
        let protocol = LoadProtocol::Http(request);
        let outcome = run(LoadPlan { engine, protocol, requests: Some(100), ..plan_for(server.address) });
        let counts = &outcome.counts;
        assert_eq!((counts.answered, counts.failures()), (100, 0), "{}: {:?}", engine.name(), outcome.told);
        assert_eq!((outcome.client.connects, server.served()), (100, 100), "{}", engine.name());
    });
}

#[test]
fn bytes_come_back_over_tcp_and_datagrams_over_udp() {
    with_each_engine(|engine| {
        let server = TestServer::echo();
        let protocol = LoadProtocol::TcpEcho { payload: 100_000 };
        let outcome = run(LoadPlan { engine, protocol, requests: Some(50), ..plan_for(server.address) });
        assert_eq!(outcome.counts.answered, 50, "{}: {:?}", engine.name(), outcome.told);
        let (address, echo) = udp_echo(u64::MAX);
        let protocol = LoadProtocol::UdpEcho { payload: 100 };
        let outcome = run(LoadPlan { engine, protocol, requests: Some(200), ..plan_for(address) });
        assert_eq!(outcome.counts.answered, 200, "{}: {:?}", engine.name(), outcome.told);
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[0], address).unwrap();
        echo.join().unwrap();
    });
}

#[test]
fn a_lost_datagram_times_out_and_the_next_request_is_asked() {
    with_each_engine(|engine| {
        let (address, echo) = udp_echo(10);
        let (protocol, timeout) = (LoadProtocol::UdpEcho { payload: 8 }, Duration::from_millis(50));
        let outcome = run(LoadPlan { engine, protocol, timeout, requests: Some(100), ..plan_for(address) });
        let lost = outcome.counts.failed.get(&LoadFailure::TimedOut).copied();
        assert_eq!((outcome.counts.answered, lost), (90, Some(10)), "{}: {:?}", engine.name(), outcome.told);
        assert_eq!(outcome.counts.censored, 10);
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[0], address).unwrap();
        echo.join().unwrap();
    });
}

#[test]
fn what_a_server_sheds_and_refuses_is_counted_apart() {
    with_each_engine(|engine| {
        let server = TestServer::http(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", |_| {});
        let outcome = run(LoadPlan { engine, requests: Some(40), ..plan_for(server.address) });
        assert_eq!((outcome.counts.shed, outcome.counts.failures()), (40, 0), "{}", engine.name());
        let server = TestServer::http(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", |_| {});
        let outcome = run(LoadPlan { engine, requests: Some(40), ..plan_for(server.address) });
        assert_eq!(outcome.counts.failed.get(&LoadFailure::Status), Some(&40), "{}", engine.name());
        assert!(outcome.told[0].contains("status 500"), "{:?}", outcome.told);
    });
}

#[test]
fn a_run_that_is_begun_again_gives_its_figures_once() {
    let server = TestServer::http(HELLO, |_| ());
    for engine in ENGINES.iter().filter(|engine| engine.supports().is_ok() && engine.name() != "threads") {
        let name = engine.name();
        let driver = LoadDriver::Open(ArrivalPattern::Poisson { rate: 5000.0 });
        let plan = LoadPlan { engine: *engine, driver, duration: LONGEST_RUN, ..plan_for(server.address) };
        let plan = plan.checked().unwrap();
        let run = std::sync::Arc::new(LoadRun::new(&plan));
        let mut workers = engine.workers(&plan);
        let worker = &mut *workers[0];
        worker.connect().unwrap();
        for requests in [50, 20] {
            run.again(requests);
            run.begin(crate::sys::timer::monotonic());
            run.work(worker).unwrap();
            let figures = run.take_figures();
            assert_eq!((figures.counts.answered, figures.counts.failures()), (requests, 0), "{name}");
            let counts = [&figures.response, &figures.service, &figures.lateness].map(ValueHistogram::count);
            assert_eq!(counts, [requests; 3], "{name}");
            assert!(figures.client.cpu.0 > 0 && figures.outstanding.0 > 0, "{name}: {figures:?}");
            assert_eq!(figures.client.connects, 0, "{name}: connections are kept");
        }
    }
}
