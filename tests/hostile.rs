//! Every server model beside clients that mean no good: a good client loses nothing, and afterwards the server holds
//! what it held before. Each model is `switchcost serve` in a process of its own, with few descriptors.
#![allow(clippy::unwrap_used)]

mod patience;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use patience::{await_until, timeout};
use switchcost::server::MODELS;
use switchcost::sys::usage::cpu_of_process;

/// How long the servers let a client take.
const SERVER_TIMEOUT: Duration = Duration::from_millis(200);
/// Descriptors of a server.
const DESCRIPTORS: usize = 96;
/// Large enough that several answers fill a socket.
const PAYLOAD: usize = 100_000;

/// A server in a process of its own.
struct Served {
    child: Child,
    address: SocketAddr,
    /// Connections that are made and dropped at a time.
    drops: usize,
}

impl Served {
    fn start(model: &str, options: &[&str], timeout: Duration) -> Option<Self> {
        let serve = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" serve \"$@\"");
        let timeout = format!("{}ms", timeout.as_millis());
        let mut child = Command::new("sh")
            .args(["-c", &serve, env!("CARGO_BIN_EXE_switchcost"), model, "--listen", "127.0.0.1:0"])
            .args(["--timeout", &timeout, "--pool", "8", "--payload", &PAYLOAD.to_string()])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.split("://").nth(1) else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            child.wait().unwrap();
            assert!(said.contains("needs "), "{model}: {said}");
            println!("{model}: not checked: {said}");
            return None;
        };
        let address = address.split(['/', ' ']).next().unwrap().parse().unwrap();
        Some(Self { child, address, drops: 200 })
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(timeout())).unwrap();
        client.set_write_timeout(Some(timeout())).unwrap();
        client
    }

    fn holdings(&self) -> Holdings {
        let count = |what: &str| {
            std::fs::read_dir(format!("/proc/{}/{what}", self.child.id())).map_or(0, |entries| entries.count())
        };
        Holdings { descriptors: count("fd"), threads: count("task"), children: children(self.child.id()) }
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Tells it to end, and waits for that; what it says last.
    fn stop(mut self) -> String {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        let status = await_until(timeout(), || self.child.try_wait().unwrap()).expect("it ends when it is told to");
        let mut said = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // After `stop` it is gone, and neither has anything left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    children: usize,
}

fn children(of: u32) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let parent = |stat: &String| {
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)).is_some_and(|it| it == of.to_string())
    };
    stats.filter(parent).count()
}

/// Reads an answer; whether the connection stays open.
fn answer(client: &mut TcpStream) -> std::io::Result<bool> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut body = vec![0; PAYLOAD];
    client.read_exact(&mut body)?;
    Ok(head.contains("keep-alive"))
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Asks until it is told to stop, and reconnects when an answer says so. An error is a loss.
fn ask_until(server: &Served, over: &AtomicBool, answers: &AtomicU64) -> std::io::Result<()> {
    let mut client = server.connect();
    while !over.load(Ordering::Relaxed) {
        client.write_all(GET)?;
        if !answer(&mut client)? {
            client = server.connect();
        }
        answers.fetch_add(1, Ordering::Relaxed);
        // Well within the time after which a server closes.
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// What a hostile client does, and returns when it is done.
type Attack = fn(&Served);

const ATTACKS: [(&str, Attack); 8] = [
    ("slow loris", slow_loris),
    ("half-closed", half_closed),
    ("reset", reset),
    ("garbage", garbage),
    ("a head of 1 MiB", endless_head),
    ("a body of 1 GiB", endless_body),
    ("connects and drops", connects_and_drops),
    ("does not take its answers", takes_no_answer),
];

/// Reads until the server has closed the connection, which it must do.
fn is_closed(client: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return all,
            Ok(bytes) => all.extend_from_slice(&buffer[..bytes]),
            // A server that closes with input unread resets the connection (RFC 9293, 3.10.4).
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("it is not closed: {error}"),
        }
    }
}

fn slow_loris(server: &Served) {
    let mut clients: Vec<TcpStream> = (0..6).map(|_| server.connect()).collect();
    let began = Instant::now();
    while began.elapsed() < 3 * SERVER_TIMEOUT {
        // One that the server has given up is reset.
        clients.iter_mut().for_each(|client| drop(client.write(b"G")));
        std::thread::sleep(Duration::from_millis(20));
    }
    clients.iter_mut().for_each(|client| drop(is_closed(client)));
}

