//! A sample, and its form in a record.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::terms::SpeedProbe;
use crate::units::{Amount, Nanos, Ops};

/// One bare or counted sample.
///
/// In a record it is an array, `[ops, amount]`, or `[ops, amount, min, max]` with the two numbers of its probe: a run
/// has tens of thousands of samples, and names would be most of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// How many operations were done.
    pub ops: Ops,
    /// What they came to, in what the benchmark's line [measures](super::BenchmarkLine::measures).
    pub amount: Amount,
    /// How fast the CPU of the first task was before or after it, whichever was slower. Absent where that task was not
    /// confined to one CPU, in groups that do not measure time, and in counted samples.
    pub probe: Option<SpeedProbe>,
}

impl Sample {
    /// A sample without a probe.
    pub fn new(ops: Ops, amount: impl Into<Amount>) -> Self {
        Self { ops, amount: amount.into(), probe: None }
    }

    /// The amount per operation; 0 where a damaged record has no operations.
    pub fn per_op(self) -> f64 {
        self.amount.per(self.ops).unwrap_or(0.0)
    }
}

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.probe {
            None => (self.ops, self.amount).serialize(serializer),
            Some(SpeedProbe { min, max }) => (self.ops, self.amount, min, max).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SampleVisitor)
    }
}

/// Takes two numbers or four: half a probe is none.
struct SampleVisitor;

impl<'de> Visitor<'de> for SampleVisitor {
    type Value = Sample;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sample: [ops, amount] or [ops, amount, min, max]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Sample, A::Error> {
        let mut numbers = [0_u64; 4];
        let mut count = 0;
        while count < numbers.len() {
            let Some(number) = items.next_element()? else { break };
            numbers[count] = number;
            count += 1;
        }
        let [ops, amount, min, max] = numbers;
        let probe = match count {
            2 => None,
            4 => Some(SpeedProbe { min: Nanos(min), max: Nanos(max) }),
            other => return Err(de::Error::invalid_length(other, &self)),
        };
        // That nothing follows the fourth, the parser checks.
        Ok(Sample { ops: Ops(ops), amount: Amount(amount), probe })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_an_array_of_two_numbers_or_of_four() {
        let bare = Sample::new(Ops(10), Amount(500));
        let probed = Sample { probe: Some(SpeedProbe { min: Nanos(7), max: Nanos(9) }), ..bare };
        for (sample, text) in [(bare, "[10,500]"), (probed, "[10,500,7,9]")] {
            assert_eq!(serde_json::to_string(&sample).unwrap(), text);
            assert_eq!(serde_json::from_str::<Sample>(text).unwrap(), sample);
        }
    }

    #[test]
    fn half_a_probe_and_what_is_no_array_are_refused() {
        for text in
            ["[]", "[10]", "[10,500,7]", "[10,500,7,9,1]", "{\"ops\":10,\"amount\":500}", "[10,-1]", "[10,500,null,9]"]
        {
            assert!(serde_json::from_str::<Sample>(text).is_err(), "{text}");
        }
    }
}
