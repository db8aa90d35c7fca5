//! Telling a server to stop, whatever its threads and processes wait in; and giving clients up that do not get on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{Shutdown, shutdown};
use slab::Slab;

use crate::sys::SysError;
use crate::sys::signal;

/// How long accepting pauses when descriptors or memory have run out: long enough to cost nothing, and a client hardly
/// notices it.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// How long requests in hand may take once a server is told to stop.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// A server's word that it is to stop, shared by its threads.
#[derive(Debug, Clone)]
pub(super) struct Stop(Arc<StopState>);

#[derive(Debug)]
struct StopState {
    requested: AtomicBool,
    /// Readable from the request on.
    event: EventFd,
    listeners: Vec<Arc<OwnedFd>>,
    /// How those are woken that wait on them.
    wake: fn(BorrowedFd<'_>),
    /// Connections whose threads or tasks wait for their client.
    held: Mutex<Slab<HeldEntry>>,
}

/// A connection on the list.
#[derive(Debug)]
struct HeldEntry {
    /// Open as long as the entry is on the list.
    socket: RawFd,
    /// How far the client has got, or [`BUSY`].
    progress: Arc<AtomicU64>,
    /// How far it had got at the last look.
    seen: u64,
}

/// Instead of a progress: it is the server that the client waits for.
const BUSY: u64 = u64::MAX;

/// A connection whose thread or task waits for its client, and is woken by the end of its input when the server stops.
#[derive(Debug)]
pub(super) struct HeldSocket<'a> {
    stop: &'a Stop,
    place: usize,
    progress: Arc<AtomicU64>,
}

impl HeldSocket<'_> {
    /// It waits for the client, which has got so far.
    #[inline]
    pub(super) fn waits_for_client(&self, progress: u64) {
        self.progress.store(progress, Ordering::Relaxed);
    }

    /// The client waits for it.
    #[inline]
    pub(super) fn waits_for_server(&self) {
        self.progress.store(BUSY, Ordering::Relaxed);
    }
}

impl Stop {
    /// `wake` ends the wait for the next connection, or datagram, on one of `listeners`.
    pub(super) fn new(listeners: &[Arc<OwnedFd>], wake: fn(BorrowedFd<'_>)) -> Result<Self, SysError> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let event = event.map_err(|errno| SysError::new("eventfd2", errno))?;
        let (requested, held) = (AtomicBool::new(false), Mutex::default());
        Ok(Self(Arc::new(StopState { requested, event, listeners: listeners.to_vec(), wake, held })))
    }

    /// Whether the server is to stop.
    pub(super) fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::Acquire) || signal::is_interrupted()
    }

    /// Wakes all that wait, in whatever they do.
    pub(super) fn request(&self) {
        self.0.requested.store(true, Ordering::Release);
        // It is full only when it is readable already.
        let _ = self.0.event.write(1);
        self.0.listeners.iter().for_each(|listener| (self.0.wake)(listener.as_fd()));
        self.held().iter().for_each(|(_, entry)| end_input(entry.socket));
    }

    /// Is readable once the server is to stop.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }

    /// Waits until the server is to stop, but no longer than `most`; whether it is.
    pub(super) fn wait(&self, most: Duration) -> bool {
        let mut watched = [PollFd::new(self.event(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX);
        // EINTR: the caller looks again.
        let _ = poll(&mut watched, timeout);
        self.is_requested()
    }

    /// Enters a connection whose thread or task may wait for its client. `socket` must stay open until the answer is
    /// dropped: a number that is closed may be another's.
    pub(super) fn hold(&self, socket: RawFd) -> HeldSocket<'_> {
        let progress = Arc::new(AtomicU64::new(BUSY));
        let place = self.held().insert(HeldEntry { socket, progress: Arc::clone(&progress), seen: BUSY });
        // Requested between the accept and this: the request has looked at the list, or will.
        if self.is_requested() {
            end_input(socket);
        }
        HeldSocket { stop: self, place, progress }
    }

    /// Ends connections whose client has not got on since the last time that this was called.
    pub(super) fn give_up_the_slow(&self) {
        for (_, entry) in self.held().iter_mut() {
            let progress = entry.progress.load(Ordering::Relaxed);
            if progress == entry.seen && progress != BUSY {
                // ENOTCONN: the client has gone.
                let _ = shutdown(entry.socket, Shutdown::Both);
            }
            entry.seen = progress;
        }
    }

    fn held(&self) -> MutexGuard<'_, Slab<HeldEntry>> {
        // A panic in between leaves a list that is whole.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends what a socket receives: what has arrived is still read.
fn end_input(socket: RawFd) {
    // ENOTCONN: the client has gone, and it has ended already.
    let _ = shutdown(socket, Shutdown::Read);
}

impl Drop for HeldSocket<'_> {
    fn drop(&mut self) {
        self.stop.held().remove(self.place);
    }
}
