//! The scheduling policy of an instance's tasks.

use std::fmt;
use std::str::FromStr;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{Failure, Unsupported};
use crate::sys::SysError;
use crate::sys::sched::{self, Attributes};

/// The policies of sched(7) that a benchmark's tasks may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The fair scheduler's own, in which programs start.
    #[default]
    Other,
    /// As that, and a task that wakes does not preempt.
    Batch,
    /// Runs when nobody else wants to.
    Idle,
    /// Real-time: runs until it waits.
    Fifo,
    /// Real-time: as that, in slices among equals.
    Rr,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Other, Self::Batch, Self::Idle, Self::Fifo, Self::Rr];

    /// The word on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Batch => "batch",
            Self::Idle => "idle",
            Self::Fifo => "fifo",
            Self::Rr => "rr",
        }
    }

    fn number(self) -> u32 {
        let number = match self {
            Self::Other => libc::SCHED_OTHER,
            Self::Batch => libc::SCHED_BATCH,
            Self::Idle => libc::SCHED_IDLE,
            Self::Fifo => libc::SCHED_FIFO,
            Self::Rr => libc::SCHED_RR,
        };
        number.unsigned_abs()
    }

    fn is_real_time(self) -> bool {
        matches!(self, Self::Fifo | Self::Rr)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no policy is called `{0}`; there are {names}", names = Class::ALL.map(Class::name).join(", "))]
pub struct UnknownClass(pub String);

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or_else(|| UnknownClass(text.into()))
    }
}

/// How the tasks of an instance are scheduled, the driver among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The class.
    pub class: Class,
    /// The slice asked of the fair scheduler in microseconds; absent is the kernel's own.
    pub slice_us: Option<u64>,
}

/// One above the lowest real-time priority: room for somebody else's lowest, far below the kernel's own threads.
const PRIORITY: u32 = 2;

/// The kernel keeps slices between 0.1 and 100 ms (kernel/sched/syscalls.c, `__setparam_fair`).
pub const SLICES_US: std::ops::RangeInclusive<u64> = 100..=100_000;

/// A slice that no policy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchSlice {
    /// Shorter or longer than the kernel keeps.
    #[error(
        "slice_us={0}: slice_us is a whole number from {least} to {most}",
        least = SLICES_US.start(), most = SLICES_US.end()
    )]
    OutOfRange(u64),
    /// Of a class that has none.
    #[error("policy={0} has no slice; slice_us goes with other, batch and idle")]
    NoneAtAll(Class),
}

impl Policy {
    /// A policy of this class with this slice.
    ///
    /// # Errors
    /// When the kernel has no such policy.
    pub fn new(class: Class, slice_us: Option<u64>) -> Result<Self, NoSuchSlice> {
        match slice_us {
            Some(slice) if !SLICES_US.contains(&slice) => Err(NoSuchSlice::OutOfRange(slice)),
            Some(_) if class.is_real_time() => Err(NoSuchSlice::NoneAtAll(class)),
            _ => Ok(Self { class, slice_us }),
        }
    }

    /// Whether it is what programs start with, which nothing is done for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What differs from the default, as it stands in a benchmark's id: `policy=fifo`, `slice_us=100`.
    pub fn differing_from_default(&self) -> Vec<String> {
        let class = (self.class != Class::default()).then(|| format!("policy={}", self.class));
        class.into_iter().chain(self.slice_us.map(|slice| format!("slice_us={slice}"))).collect()
    }

    /// Schedules the calling thread, and what it creates from now on, by this policy; it is read back.
    ///
    /// # Errors
    /// `Unsupported` when it is not permitted, or the kernel knows no slices.
    pub(super) fn adopt(self) -> Result<(), Failure> {
        if self.is_default() {
            return Ok(());
        }
        let priority = if self.class.is_real_time() { PRIORITY } else { 0 };
        let slice_ns = self.slice_us.unwrap_or(0) * 1000;
        let asked = Attributes { policy: self.class.number(), priority, slice_ns };
        let me = Pid::from_raw(0);
        sched::set(me, asked).map_err(|error| self.refused(&error))?;
        let got = sched::get(me)?;
        // Without a wish the kernel tells its own slice.
        let slice_kept = slice_ns == 0 || got.slice_ns == slice_ns;
        if (got.policy, got.priority) == (asked.policy, asked.priority) && slice_kept {
            return Ok(());
        }
        let requirement = format!("a slice of {slice_ns} ns for {} (Linux 6.12)", self.class);
        Err(Unsupported::new(requirement, format!("read back {} ns", got.slice_ns), "boot Linux 6.12 or later").into())
    }

    fn refused(self, error: &SysError) -> Failure {
        let requirement = format!("scheduling policy {}", self.class);
        let remedy = "run as root, or `sudo prlimit --pid $$ --rtprio=2:2` for fifo and rr";
        Unsupported::new(requirement, error.to_string(), remedy).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_stands_in_ids() {
        assert!(Policy::default().differing_from_default().is_empty());
        let policy = Policy { class: Class::Batch, slice_us: Some(200) };
        assert_eq!(policy.differing_from_default(), ["policy=batch", "slice_us=200"]);
    }

    #[test]
    fn names_are_read_back() {
        for class in Class::ALL {
            assert_eq!(class.name().parse(), Ok(class));
        }
        let error = "FIFO".parse::<Class>().unwrap_err().to_string();
        assert!(error.contains("`FIFO`") && error.contains("fifo"), "{error}");
    }

    #[test]
    fn a_policy_is_adopted_and_inherited() {
        let policy = Policy { class: Class::Batch, slice_us: None };
        let adopting = std::thread::spawn(move || {
            policy.adopt().unwrap();
            std::thread::spawn(|| sched::get(Pid::from_raw(0)).unwrap().policy).join().unwrap()
        });
        assert_eq!(adopting.join().unwrap(), Class::Batch.number());
    }

    #[test]
    fn what_is_not_permitted_is_unsupported_and_not_an_error() {
        let adopted = std::thread::spawn(|| Policy { class: Class::Fifo, slice_us: None }.adopt()).join().unwrap();
        assert!(matches!(adopted, Ok(()) | Err(Failure::Unsupported(_))), "{adopted:?}");
    }
}
