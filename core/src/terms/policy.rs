//! The scheduling policy of an instance's tasks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The policies of sched(7) that a benchmark's tasks may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The fair scheduler's own, in which programs start.
    #[default]
    Other,
    /// The fair scheduler's, but a task that wakes does not preempt the one that runs.
    Batch,
    /// Runs only when no task of another class wants the CPU.
    Idle,
    /// Real-time: runs until it waits.
    Fifo,
    /// Real-time: as `Fifo`, but tasks of equal priority take turns, a time slice each.
    Rr,
}

impl Class {
    /// Every class, in the order in which messages list them.
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

    /// Whether it is one of the real-time classes, which have a priority and no slice.
    pub fn is_real_time(self) -> bool {
        matches!(self, Self::Fifo | Self::Rr)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The error for a word that names no policy.
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
    /// The scheduling class.
    pub class: Class,
    /// The slice asked of the fair scheduler in microseconds; absent is the kernel's own.
    pub slice_us: Option<u64>,
}

/// The slices that a policy may have, in microseconds. The kernel cuts others to 0.1 to 100 ms
/// (kernel/sched/syscalls.c, `__setparam_fair`).
pub const SLICES_US: std::ops::RangeInclusive<u64> = 100..=100_000;

/// The error for a slice that no policy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchSlice {
    /// Shorter or longer than the kernel keeps.
    #[error(
        "slice_us={0}: slice_us is a whole number from {least} to {most}",
        least = SLICES_US.start(), most = SLICES_US.end()
    )]
    OutOfRange(u64),
    /// A slice for a real-time class, which has none.
    #[error("policy={0} has no slice; slice_us goes with other, batch and idle")]
    NoneAtAll(Class),
}

impl Policy {
    /// A policy of this class with this slice.
    ///
    /// # Errors
    /// When the class has no slice, or the slice is not in [`SLICES_US`].
    pub fn new(class: Class, slice_us: Option<u64>) -> Result<Self, NoSuchSlice> {
        match slice_us {
            Some(slice) if !SLICES_US.contains(&slice) => Err(NoSuchSlice::OutOfRange(slice)),
            Some(_) if class.is_real_time() => Err(NoSuchSlice::NoneAtAll(class)),
            _ => Ok(Self { class, slice_us }),
        }
    }

    /// Whether it is the policy that programs start with, for which nothing has to be done.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What differs from the default, as it stands in a benchmark's id: `policy=fifo`, `slice_us=100`.
    pub fn differing_from_default(&self) -> Vec<String> {
        let class = (self.class != Class::default()).then(|| format!("policy={}", self.class));
        class.into_iter().chain(self.slice_us.map(|slice| format!("slice_us={slice}"))).collect()
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
}
