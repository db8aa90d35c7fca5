//! `switchcost load` as a user runs it.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use assert_cmd::Command;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A server that answers each HTTP request; its threads end with the test.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(1..) = stream.read(&mut buffer) {
                    if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn load(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::cargo_bin("switchcost").unwrap();
    let output = command.arg("load").args(arguments).timeout(Duration::from_secs(120)).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_table_a_file_of_json_and_a_log_of_histograms_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (json, hdr) = (folder.path().join("out.json"), folder.path().join("out.hlog"));
    let (json_path, hdr_path) = (json.to_str().unwrap(), hdr.to_str().unwrap());
    let url = format!("http://{}/", server());
    let arguments = ["-c", "4", "-d", "1500ms", "-R", "200", "--json", json_path, "--hdr", hdr_path, &url];
    let (_, table, told) = load(&arguments);
    assert!(table.contains("response, from due") && table.contains("300 intended, 300 answered"), "{table}{told}");
    let read: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(read["outcome"]["counts"]["answered"], 300);
    assert_eq!(read["outcome"]["response"]["count"], 300);
    let log = std::fs::read_to_string(hdr).unwrap();
    assert!(log.lines().filter(|line| line.starts_with("Tag=response,")).count() >= 1, "{log}");
    // The compressed V2 encoding, in base64.
    assert!(log.lines().filter(|line| line.starts_with("Tag=")).all(|line| line.contains(",HIST")), "{log}");
}

#[test]
fn json_on_standard_output_is_nothing_but_json() {
    let url = format!("http://{}/", server());
    let (_, out, _) = load(&["-c", "2", "-n", "50", "--json", "-", &url]);
    let read: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&read["outcome"]["counts"]["answered"], &read["arrivals"]), (&50.into(), &"closed".into()));
}

#[test]
fn a_file_of_times_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let times = folder.path().join("times");
    std::fs::write(&times, "# seconds\n0.05\n0.05\n0.3\n").unwrap();
    let url = format!("http://{}/", server());
    let (_, out, told) = load(&["-c", "2", "--times", times.to_str().unwrap(), "--json", "-", &url]);
    let read: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{told}"));
    assert_eq!(read["outcome"]["counts"]["intended"], 3);
}

#[test]
fn a_wrong_command_line_is_told_in_one_line() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let free = format!("http://{free}/");
    for (arguments, status, told) in [
        (&["-R", "0", "http://127.0.0.1:1/"][..], 2, "a rate of 0"),
        (&["http://no.such.host.invalid:1/"], 2, "does not resolve"),
        (&["127.0.0.1:1"], 2, "has no scheme"),
        (&["https://127.0.0.1:1/"], 2, "TLS"),
        (&["ftp://127.0.0.1:1/"], 2, "none of http, tcp and udp"),
        (&["tcp://127.0.0.1"], 2, "does not resolve"),
        (&["-e", "pigeon", "http://127.0.0.1:1/"], 2, "there are threads, epoll, uring, tokio"),
        (&["--arrivals", "often", "-R", "1", "http://127.0.0.1:1/"], 2, "uniform, poisson, or bursts"),
        (&["--arrivals", "poisson", "http://127.0.0.1:1/"], 2, "needs a --rate"),
        (&["-H", "no colon", "http://127.0.0.1:1/"], 2, "is no header"),
        (&["-c", "4", "--outstanding", "5", "http://127.0.0.1:1/"], 2, "do not fit 4 connections"),
        (&["--target-cpu", "60%", "http://127.0.0.1:1/"], 2, "--server-pid"),
        (&["--target-cpu", "60%", "--server-pid", "999999999", "http://127.0.0.1:1/"], 2, "the server's CPU time"),
        (&["--json", "/no/such/folder/x", "http://127.0.0.1:1/"], 2, "/no/such/folder/x"),
        (&["-d", "1s", free.as_str()], 1, "ECONNREFUSED"),
    ] {
        let (seen, out, error) = load(arguments);
        assert_eq!((seen, out.as_str()), (Some(status), ""), "{arguments:?}: {error}");
        assert!(error.contains(told) && error.lines().count() == 1, "{arguments:?}: {error}");
    }
}

