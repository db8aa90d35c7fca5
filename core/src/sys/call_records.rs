//! Records of each system call of chosen threads: the tracepoints raw_syscalls:sys_enter and sys_exit by
//! perf_event_open(2), which need `CAP_PERFMON`, or `kernel.perf_event_paranoid` -1.
//!
//! They cost a program that makes many calls a third of its speed, so they are for a short time.

use nix::unistd::Pid;
use perf_event::events::Tracepoint;
use perf_event::{Builder, Clock, Counter, SampleFlag, Sampler};

use super::SysError;
use super::perf::{open, set_output};
use crate::units::{CpuId, Nanos};

/// `PERF_RECORD_LOST` and `PERF_RECORD_SAMPLE` of include/uapi/linux/perf_event.h.
const LOST: u32 = 2;
const SAMPLE: u32 = 9;

/// The bytes of the buffer of each CPU: some ten thousand calls. Who may use tracepoints may lock more than a user.
const BUFFER: usize = 2 << 20;

/// The numbers by which perf knows both tracepoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTracepoints {
    /// raw_syscalls:sys_enter.
    pub enter: u64,
    /// raw_syscalls:sys_exit.
    pub exit: u64,
}

/// The entry into a system call, or the return from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRecord {
    /// When, by `CLOCK_MONOTONIC`.
    pub at: Nanos,
    /// The thread.
    pub thread: i32,
    /// The number of the call on this architecture.
    pub number: i64,
    /// What it returned, of a return: negative is an error.
    pub returned: Option<i64>,
}

/// Collects the records of threads that are added to it.
pub struct CallRecorder {
    tracepoints: CallTracepoints,
    buffers: Vec<(CpuId, Sampler)>,
    events: Vec<Counter>,
}

impl std::fmt::Debug for CallRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallRecorder").field("tracepoints", &self.tracepoints).finish_non_exhaustive()
    }
}

impl CallRecorder {
    /// Makes a buffer for each of `cpus`.
    ///
    /// # Errors
    /// `EACCES`, `EPERM` without privileges; `EMFILE`.
    pub fn open(cpus: &[CpuId], tracepoints: CallTracepoints) -> Result<Self, SysError> {
        let buffer = |&cpu: &CpuId| {
            let mut builder = Builder::new(Tracepoint::with_id(tracepoints.enter));
            builder.observe_self().one_cpu(cpu.0).clockid(Clock::MONOTONIC);
            let owner = open(&builder).map_err(|error| SysError::from_io("perf_event_open", &error))?;
            let owner = owner.sampled(BUFFER).map_err(|error| SysError::from_io("mmap of a perf buffer", &error))?;
            Ok((cpu, owner))
        };
        let buffers = cpus.iter().map(buffer).collect::<Result<_, SysError>>()?;
        Ok(Self { tracepoints, buffers, events: Vec::new() })
    }

    /// How many descriptors recording one more thread takes.
    pub fn descriptors_per_thread(&self) -> usize {
        self.buffers.len() * 2
    }

    /// Records the calls of `thread`, from when recording is switched on.
    ///
    /// # Errors
    /// `EACCES`, `EPERM` without privileges, `ESRCH` when it has ended, `EMFILE`.
    pub fn add(&mut self, thread: Pid) -> Result<(), SysError> {
        for (cpu, owner) in &self.buffers {
            for tracepoint in [self.tracepoints.enter, self.tracepoints.exit] {
                let mut builder = Builder::new(Tracepoint::with_id(tracepoint));
                builder.observe_pid(thread.as_raw()).one_cpu(cpu.0).include_kernel().sample_period(1);
                builder.sample(SampleFlag::TID | SampleFlag::TIME | SampleFlag::RAW).clockid(Clock::MONOTONIC);
                let event = open(&builder).map_err(|error| SysError::from_io("perf_event_open", &error))?;
                set_output(&event, owner.as_counter())?;
                self.events.push(event);
            }
        }
        Ok(())
    }

    /// Begins or ends recording.
    ///
    /// # Errors
    /// None that is documented.
    pub fn set_enabled(&mut self, enabled: bool) -> Result<(), SysError> {
        let switch = if enabled { Counter::enable } else { Counter::disable };
        let outcome = self.events.iter_mut().try_for_each(switch);
        outcome.map_err(|error| SysError::from_io("ioctl of a perf event", &error))
    }

    /// Takes out what was recorded since the last time, the records of each CPU in the order of time, one CPU after the
    /// other. Returns how many the kernel had to drop because a buffer was full.
    pub fn drain(&mut self, mut visit: impl FnMut(CallRecord)) -> u64 {
        let (exit, mut lost) = (self.tracepoints.exit, 0);
        for (_, owner) in &mut self.buffers {
            // No more than was there at first: a program that calls faster than this reads would keep it for ever.
            let mut left = BUFFER;
            while left > 0 {
                let Some(record) = owner.next_record() else { break };
                left = left.saturating_sub(record.len() + 8);
                let body = record.to_contiguous();
                match record.ty() {
                    SAMPLE => {
                        if let Some(record) = parse(&body, exit) {
                            visit(record);
                        }
                    }
                    LOST => lost += word(&body, 8).map_or(1, |lost| lost as u64),
                    _ => {}
                }
            }
        }
        lost
    }
}

/// A sample's body: process and thread, time, the length of what the tracepoint wrote, and that: its number in two
/// bytes, six that all tracepoints have, the call's number, and arguments or what it returned
/// (include/trace/events/syscalls.h).
fn parse(body: &[u8], exit: u64) -> Option<CallRecord> {
    const RAW: usize = 20;
    let thread = i32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let kind = u16::from_ne_bytes(body.get(RAW..RAW + 2)?.try_into().ok()?);
    let returned = (u64::from(kind) == exit).then(|| word(body, RAW + 16));
    Some(CallRecord {
        at: Nanos(word(body, 8)? as u64),
        thread,
        number: word(body, RAW + 8)?,
        returned: match returned {
            Some(returned) => Some(returned?),
            None => None,
        },
    })
}

fn word(body: &[u8], place: usize) -> Option<i64> {
    Some(i64::from_ne_bytes(body.get(place..place + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_an_entry_or_a_return() {
        let body = |kind: u16, last: i64| {
            let mut body = Vec::new();
            [7_i32, 9].iter().for_each(|number| body.extend(number.to_ne_bytes()));
            body.extend(1234_u64.to_ne_bytes());
            body.extend(24_u32.to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend([0; 6]);
            [232_i64, last].iter().for_each(|number| body.extend(number.to_ne_bytes()));
            body
        };
        let record = |returned| CallRecord { at: Nanos(1234), thread: 9, number: 232, returned };
        assert_eq!(parse(&body(400, 3), 399), Some(record(None)));
        assert_eq!(parse(&body(399, -4), 399), Some(record(Some(-4))));
        assert_eq!(parse(&body(399, -4)[..40], 399), None);
    }
}
