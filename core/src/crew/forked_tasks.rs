//! The tasks of a crew that are processes: forking, handshake and teardown.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::{CpuMask, Failure, lock};
use crate::sys::SysError;
use crate::sys::affinity::AffinityMask;
use crate::sys::channel::{Ends, ReadOutcome, pipe, read_byte, write_byte};
use crate::sys::process::{
    close_copy, die_with_parent, end_by, fork_running, keep_only, prepare_name, take_name, wait_until,
};

/// The process ids of the forked tasks that are alive. The owner of the driver reads them too.
pub(super) type ChildPids = Arc<Mutex<Vec<Pid>>>;

/// The exit status of a forked task whose body returned true.
const FINE: i32 = 0;
/// The exit status of a forked task whose body returned false.
const FAILED: i32 = 1;
/// The exit status of a forked task that could not be moved to its CPU mask.
const MISPLACED: i32 = 2;

#[derive(Debug)]
pub(super) struct ForkedTasks {
    children: ChildPids,
    /// A byte for each that is ready. Both ends stay open here until all are.
    ready: Option<Ends>,
    forked: usize,
}

/// A forked task's handle for telling its crew that it is ready.
#[derive(Debug)]
pub struct ReadyProcess<'a>(BorrowedFd<'a>);

impl ReadyProcess<'_> {
    /// Says that the task holds all it needs, and that its next step is to wait for work. To be called once.
    pub fn signal(&self) {
        // The write fails when the crew has stopped reading; then the crew has given up and tells the task to end.
        let _ = write_byte(self.0, 1);
        close_copy(self.0);
    }
}

impl ForkedTasks {
    pub(super) fn new(children: ChildPids) -> Self {
        Self { children, ready: None, forked: 0 }
    }