fn half_closed(server: &Served) {
    for _ in 0..5 {
        let mut client = server.connect();
        client.write_all(GET).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let all = is_closed(&mut client);
        assert!(all.starts_with(b"HTTP/1.1 200") && all.len() > PAYLOAD, "{} bytes", all.len());
    }
}

/// Closes so that the server is sent a reset.
fn hang_up(client: &TcpStream) {
    setsockopt(&client.as_fd(), sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
}

fn reset(server: &Served) {
    for part in [0, 5, GET.len()] {
        for _ in 0..5 {
            let mut client = server.connect();
            client.write_all(&GET[..part]).unwrap();
            hang_up(&client);
        }
    }
}

fn garbage(server: &Served) {
    for seed in 1..=5_u32 {
        let mut client = server.connect();
        let noise: Vec<u8> =
            (0..4096_u32).map(|index| (index.wrapping_mul(2_654_435_761 ^ seed) >> 13) as u8).collect();
        let _ = client.write_all(&noise);
        let _ = client.shutdown(Shutdown::Write);
        assert!(!is_closed(&mut client).starts_with(b"HTTP/1.1 200"));
    }
}

fn endless_head(server: &Served) {
    let mut client = server.connect();
    let _ = client.write_all(b"GET / HTTP/1.1\r\nX: ");
    for _ in 0..1024 {
        if client.write_all(&[b'x'; 1024]).is_err() {
            break;
        }
    }
    assert!(!is_closed(&mut client).starts_with(b"HTTP/1.1 200"));
}

fn endless_body(server: &Served) {
    let mut client = server.connect();
    client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n").unwrap();
    let said = is_closed(&mut client);
    assert!(said.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&said));
}

fn connects_and_drops(server: &Served) {
    for _ in 0..server.drops {
        drop(server.connect());
    }
}

/// A server that writes on meets a full socket, and then one that is reset: SIGPIPE would end it.
fn takes_no_answer(server: &Served) {
    let mut clients: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.write_all(&GET.repeat(200)).unwrap());
    hang_up(&clients[0]);
    drop(clients.remove(0));
    // The others are given up.
    std::thread::sleep(2 * SERVER_TIMEOUT);
}

/// Takes all descriptors that the server has, keeps them for a while, and lets them go.
fn takes_all_descriptors(server: &Served, name: &str) {
    let clients: Vec<TcpStream> = (0..DESCRIPTORS + 50).map(|_| server.connect()).collect();
    let watched = Duration::from_millis(100);
    let before = cpu_of_process(server.pid()).unwrap();
    std::thread::sleep(watched);
    let used = Duration::from_nanos(cpu_of_process(server.pid()).unwrap().0 - before.0);
    assert!(used < watched / 2, "{name}: it used {used:?} of {watched:?} with nothing to do");
    drop(clients);
    // Sooner or later there is one for this.
    let mut client = server.connect();
    client.write_all(GET).unwrap();
    answer(&mut client).unwrap();
}

/// With each attack once, or with all of them again and again for so long.
fn withstands(model: &str, options: &[&str], length: Duration) {
    let name = format!("{model} {}", options.join(" "));
    let Some(mut server) = Served::start(model, options, SERVER_TIMEOUT) else { return };
    if !length.is_zero() {
        server.drops = 2000;
    }
    // What is made once, at first use, is there then.
    let mut client = server.connect();
    client.write_all(GET).unwrap();
    answer(&mut client).unwrap();
    drop(client);
    let before = settled(&server).unwrap_or_else(|| panic!("{name}: it does not settle"));
    let resident = server.resident_kib();

    let (over, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let good = scope.spawn(|| ask_until(&server, &over, &answers));
        let began = Instant::now();
        let in_time = |number: &usize| *number < ATTACKS.len() || began.elapsed() < length;
        for (attack, run) in (0..).take_while(in_time).map(|number| ATTACKS[number % ATTACKS.len()]) {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&server)));
            // Progress beside, or behind, each of them.
            let so_far = answers.load(Ordering::Relaxed);
            let goes_on = await_until(timeout(), || (answers.load(Ordering::Relaxed) > so_far).then_some(()));
            if outcome.is_err() || goes_on.is_none() {
                over.store(true, Ordering::Relaxed);
                panic!(
                    "{name}: {attack}: {}",
                    if goes_on.is_none() { "the good client stands still" } else { "it fails" }
                );
            }
        }
        over.store(true, Ordering::Relaxed);
        good.join().unwrap().unwrap_or_else(|error| panic!("{name}: the good client has lost an answer: {error}"));
    });
    takes_all_descriptors(&server, &name);

    let mut after = server.holdings();
    let as_before = await_until(timeout(), || {
        after = server.holdings();
        (after == before).then_some(())
    });
    assert!(as_before.is_some(), "{name}: it held {before:?} before, and holds {after:?} now");
    let grown = server.resident_kib().saturating_sub(resident);
    assert!(grown < 32 * 1024, "{name}: {grown} KiB more than before");
    let process = server.child.id();
    let said = server.stop();
    assert!(said.contains("stopped: answered "), "{name}: {said}");
    assert_eq!(children(process), 0, "{name}: children that outlive it");
}

