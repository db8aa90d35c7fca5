//! The models, each in a file.

pub(super) mod compio;
pub(super) mod epoll;
pub(super) mod forking;
pub(super) mod iterative;
pub(super) mod may;
pub(super) mod mio;
pub(super) mod poll;
pub(super) mod preforked;
pub(super) mod prethreaded;
pub(super) mod select;
pub(super) mod smol;
pub(super) mod threaded;
pub(super) mod tokio_current_thread;
pub(super) mod tokio_multi_thread;
pub(super) mod uring;
pub(super) mod uring_per_thread;

use super::{FileWay, Protocol};

/// What models speak that make a thread or a process for each connection: datagrams have none.
const OVER_TCP: &[Protocol] = &[Protocol::Http, Protocol::HttpClose, Protocol::TcpEcho];

/// How a thread that waits in its calls gets at a file.
const BLOCKING_FILES: &[FileWay] = &[FileWay::Inline, FileWay::Sendfile];

/// How an event loop over readiness gets at a file.
const EVENT_LOOP_FILES: &[FileWay] = &[FileWay::Inline, FileWay::Pool, FileWay::Sendfile];

/// How a ring gets at a file.
const RING_FILES: &[FileWay] = &[FileWay::Inline, FileWay::Uring];

/// How a runtime over readiness gets at a file: on the thread that serves, or on threads for what waits.
const RUNTIME_FILES: &[FileWay] = &[FileWay::Inline, FileWay::Pool];