    pub(super) fn fork(
        &mut self,
        name: &str,
        cpu_mask: &CpuMask,
        kept: &[RawFd],
        body: impl FnOnce(&ReadyProcess<'_>) -> bool,
    ) -> Result<(), Failure> {
        let ready = match &mut self.ready {
            Some(ready) => ready,
            none => none.insert(pipe(true)?),
        };
        // All that needs memory is made before the fork.
        let (name, mask) = (prepare_name(name), AffinityMask::of(&cpu_mask.cpus)?);
        let mut scratch = mask.clone();
        let mut kept: Vec<RawFd> = kept.iter().copied().chain([ready.writer.as_raw_fd()]).collect();
        kept.sort_unstable();
        let parent = Pid::this();
        let child = fork_running(|| {
            let watched = die_with_parent(parent);
            take_name(&name);
            keep_only(&kept);
            if !mask.confine(&mut scratch) {
                return MISPLACED;
            }
            if !watched {
                return FAILED;
            }
            if body(&ReadyProcess(ready.writer.as_fd())) { FINE } else { FAILED }
        });
        let child = child.map_err(|error| Failure::of_one_more("processes", self.forked as u64, error))?;
        lock(&self.children).push(child);
        self.forked += 1;
        Ok(())
    }

    /// Waits until every forked task is ready, or one has ended.
    pub(super) fn await_ready(&mut self, deadline: Instant, timeout: Duration) -> Result<(), Failure> {
        // Dropped at the end of this function, so that the pipe is closed before the first batch.
        let Some(ready) = self.ready.take() else { return Ok(()) };
        let mut left = self.forked;
        while left > 0 {
            match read_byte(&ready.reader)? {
                ReadOutcome::Byte(_) => left -= 1,
                ReadOutcome::Closed | ReadOutcome::WouldBlock => {
                    self.none_has_ended()?;
                    if Instant::now() >= deadline {
                        let what = format!("{left} of {} processes getting ready", self.forked);
                        return Err(Failure::TimedOut { what, after: timeout });
                    }
                    await_byte(&ready)?;
                }
            }
        }
        Ok(())
    }

    fn none_has_ended(&self) -> Result<(), Failure> {
        let mut children = lock(&self.children);
        for index in 0..children.len() {
            if let Some(status) = wait_until(children[index], Instant::now())? {
                let child = children.swap_remove(index);
                return judge(child, status).and(Err(Failure::Ended {
                    task: format!("process {child}"),
                    reason: "it returned before it was ready".into(),
                }));
            }
        }
        Ok(())
    }

    /// Waits for every forked task to end, which the operation has told them to, and kills those that do not.
    pub(super) fn shut_down(&mut self, deadline: Instant) -> Result<(), Failure> {
        let children = std::mem::take(&mut *lock(&self.children));
        let mut outcome = Ok(());
        for child in children {
            let ended = match wait_until(child, deadline) {
                Ok(Some(status)) => judge(child, status),
                Ok(None) => {
                    end_by(child, deadline);
                    Err(Failure::Ended { task: format!("process {child}"), reason: "it had to be killed".into() })
                }
                Err(error) => Err(error.into()),
            };
            outcome = outcome.and(ended);
        }
        outcome
    }
}

impl Drop for ForkedTasks {
    fn drop(&mut self) {
        // After `shut_down` no process is left.
        for child in std::mem::take(&mut *lock(&self.children)) {
            end_by(child, Instant::now());
        }
    }
}

fn await_byte(ready: &Ends) -> Result<(), SysError> {
    let mut watched = [PollFd::new(ready.reader.as_fd(), PollFlags::POLLIN)];
    match poll(&mut watched, PollTimeout::from(50_u8)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(SysError::new("poll", errno)),
    }
}

fn judge(child: Pid, status: WaitStatus) -> Result<(), Failure> {
    let reason = match status {
        WaitStatus::Exited(_, FINE) => return Ok(()),
        WaitStatus::Exited(_, MISPLACED) => "it could not be moved to its CPUs".into(),
        WaitStatus::Exited(_, FAILED) => "its channels failed".into(),
        other => format!("{other:?}"),
    };
    Err(Failure::Ended { task: format!("process {child}"), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::{Batch, Crew, Driver, InstanceConfig, Operation};
    use crate::sys::affinity::allowed_cpus;
    use crate::sys::usage;
    use crate::terms::{Parameters, Placement, Setting};

    fn start(
        set_up: impl FnOnce(&mut Crew) -> Result<Box<dyn Operation>, Failure> + Send + 'static,
    ) -> Result<Driver, Failure> {
        let setting = Setting::new(Placement::OnePerCpu, allowed_cpus().unwrap(), Parameters::defaults(&[]));
        let config =
            InstanceConfig { id: "test/fork".into(), setting, timeout: Duration::from_secs(10), marked: false };
        Driver::start(config, || Ok(()), set_up)
    }

    /// An operation that does nothing and holds the writing end that keeps its process alive.
    fn holding(there: Ends) -> Box<dyn Operation> {
        Box::new(move |ops| Batch::timed(|| Ok(if there.writer.as_raw_fd() > 0 { ops } else { 0 })))
    }

    #[test]
    fn a_forked_task_is_pinned_named_accounted_and_ended() {
        let set_up = |crew: &mut Crew| {
            let there = pipe(false)?;
            let reader = there.reader.as_raw_fd();
            crew.fork(1, &[reader], |ready| {
                ready.signal();
                // Its copy of the writing end is closed, so this ends when the operation is dropped.
                matches!(read_byte(&there.reader), Ok(ReadOutcome::Closed))
            })?;
            Ok(holding(there))
        };
        let mut driver = start(set_up).unwrap();
        driver.run(1).unwrap();
        let children = driver.processes();
        let name = std::fs::read_to_string(format!("/proc/{}/comm", children[0])).unwrap();
        assert_eq!(name.trim(), format!("{}1", driver.prefix()));
        let cpus = allowed_cpus().unwrap();
        assert_eq!(AffinityMask::of_thread(children[0]).unwrap().cpus(), [cpus[1 % cpus.len()]]);
        assert!(driver.usage().unwrap().cpu() >= usage::of_process(children[0]).unwrap().cpu());
        driver.stop().unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{}", children[0])).exists());
    }

    #[test]
    fn a_forked_task_that_fails_says_so() {
        let early = |crew: &mut Crew| {
            crew.fork(1, &[], |_| false)?;
            Ok(holding(pipe(false)?))
        };
        let failure = start(early).unwrap_err().to_string();
        assert!(failure.contains("its channels failed"), "{failure}");

        let late = |crew: &mut Crew| {
            let there = pipe(false)?;
            crew.fork(1, &[there.reader.as_raw_fd()], |ready| {
                ready.signal();
                read_byte(&there.reader).is_err()
            })?;
            Ok(holding(there))
        };
        let failure = start(late).unwrap().stop().unwrap_err().to_string();
        assert!(failure.contains("its channels failed"), "{failure}");
    }
}
