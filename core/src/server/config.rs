//! What a server is asked to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Nanos;

/// Declares words, each once, with the text that stands for it on command lines and in records.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])+ $word:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$meaning])+ $word,)+
        }

        impl $name {
            /// All of them, in the order in which they are listed.
            pub const ALL: &[Self] = &[$(Self::$word),+];

            /// All their names, in the same order.
            pub const NAMES: &[&'static str] = &[$($text),+];

            /// Its name on command lines.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)+
                }
            }

            /// The one that is called `name`.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.name() == name)
            }
        }
    };
}

words! {
    /// What is spoken on a connection.
    Protocol {
        /// HTTP/1.1 with keep-alive.
        #[default]
        Http = "http",
        /// HTTP/1.1 with a connection for each request.
        HttpClose = "http-close",
        /// Each piece of bytes that is received is sent back, over TCP.
        TcpEcho = "tcp-echo",
        /// Each datagram is sent back.
        UdpEcho = "udp-echo",
    }
}

words! {
    /// How a static file gets from its file into a socket.
    FileWay {
        /// Read by the thread that serves the connection, which waits for the disk meanwhile.
        #[default]
        Inline = "inline",
        /// Read by threads that do nothing else.
        Pool = "pool",
        /// Sent by the kernel without passing through user mode: sendfile(2).
        Sendfile = "sendfile",
        /// Read by io_uring.
        Uring = "uring",
    }
}

words! {
    /// When epoll reports a descriptor.
    Trigger {
        /// As long as it is ready.
        #[default]
        Level = "level",
        /// When it becomes ready.
        Edge = "edge",
        /// Once, until it is armed again.
        OneShot = "one-shot",
    }
}

words! {
    /// How many completions a request to io_uring brings.
    Shots {
        /// As many as there are events, until it ends.
        #[default]
        Multi = "multi",
        /// One.
        Single = "single",
    }
}

impl Protocol {
    /// Whether it is HTTP.
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::HttpClose)
    }

    /// Whether it has no connections.
    pub const fn is_datagrams(self) -> bool {
        matches!(self, Self::UdpEcho)
    }
}

/// What a server is asked to do. [`ServerConfig::new`] holds the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerConfig {
    /// Where it listens; port 0 lets the kernel choose one.
    pub address: SocketAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// Connections that may wait to be accepted; `None` is the most that the kernel allows.
    pub backlog: Option<u32>,
    /// Processes of `preforked`, threads of `prethreaded`, and threads that read files; at least 1.
    pub pool: usize,
    /// Event loops, rings, or worker threads of a runtime; 0 is one for each CPU that the server may use, `None` as
    /// many as the model has by itself.
    pub workers: Option<usize>,
    /// How long a request waits before it is answered, as for another service.
    pub delay: Nanos,
    /// What a request costs of a CPU before it is answered.
    pub work: Nanos,
    /// Bytes of an answer's body, in HTTP.
    pub payload: usize,
    /// The static file, which HTTP serves as `/file`.
    pub file: Option<PathBuf>,
    /// How that is read.
    pub file_way: FileWay,
    /// How long a client may take to send a whole request, or to receive a piece of an answer.
    pub timeout: Duration,
    /// When epoll reports a descriptor.
    pub trigger: Trigger,
    /// How io_uring accepts.
    pub accept: Shots,
    /// How io_uring receives.
    pub receive: Shots,
    /// Buffers that a ring is provided with for receiving, of 4 KiB each; a power of two.
    pub buffers: u16,
}

impl ServerConfig {
    /// A server at `address` with everything else by default.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            protocol: Protocol::default(),
            backlog: None,
            pool: 128,
            workers: None,
            delay: Nanos(0),
            work: Nanos(0),
            payload: 64,
            file: None,
            file_way: FileWay::default(),
            timeout: Duration::from_secs(10),
            trigger: Trigger::default(),
            accept: Shots::default(),
            receive: Shots::default(),
            buffers: 256,
        }
    }
}
