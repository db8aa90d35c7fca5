//! Servers of a few lines: a thread that accepts, and one for each connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a server does with a connection, until it returns.
pub(super) type Conduct = dyn Fn(TcpStream, &Shared) + Send + Sync;

/// What the threads of a server share.
pub(super) struct Shared {
    pub(super) over: AtomicBool,
    pub(super) accepted: AtomicU64,
    pub(super) served: AtomicU64,
}

pub(super) struct TestServer {
    pub(super) address: SocketAddr,
    pub(super) shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { over: AtomicBool::new(false), accepted: AtomicU64::new(0), served: AtomicU64::new(0) })
}

impl TestServer {
    pub(super) fn start(conduct: impl Fn(TcpStream, &Shared) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, shared) = (listener.local_addr().unwrap(), shared());
        let (conduct, seen): (Arc<Conduct>, _) = (Arc::new(conduct), Arc::clone(&shared));
        let acceptor = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if seen.over.load(Ordering::Relaxed) {
                    break;
                }
                seen.accepted.fetch_add(1, Ordering::Relaxed);
                let (conduct, shared) = (Arc::clone(&conduct), Arc::clone(&seen));
                std::thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    conduct(stream, &shared);
                });
            }
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// One that answers each HTTP request with `response`, after `before` has returned.
    pub(super) fn http(response: &'static [u8], before: impl Fn(&Shared) + Send + Sync + 'static) -> Self {
        Self::start(move |mut stream, shared| {
            let mut buffer = [0; 4096];
            let mut held = Vec::new();
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(count) => held.extend_from_slice(&buffer[..count]),
                }
                while let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
                    held.drain(..end + 4);
                    before(shared);
                    shared.served.fetch_add(1, Ordering::Relaxed);
                    if stream.write_all(response).is_err() {
                        return;
                    }
                }
            }
        })
    }

    /// One that sends back what it gets.
    pub(super) fn echo() -> Self {
        Self::start(|mut stream, _| {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
        })
    }

    pub(super) fn served(&self) -> u64 {
        self.shared.served.load(Ordering::Relaxed)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Sends datagrams back, but for each `lost`th; it ends with a datagram of one byte.
pub(super) fn udp_echo(lost: u64) -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let serve = move || {
        let (mut buffer, mut count) = ([0; 2048], 0);
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
            count += 1;
            if bytes == 1 {
                return;
            }
            if count % lost != 0 {
                socket.send_to(&buffer[..bytes], from).unwrap();
            }
        }
    };
    (address, std::thread::spawn(serve))
}

pub(super) const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
