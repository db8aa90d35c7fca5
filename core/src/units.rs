//! The few newtypes that keep times, counts and processors apart.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number with so many decimals as people read it: with a minus sign (U+2212) and not a hyphen, and without either
/// where nothing is left of it but zeros.
pub fn decimals(value: f64, digits: usize) -> String {
    let size = format!("{:.digits$}", value.abs());
    let is_zero = size.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if value < 0.0 && !is_zero { format!("−{size}") } else { size }
}

/// How many of how many, with a verb that agrees: `1 of 3 rounds was`, `2 of 3 rounds were`.
pub fn some_were(some: usize, all: usize, noun: &str) -> String {
    let (plural, verb) = (if all == 1 { "" } else { "s" }, if some == 1 { "was" } else { "were" });
    format!("{some} of {all} {noun}{plural} {verb}")
}

/// A duration in whole nanoseconds, as read from `CLOCK_MONOTONIC`. Any `u64` is valid (584 years).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub u64);

/// What operations came to, whole, in the unit of their group: nanoseconds, or bytes where a group measures memory. The
/// number alone does not say which; the benchmark's [`Quantity`] does. Any `u64` is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(pub u64);

/// A number of operations; what one operation is, the mechanism's [`Unit`](crate::terms::Unit) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ops(pub u64);

/// A logical processor, by the kernel's number (`/sys/devices/system/cpu/cpuN`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuId(pub usize);

/// What kind of number a figure is, for those who print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Time in nanoseconds.
    #[default]
    Nanoseconds,
    /// Memory or payload in bytes.
    Bytes,
    /// A share: 1 is all of it.
    Share,
    /// A plain number.
    Number,
}

impl Quantity {
    /// Whether this is time, the default that records leave out.
    pub fn is_time(&self) -> bool {
        *self == Self::Nanoseconds
    }

    /// Its name in a record: `nanoseconds`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "nanoseconds",
            Self::Bytes => "bytes",
            Self::Share => "share",
            Self::Number => "number",
        }
    }

    /// The unit behind a number of it: `ns`, `B`; nothing behind shares and plain numbers.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Bytes => "B",
            Self::Share | Self::Number => "",
        }
    }
}

impl Amount {
    /// The amount per operation, in its unit. `None` when no operation was done.
    pub fn per(self, ops: Ops) -> Option<f64> {
        (ops.0 > 0).then(|| self.0 as f64 / ops.0 as f64)
    }
}

impl From<Nanos> for Amount {
    fn from(time: Nanos) -> Self {
        Self(time.0)
    }
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Writes processors the way the kernel does: `0-3,8`. An empty list is the empty string.
pub fn cpu_list(cpus: &[CpuId]) -> String {
    let mut sorted: Vec<usize> = cpus.iter().map(|cpu| cpu.0).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for cpu in sorted {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let text: Vec<String> = ranges
        .iter()
        .map(|&(first, last)| match last - first {
            0 => first.to_string(),
            _ => format!("{first}-{last}"),
        })
        .collect();
    text.join(",")
}

/// Above every number of a CPU: the largest NR_CPUS that any architecture's Kconfig allows. A larger number is a typing
/// mistake.
pub const MOST_CPUS: usize = 8192;

/// Reads a processor list as the kernel writes it (`0-3,8`; cpuset(7), "List format"). `None` if it is not one.
pub fn parse_cpu_list(text: &str) -> Option<Vec<CpuId>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    // A sign is nothing that the kernel writes, and `parse` takes one.
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|_| !text.contains('+'));
    let mut cpus = Vec::new();
    let mut listed = [false; MOST_CPUS];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= MOST_CPUS {
            return None;
        }
        // Each once: a long list of the same ranges is no longer than the machine.
        cpus.extend((first..=last).filter(|&cpu| !std::mem::replace(&mut listed[cpu], true)).map(CpuId));
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_a_minus_sign_where_something_is_left_of_it() {
        let told = [(-22_359.574, 0), (-819.2, 1), (-0.0004, 3), (-0.0, 2), (0.05, 1), (f64::NEG_INFINITY, 1)];
        assert_eq!(
            told.map(|(value, digits)| decimals(value, digits)),
            ["−22360", "−819.2", "0.000", "0.00", "0.1", "−inf"]
        );
    }

    #[test]
    fn a_verb_agrees_with_its_number() {
        let told = [(1, 3), (2, 3), (1, 1), (0, 2)].map(|(some, all)| some_were(some, all, "round"));
        assert_eq!(told, ["1 of 3 rounds was", "2 of 3 rounds were", "1 of 1 round was", "0 of 2 rounds were"]);
    }

    #[test]
    fn lists_are_written_as_the_kernel_writes_them() {
        let cpus: Vec<CpuId> = [3, 0, 1, 2, 8, 8].map(CpuId).to_vec();
        assert_eq!(cpu_list(&cpus), "0-3,8");
        assert_eq!(cpu_list(&[]), "");
    }

    #[test]
    fn lists_are_read_back() {
        assert_eq!(parse_cpu_list("0-2,5\n").map(|cpus| cpu_list(&cpus)), Some("0-2,5".into()));
        assert_eq!(parse_cpu_list(""), Some(vec![]));
        assert_eq!(parse_cpu_list("0-2,1-3,0").map(|cpus| cpus.len()), Some(4), "each once");
        assert_eq!(parse_cpu_list("0-8191,".repeat(10_000).trim_end_matches(',')).map(|cpus| cpus.len()), Some(8192));
        for wrong in [
            "x",
            "3-1",
            "1-",
            "0-",
            "-3",
            "+3",
            "0-+3",
            ",",
            "1,,2",
            "0-99999999",
            "0-99999999999999999999",
            "8192",
            "0-1:1/2",
        ] {
            assert_eq!(parse_cpu_list(wrong), None, "{wrong}");
        }
    }
}