#[test]
fn a_search_finds_the_rate_at_which_a_server_is_as_slow_as_was_asked() {
    // It answers at once up to what one connection carries, and beyond that not in time.
    let url = format!("http://{}/", server());
    let arguments = ["-c", "1", "--target-p99", "200ms", "--probe", "300ms", "--json", "-", &url];
    let (_, out, told) = load(&arguments);
    let read: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{told}"));
    let probes = read["search"]["probes"].as_array().unwrap();
    assert!((2..=12).contains(&probes.len()), "{probes:?}");
    let rates: Vec<f64> = probes.iter().map(|probe| probe["rate"].as_f64().unwrap()).collect();
    assert!(rates[1] != rates[0], "{rates:?}");
}

/// A server in a process of its own, which this test stops by SIGSTOP.
struct StoppedServer(std::process::Child, SocketAddr);

impl StoppedServer {
    fn start() -> Self {
        // This test program again, as a server.
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serves_in_a_process_of_its_own", "--ignored", "--nocapture"])
            .env("SWITCHCOST_TEST_SERVER", "1")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut out, &mut line).unwrap() > 0, "the server told no address");
            if let Some((_, address)) = line.trim().split_once("listens on ") {
                break address.parse().unwrap();
            }
        };
        Self(child, address)
    }

    /// Stands still for each of these stretches, in milliseconds from now: from when, and for how long.
    fn stand_still(&self, stretches: &[(u64, u64)]) -> f64 {
        let (start, pid) = (std::time::Instant::now(), Pid::from_raw(self.0.id() as i32));
        let until = |at: u64| std::thread::sleep(Duration::from_millis(at).saturating_sub(start.elapsed()));
        let mut stood = 0.0;
        for (at, length) in stretches {
            until(*at);
            let from = std::time::Instant::now();
            kill(pid, Signal::SIGSTOP).unwrap();
            until(at + length);
            kill(pid, Signal::SIGCONT).unwrap();
            stood += from.elapsed().as_secs_f64();
        }
        stood
    }
}

impl Drop for StoppedServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "the server of the tests below"]
fn serves_in_a_process_of_its_own() {
    if std::env::var_os("SWITCHCOST_TEST_SERVER").is_some() {
        println!("listens on {}", server());
        std::thread::sleep(Duration::from_secs(120));
    }
}

/// The p99 of 10 s at 1,000 requests/s in which the server stood still: in seconds, seen and expected.
fn stopped(stretches: &'static [(u64, u64)]) -> (f64, f64) {
    let server = StoppedServer::start();
    let url = format!("http://{}/", server.1);
    let arguments = ["-c", "64", "-R", "1000", "-d", "10s", "--json", "-", &url];
    let (stood, out) = std::thread::scope(|scope| {
        let standing = scope.spawn(|| server.stand_still(stretches));
        let (_, out, _) = load(&arguments);
        (standing.join().unwrap(), out)
    });
    let read: serde_json::Value = serde_json::from_str(&out).unwrap();
    let count = stretches.len() as f64;
    // 100 of 10,000 requests are longer, each stretch having its part of them at its beginning, one a millisecond.
    let expected = stood / count - 0.1 / count;
    (read["outcome"]["response"]["p99"].as_f64().unwrap() / 1e9, expected)
}

#[test]
#[ignore = "takes ten seconds and a machine that is otherwise idle"]
fn a_server_stopped_for_two_seconds_of_ten_has_the_p99_of_the_schedule() {
    let (seen, expected) = stopped(&[(3000, 2000)]);
    assert!((seen - expected).abs() <= 0.01 * expected, "{seen} s, expected {expected} s");
}

#[test]
#[ignore = "takes ten seconds and a machine that is otherwise idle"]
fn a_server_stopped_twenty_times_has_the_p99_of_the_schedule() {
    const STRETCHES: &[(u64, u64)] = &[
        (300, 100),
        (750, 100),
        (1200, 100),
        (1650, 100),
        (2100, 100),
        (2550, 100),
        (3000, 100),
        (3450, 100),
        (3900, 100),
        (4350, 100),
        (4800, 100),
        (5250, 100),
        (5700, 100),
        (6150, 100),
        (6600, 100),
        (7050, 100),
        (7500, 100),
        (7950, 100),
        (8400, 100),
        (8850, 100),
    ];
    let (seen, expected) = stopped(STRETCHES);
    assert!((seen - expected).abs() <= 0.01 * expected, "{seen} s, expected {expected} s");
}