/// What it holds when nothing has changed for a while.
fn settled(server: &Served) -> Option<Holdings> {
    // Longer than the timeout after which a process for each connection is waited for.
    const WHILE: u32 = 30;
    let (mut last, mut unchanged) = (server.holdings(), 0);
    await_until(timeout(), || {
        let before = std::mem::replace(&mut last, server.holdings());
        unchanged = if before == last { unchanged + 1 } else { 0 };
        (unchanged >= WHILE).then_some(last)
    })
}

/// Every model, and what of its settings changes how it waits.
fn variants() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut variants: Vec<_> = MODELS.iter().map(|model| (model.name(), Vec::new())).collect();
    variants.push(("epoll", vec!["--trigger", "edge", "--workers", "2"]));
    variants.push(("epoll", vec!["--trigger", "one-shot"]));
    variants.push(("uring", vec!["--accept", "single", "--receive", "single", "--buffers", "1"]));
    variants
}

/// Runs `check` for each variant, some at a time, since they mostly wait.
fn each(check: impl Fn(&str, &[&str]) + Sync) {
    let (variants, next) = (variants(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((model, options)) = variants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(model, options);
                }
            });
        }
    });
}

#[test]
fn a_good_client_loses_nothing_beside_hostile_ones_and_the_server_holds_what_it_held() {
    each(|model, options| withstands(model, options, Duration::ZERO));
}

#[test]
#[ignore = "the same for thirty seconds with each server, two minutes in all"]
fn a_good_client_loses_nothing_in_thirty_seconds_of_hostile_ones() {
    each(|model, options| withstands(model, options, Duration::from_secs(30)));
}

/// One client that sends as fast as it can, and another that asks in between: what each is served is printed.
#[test]
fn one_client_that_floods_does_not_starve_another() {
    const ROUND_TRIPS: u64 = 100;
    each(|model, options| {
        // One connection at a time, for good.
        if model == "iterative" {
            return;
        }
        let few_buffers = if model.starts_with("uring") { &["--buffers", "4"][..] } else { &[] };
        let few_buffers = if options.contains(&"--buffers") { &[] } else { few_buffers };
        let options = [options, &["--protocol", "tcp-echo"], few_buffers].concat();
        // One that waits for the other is not given up.
        let Some(server) = Served::start(model, &options, timeout()) else { return };
        let (over, flooded) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let mut writer = server.connect();
            let mut reader = writer.try_clone().unwrap();
            let (over, flooded) = (&over, &flooded);
            scope.spawn(move || {
                let piece = vec![b'f'; 16 * 1024];
                while !over.load(Ordering::Relaxed) && writer.write_all(&piece).is_ok() {}
                let _ = writer.shutdown(Shutdown::Write);
            });
            scope.spawn(move || {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(bytes @ 1..) = reader.read(&mut buffer) {
                    flooded.fetch_add(bytes as u64, Ordering::Relaxed);
                }
            });
            let mut good = server.connect();
            let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for _ in 0..ROUND_TRIPS {
                    good.write_all(b"ping").unwrap();
                    let mut back = [0; 4];
                    good.read_exact(&mut back).unwrap();
                    assert_eq!(&back, b"ping");
                }
            }));
            over.store(true, Ordering::Relaxed);
            assert!(asked.is_ok(), "{model} {options:?}: it starves");
        });
        let pieces = flooded.load(Ordering::Relaxed) / 4096;
        println!("{model} {options:?}: {pieces} pieces of 4 KiB of the flood to {ROUND_TRIPS} requests");
        server.stop();
    });
}
