//! The event loop of the group: one thread and a level-triggered epoll set over both clients' pipes.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{ClientPipes, Service, receive};
use crate::mechanism::Failure;
use crate::sys::SysError;

const IO: u64 = 0;
const JOBS: u64 = 1;

/// Serves one message of each pipe that is ready, then looks again, until both clients are gone. `with_job` does what
/// this model does with a job.
pub(super) struct Poller {
    epoll: Epoll,
    clients: ClientPipes,
}

impl Poller {
    pub(super) fn new(clients: ClientPipes) -> Result<Self, Failure> {
        let failed = |call: &'static str| move |errno| SysError::new(call, errno);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed("epoll_create1"))?;
        for (pipe, tag) in [(&clients.io, IO), (&clients.jobs, JOBS)] {
            epoll.add(pipe, EpollEvent::new(EpollFlags::EPOLLIN, tag)).map_err(failed("epoll_ctl"))?;
        }
        Ok(Self { epoll, clients })
    }

    pub(super) fn serve(self, mut with_job: impl FnMut(&Service, u32) -> Result<(), Failure>) -> Result<(), Failure> {
        let ClientPipes { io, jobs, service } = &self.clients;
        let mut events = [EpollEvent::empty(); 2];
        let mut open = 2;
        while open > 0 {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(SysError::new("epoll_wait", errno).into()),
            };
            for event in &events[..ready] {
                let pipe = if event.data() == IO { io } else { jobs };
                match receive(pipe)? {
                    Some(request) if event.data() == IO => service.serve_io(request)?,
                    Some(job) => with_job(service, job)?,
                    None => {
                        self.forget(pipe)?;
                        open -= 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn forget(&self, pipe: &OwnedFd) -> Result<(), Failure> {
        Ok(self.epoll.delete(pipe).map_err(|errno| SysError::new("epoll_ctl", errno))?)
    }
}
