//! Every model, with the same clients.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::*;

/// Longer than anything here takes on a busy machine; it ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

fn config() -> ServerConfig {
    ServerConfig { pool: 4, ..ServerConfig::new(([127, 0, 0, 1], 0).into()) }
}

/// Each model with each of its own settings, as far as the model and the machine have them.
fn variants() -> Vec<(&'static dyn ServerModel, ServerConfig)> {
    let mut variants = Vec::new();
    for &model in MODELS {
        variants.push((model, config()));
        if model.name() == "epoll" {
            for &trigger in &Trigger::ALL[1..] {
                variants.push((model, ServerConfig { trigger, ..config() }));
            }
            variants.push((model, ServerConfig { workers: Some(2), ..config() }));
        }
        if model.name() == "uring" {
            variants.push((model, ServerConfig { accept: Shots::Single, receive: Shots::Single, ..config() }));
        }
    }
    variants
}

/// Starts a server, unless this machine lacks what it needs.
fn start(model: &'static dyn ServerModel, config: ServerConfig) -> Option<Server> {
    match Server::start(model, config) {
        Ok(server) => Some(server),
        Err(ServerError::Unsupported(reason)) => {
            println!("{}: not checked: {reason}", model.name());
            None
        }
        Err(error) => panic!("{}: {error}", model.name()),
    }
}

