//! Records of each switch to and from threads of one's own processes: perf_event_open(2), `PERF_RECORD_SWITCH`.
//!
//! An event that counts nothing (`PERF_COUNT_SW_DUMMY`) with `context_switch` set makes the kernel write a record
//! whenever the thread is taken from a CPU or given one. That is allowed to an ordinary user up to
//! `kernel.perf_event_paranoid` 2, if the event leaves the kernel out (which says nothing about these records) and the
//! thread is one that the user may read by ptrace (PTRACE_MODE_READ).
//!
//! New threads and processes inherit the event. The kernel maps the buffer of an inherited event only where the event
//! keeps to one CPU (perf_mmap in kernel/events/core.c), so each thread has an event for each CPU. All those of a CPU
//! write into one buffer (`PERF_EVENT_IOC_SET_OUTPUT`), whose owner is an event of the watcher, so that it lives as
//! long as the watcher does.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::unistd::Pid;
use perf_event::events::Software;
use perf_event::{Builder, Clock, Counter, SampleFlag, Sampler};

use super::SysError;
use super::perf::{open, set_output};
use crate::units::{CpuId, Nanos};

/// `PERF_RECORD_LOST` and `PERF_RECORD_SWITCH` of include/uapi/linux/perf_event.h.
const LOST: u32 = 2;
const SWITCH: u32 = 14;

/// `PERF_RECORD_MISC_SWITCH_OUT`, and `PERF_RECORD_MISC_SWITCH_OUT_PREEMPT` (Linux 4.17).
const OUT: u16 = 1 << 13;
const PREEMPTED: u16 = 1 << 14;

/// The bytes of a buffer for each CPU: what `kernel.perf_event_mlock_kb` lets a user lock for each by default (516
/// KiB), less the first page. Half of it, down to the last, is tried where the kernel refuses more.
const LARGEST_BUFFER: usize = 512 << 10;
const SMALLEST_BUFFER: usize = 16 << 10;

/// A switch to a thread or from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchRecord {
    /// When, by `CLOCK_MONOTONIC`.
    pub at: Nanos,
    /// The CPU.
    pub cpu: CpuId,
    /// The process, and the thread of it.
    pub process: i32,
    /// The thread that was given the CPU or taken from it.
    pub thread: i32,
    /// Which of them.
    pub direction: SwitchDirection,
}

/// Which way a switch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchDirection {
    /// The thread was given the CPU.
    In,
    /// The thread gave the CPU up to wait.
    OutWaiting,
    /// The thread could have gone on.
    OutPreempted,
}

/// Collects the records of threads that are added to it.
#[derive(Debug)]
pub struct SwitchRecorder {
    buffers: Vec<CpuBuffer>,
    /// The events of the watched threads; closing one ends its records.
    events: Vec<Counter>,
    buffer_size: usize,
}

struct CpuBuffer {
    cpu: CpuId,
    owner: Sampler,
}

impl std::fmt::Debug for CpuBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CpuBuffer").field("cpu", &self.cpu).finish_non_exhaustive()
    }
}

