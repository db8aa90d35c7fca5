//! Threads that read the static file for an event loop, which goes on meanwhile.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, unbounded};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::blocking::read_piece;
use super::timers::ClientKey;
use super::{Handling, ServerError};
use crate::sys::SysError;

/// A piece of the file, to be read for a client.
struct ReadJob {
    client: ClientKey,
    offset: u64,
    length: usize,
}

/// The threads. Dropped, it waits for them to end.
pub(super) struct FilePool {
    jobs: Option<Sender<ReadJob>>,
    done: Receiver<(ClientKey, Vec<u8>)>,
    event: Arc<EventFd>,
    threads: Vec<JoinHandle<()>>,
}

impl FilePool {
    /// A pool of `threads`.
    pub(super) fn new(handling: &Arc<Handling>, threads: usize) -> Result<Self, ServerError> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let event = Arc::new(event.map_err(|errno| SysError::new("eventfd2", errno))?);
        let (jobs, waiting) = unbounded::<ReadJob>();
        let (finished, done) = unbounded();
        let mut pool = Self { jobs: Some(jobs), done, event, threads: Vec::new() };
        for _ in 0..threads {
            let (handling, event) = (Arc::clone(handling), Arc::clone(&pool.event));
            let (waiting, finished) = (waiting.clone(), finished.clone());
            let read = move || {
                for job in waiting {
                    let mut bytes = vec![0; job.length];
                    let read = handling.file.as_ref().map_or(0, |file| read_piece(file, job.offset, &mut bytes).len());
                    bytes.truncate(read);
                    if finished.send((job.client, bytes)).is_err() {
                        return;
                    }
                    // It is full only when it is readable already.
                    let _ = event.write(1);
                }
            };
            let thread = std::thread::Builder::new().name("file".into()).stack_size(128 * 1024).spawn(read);
            pool.threads.push(thread.map_err(|error| SysError::from_io("clone3", &error))?);
        }
        Ok(pool)
    }

    /// Has a piece of the file read.
    pub(super) fn read(&self, client: ClientKey, offset: u64, length: usize) {
        if let Some(jobs) = &self.jobs {
            // The threads end with this pool alone.
            let _ = jobs.send(ReadJob { client, offset, length });
        }
    }

    /// Is readable when pieces have been read.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Has [`Self::event`] wait for further pieces; to be called before those that there are, are taken.
    pub(super) fn quiet(&self) {
        // EAGAIN: it is quiet.
        let _ = self.event.read();
    }

    /// Takes a piece that was read.
    pub(super) fn take(&self) -> Option<(ClientKey, Vec<u8>)> {
        self.done.try_recv().ok()
    }
}

impl Drop for FilePool {
    fn drop(&mut self) {
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            // A reader does not panic.
            let _ = thread.join();
        }
    }
}