fn each(change: impl Fn(&mut ServerConfig), check: impl Fn(&Server, &str)) {
    for (model, mut config) in variants() {
        change(&mut config);
        if !model.protocols().contains(&config.protocol)
            || (config.file.is_some() && !model.file_ways().contains(&config.file_way))
        {
            continue;
        }
        let name = format!("{} {:?} {:?} {:?}", model.name(), config.trigger, config.workers, config.receive);
        let Some(server) = start(model, config) else { continue };
        check(&server, &name);
        server.stop().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn connect(server: &Server) -> TcpStream {
    let client = TcpStream::connect(server.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Reads an answer of HTTP: its head and its body.
fn answer(client: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split("Content-Length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    client.read_exact(&mut body).unwrap();
    (head, body)
}

fn get(client: &mut TcpStream, path: &str) -> (String, Vec<u8>) {
    // At once: of two pieces the second would wait for the first one's acknowledgement.
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    answer(client)
}

#[test]
fn every_model_has_a_name_of_its_own() {
    for model in MODELS {
        assert_eq!(find_model(model.name()).unwrap().about(), model.about());
        let file = format!("{}/src/server/model/{}.rs", env!("CARGO_MANIFEST_DIR"), model.name());
        assert!(std::path::Path::new(&file).exists(), "{file}");
    }
}

#[test]
fn every_model_answers_requests_on_several_connections() {
    each(
        |_| {},
        |server, name| {
            let mut clients: Vec<TcpStream> = (0..3).map(|_| connect(server)).collect();
            for round in 0..5 {
                for client in &mut clients {
                    if name.starts_with("iterative") && round > 0 {
                        *client = connect(server);
                    }
                    let (head, body) = get(client, "/");
                    assert!(head.starts_with("HTTP/1.1 200 OK"), "{name}: {head}");
                    assert_eq!(body.len(), 64, "{name}");
                }
            }
            assert_eq!(server.activity().answered, 15, "{name}");
        },
    );
}

#[test]
fn a_connection_for_each_request_is_closed_behind_its_answer() {
    each(
        |config| config.protocol = Protocol::HttpClose,
        |server, name| {
            for _ in 0..3 {
                let mut client = connect(server);
                let (head, _) = get(&mut client, "/");
                assert!(head.contains("Connection: close"), "{name}: {head}");
                assert_eq!(client.read(&mut [0]).unwrap(), 0, "{name}");
            }
        },
    );
}

#[test]
fn large_echoes_come_back_whole_and_half_closed_clients_get_all_of_theirs() {
    const LENGTH: usize = 3_000_000;
    each(
        |config| config.protocol = Protocol::TcpEcho,
        |server, name| {
            let mut client = connect(server);
            let mut reader = client.try_clone().unwrap();
            let sent: Vec<u8> = (0..LENGTH).map(|index| (index % 251) as u8).collect();
            let reading = std::thread::spawn(move || {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).map(|_| all)
            });
            client.write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let got = reading.join().unwrap().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(got == sent, "{name}: {} of {LENGTH} bytes came back as they were", got.len());
        },
    );
}

/// A wait that has a timeout may end early (`EINTR`): by a signal, and where the thread has closed a ring of io_uring,
/// whose end is work for it that interrupts it like one.
fn datagram(client: &UdpSocket, buffer: &mut [u8]) -> std::io::Result<(usize, std::net::SocketAddr)> {
    loop {
        match client.recv_from(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[test]
fn datagrams_come_back() {
    each(
        |config| config.protocol = Protocol::UdpEcho,
        |server, name| {
            // Several from each client before any is answered; the longest that there is, beside short ones.
            let longest: Vec<u8> = (0..65_507_u32).map(|index| (index % 253) as u8).collect();
            let texts = [&b"one"[..], b"three", &longest, b"four"];
            let clients: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
            for client in &clients {
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                // There is nothing to send back of an empty one.
                client.send_to(b"", server.address()).unwrap();
                for text in texts {
                    client.send_to(text, server.address()).unwrap();
                }
            }
            let mut buffer = vec![0; 65_536];
            for client in &clients {
                let mut came: Vec<Vec<u8>> = texts
                    .map(|_| {
                        let (bytes, from) =
                            datagram(client, &mut buffer).unwrap_or_else(|error| panic!("{name}: {error}"));
                        assert_eq!(from, server.address(), "{name}");
                        buffer[..bytes].to_vec()
                    })
                    .into();
                // Workers of a pool answer beside each other.
                came.sort();
                let mut sent: Vec<Vec<u8>> = texts.map(<[u8]>::to_vec).into();
                sent.sort();
                assert!(came == sent, "{name}: {:?}", came.iter().map(Vec::len).collect::<Vec<_>>());
            }
            // A set that reports once has to be told to report again.
            for client in &clients {
                client.send_to(b"again", server.address()).unwrap();
                let (bytes, _) = datagram(client, &mut buffer).unwrap_or_else(|error| panic!("{name}: again: {error}"));
                assert_eq!(&buffer[..bytes], b"again", "{name}");
            }
            let counts = server.activity();
            assert_eq!((counts.answered, counts.accepted, counts.closed), (15, 0, 0), "{name}");
        },
    );
}

/// A server that is told to stop still answers the datagrams that wait for their delay.
#[test]
fn delays_of_datagrams_pass_side_by_side_and_a_server_ends_behind_them() {
    const DELAY: Duration = Duration::from_millis(100);
    for (model, mut config) in variants() {
        (config.protocol, config.delay) = (Protocol::UdpEcho, Nanos(DELAY.as_nanos() as u64));
        if !model.protocols().contains(&config.protocol) || model.name() == "iterative" {
            continue;
        }
        let name = format!("{} {:?} {:?} {:?}", model.name(), config.trigger, config.workers, config.receive);
        let Some(server) = start(model, config) else { continue };
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let began = Instant::now();
        for number in 0..4 {
            client.send_to(&[number], server.address()).unwrap();
        }
        let mut came: Vec<u8> = (0..4)
            .map(|_| {
                let mut buffer = [9; 4];
                let came = datagram(&client, &mut buffer).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(came, (1, server.address()), "{name}");
                buffer[0]
            })
            .collect();
        came.sort_unstable();
        let took = began.elapsed();
        assert_eq!(came, [0, 1, 2, 3], "{name}");
        assert!(took >= DELAY, "{name}: {took:?}");
        if took >= 4 * DELAY {
            println!("{name}: not checked: {took:?} for four, beside neighbours or after each other");
        }
        server.stop().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn a_file_is_served_in_every_way_that_a_model_has() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let contents: Vec<u8> = (0..1_000_000_u32).map(|index| (index % 241) as u8).collect();
    file.write_all(&contents).unwrap();
    for &way in FileWay::ALL {
        each(
            |config| (config.file, config.file_way) = (Some(file.path().into()), way),
            |server, name| {
                let mut client = connect(server);
                let (_, body) = get(&mut client, "/file");
                assert!(body == contents, "{name} {}: {} bytes", way.name(), body.len());
                // It goes on after it.
                if !name.starts_with("iterative") {
                    assert_eq!(get(&mut client, "/").1.len(), 64, "{name}");
                    assert!(get(&mut client, "/other").0.contains("200"), "{name}");
                }
            },
        );
    }
}

/// One client's delay is not in another's way, but where a model serves one connection at a time.
#[test]
fn delays_pass_side_by_side() {
    const DELAY: Duration = Duration::from_millis(100);
    each(
        |config| config.delay = Nanos(DELAY.as_nanos() as u64),
        |server, name| {
            let in_turn = name.starts_with("iterative");
            let mut took = Duration::MAX;
            // A neighbour that takes the CPU delays all four; the best of some tries is the server's own.
            for _ in 0..5 {
                let began = Instant::now();
                let mut clients: Vec<TcpStream> = (0..4).map(|_| connect(server)).collect();
                for client in &mut clients {
                    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
                }
                clients.iter_mut().for_each(|client| drop(answer(client)));
                took = took.min(began.elapsed());
                assert!(took >= DELAY, "{name}: {took:?}");
                if in_turn || took < 4 * DELAY {
                    break;
                }
            }
            assert_eq!(took >= 4 * DELAY, in_turn, "{name}: {took:?} for four");
        },
    );
}

#[test]
fn a_request_in_hand_is_answered_before_the_server_ends() {
    for (model, mut config) in variants() {
        config.delay = Nanos(150_000_000);
        let Some(server) = start(model, config) else { continue };
        let name = model.name();
        let mut idle = (name != "iterative").then(|| connect(&server));
        let mut client = connect(&server);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        // It has been accepted, and waits for its delay.
        let deadline = Instant::now() + PATIENCE;
        while server.activity().accepted < 1 + u64::from(idle.is_some()) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        server.stop().unwrap();
        assert!(answer(&mut client).0.starts_with("HTTP/1.1 200"), "{name}");
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "{name}: it is closed");
        if let Some(idle) = &mut idle {
            assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0, "{name}: one without a request is closed");
        }
    }
}

#[test]
fn what_a_model_does_not_do_is_told_with_those_that_do() {
    let refused = |name: &str, change: &dyn Fn(&mut ServerConfig)| {
        let mut config = config();
        change(&mut config);
        Server::start(find_model(name).unwrap(), config).unwrap_err().to_string()
    };
    let told = refused("threaded", &|config| config.protocol = Protocol::UdpEcho);
    assert!(
        told.starts_with("threaded does not do udp-echo; it does http, http-close, tcp-echo, and iterative, preforked"),
        "{told}"
    );
    let told = refused("threaded", &|config| {
        (config.file, config.file_way) = (Some("/dev/null".into()), FileWay::Uring);
    });
    assert!(told.starts_with("threaded does not do uring; it does inline, sendfile, and "), "{told}");
    let told = refused("epoll", &|config| config.file = Some("/nonexistent".into()));
    assert!(told.starts_with("/nonexistent: No such file"), "{told}");
    let told = refused("epoll", &|config| config.file = Some("/".into()));
    assert_eq!(told, "/: no regular file");
}

#[test]
fn a_port_that_is_taken_is_an_error_even_for_sockets_that_share_theirs() {
    let first = start(find_model("epoll").unwrap(), config()).unwrap();
    for workers in [1, 2] {
        let config = ServerConfig { address: first.address(), workers: Some(workers), ..config() };
        let told = Server::start(find_model("epoll").unwrap(), config).unwrap_err().to_string();
        assert!(told.contains("EADDRINUSE"), "{told}");
    }
}