impl SwitchRecorder {
    /// Makes a buffer for each of `cpus`. No thread is recorded yet.
    ///
    /// # Errors
    /// `EACCES` at `kernel.perf_event_paranoid` 3, which Debian and Ubuntu have as an addition; `EPERM` in a sandbox,
    /// or when even small buffers exceed what the user may lock (`kernel.perf_event_mlock_kb`); `EMFILE`.
    pub fn open(cpus: &[CpuId]) -> Result<Self, SysError> {
        let mut buffer_size = LARGEST_BUFFER;
        loop {
            match cpus.iter().map(|&cpu| CpuBuffer::open(cpu, buffer_size)).collect() {
                Ok(buffers) => return Ok(Self { buffers, events: Vec::new(), buffer_size }),
                // Nothing but mmap(2) is refused less of a smaller buffer.
                Err(SysError { call, errno: Errno::EPERM | Errno::ENOMEM })
                    if call.starts_with("mmap") && buffer_size > SMALLEST_BUFFER =>
                {
                    buffer_size /= 2;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// How many descriptors recording one more thread takes.
    pub fn descriptors_per_thread(&self) -> usize {
        self.buffers.len()
    }

    /// The bytes of each buffer.
    pub fn buffer_size(&self) -> usize {
        self.buffer_size
    }

    /// Records `thread` too, and all threads and processes that it creates from now on, if recording is on: see
    /// [`set_enabled`](Self::set_enabled).
    ///
    /// # Errors
    /// `ESRCH` when it has ended, `EACCES` or `EPERM` when it is of a process that this user may not read by ptrace,
    /// `EMFILE`.
    pub fn add(&mut self, thread: Pid, enabled: bool) -> Result<(), SysError> {
        let before = self.events.len();
        for buffer in &self.buffers {
            let event = buffer.event(thread, enabled);
            match event {
                Ok(event) => self.events.push(event),
                Err(error) => {
                    self.events.truncate(before);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Begins or ends recording, of inherited events too.
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
    pub fn drain(&mut self, mut visit: impl FnMut(SwitchRecord)) -> u64 {
        let mut lost = 0;
        for buffer in &mut self.buffers {
            // No more than was there at first: a program that switches faster than this reads would keep it for ever.
            let mut left = self.buffer_size;
            while left > 0 {
                let Some(record) = buffer.owner.next_record() else { break };
                left = left.saturating_sub(record.len() + 8);
                let body = record.to_contiguous();
                match record.ty() {
                    SWITCH => {
                        if let Some(record) = parse(record.misc(), &body) {
                            visit(record);
                        }
                    }
                    LOST => lost += word(&body, 8).unwrap_or(1),
                    _ => {}
                }
            }
        }
        lost
    }
}

impl CpuBuffer {
    fn open(cpu: CpuId, size: usize) -> Result<Self, SysError> {
        let failed = |call: &'static str| move |error: std::io::Error| SysError::from_io(call, &error);
        let mut builder = Builder::new(Software::DUMMY);
        builder.observe_self().one_cpu(cpu.0).clockid(Clock::MONOTONIC);
        let owner = open(&builder).map_err(failed("perf_event_open"))?;
        Ok(Self { cpu, owner: owner.sampled(size).map_err(failed("mmap of a perf buffer"))? })
    }

    fn event(&self, thread: Pid, enabled: bool) -> Result<Counter, SysError> {
        let mut builder = Builder::new(Software::DUMMY);
        builder.observe_pid(thread.as_raw()).one_cpu(self.cpu.0).inherit(true).enabled(enabled);
        builder.context_switch(true).sample_id_all(true).clockid(Clock::MONOTONIC);
        builder.sample(SampleFlag::TID | SampleFlag::TIME | SampleFlag::CPU);
        let event = open(&builder).map_err(|error| SysError::from_io("perf_event_open", &error))?;
        set_output(&event, &self.owner.as_counter().as_raw_fd())?;
        Ok(event)
    }
}

/// A record's body without its header: process and thread, time, CPU (`perf_event_header__init_id` in
/// kernel/events/core.c, in the order of perf_event_open(2), "struct sample_id").
fn parse(misc: u16, body: &[u8]) -> Option<SwitchRecord> {
    let half = |place: usize| Some(i32::from_ne_bytes(body.get(place..place + 4)?.try_into().ok()?));
    let direction = match (misc & OUT != 0, misc & PREEMPTED != 0) {
        (false, _) => SwitchDirection::In,
        (true, false) => SwitchDirection::OutWaiting,
        (true, true) => SwitchDirection::OutPreempted,
    };
    let (process, thread, at, cpu) = (half(0)?, half(4)?, Nanos(word(body, 8)?), half(16)?);
    // A thread that ends has no number any more when it is taken from its CPU for the last time.
    let cpu = CpuId(usize::try_from(cpu).ok()?);
    (thread > 0).then_some(SwitchRecord { at, cpu, process, thread, direction })
}

fn word(body: &[u8], place: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(body.get(place..place + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::sys::affinity;

    #[test]
    fn a_record_says_who_went_where() {
        let mut body = Vec::new();
        [7_i32, 9].iter().for_each(|number| body.extend(number.to_ne_bytes()));
        body.extend(1234_u64.to_ne_bytes());
        [3_i32, 0].iter().for_each(|number| body.extend(number.to_ne_bytes()));
        let record = |direction| SwitchRecord { at: Nanos(1234), cpu: CpuId(3), process: 7, thread: 9, direction };
        assert_eq!(parse(0, &body), Some(record(SwitchDirection::In)));
        assert_eq!(parse(OUT, &body), Some(record(SwitchDirection::OutWaiting)));
        assert_eq!(parse(OUT | PREEMPTED, &body), Some(record(SwitchDirection::OutPreempted)));
        assert_eq!(parse(0, &body[..12]), None);
    }

    const WAITS: u64 = 50;

    fn wait_often() {
        (0..WAITS).for_each(|_| std::thread::sleep(Duration::from_micros(200)));
    }

    /// How often each thread waited while `body` ran on a thread that was recorded.
    fn waits_recorded(body: impl FnOnce() + Send + 'static) -> Result<BTreeMap<i32, u64>, SysError> {
        let mut recorder = SwitchRecorder::open(&affinity::allowed_cpus()?)?;
        let (start, started) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            tell.send(nix::unistd::gettid()).unwrap();
            started.recv().unwrap();
            body();
        });
        recorder.add(told.recv().unwrap(), true)?;
        start.send(()).unwrap();
        thread.join().unwrap();
        let mut waits = BTreeMap::new();
        let lost = recorder.drain(|record| {
            assert_eq!(record.process, std::process::id() as i32);
            if record.direction == SwitchDirection::OutWaiting {
                *waits.entry(record.thread).or_default() += 1;
            }
        });
        assert_eq!(lost, 0);
        Ok(waits)
    }

    #[test]
    fn each_wait_of_a_thread_is_recorded() {
        match waits_recorded(wait_often) {
            Ok(waits) => assert!(waits.len() == 1 && waits.values().all(|&waits| waits >= WAITS), "{waits:?}"),
            Err(error) => println!("not checked: {error}"),
        }
    }

    #[test]
    fn a_thread_that_a_recorded_thread_creates_is_recorded_too() {
        match waits_recorded(|| std::thread::spawn(wait_often).join().unwrap()) {
            Ok(waits) => assert!(waits.len() == 2 && waits.values().any(|&waits| waits >= WAITS), "{waits:?}"),
            Err(error) => println!("not checked: {error}"),
        }
    }
}
