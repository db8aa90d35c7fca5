//! What an operation learns of its own batches beyond how long they took: how latencies are distributed, how speed
//! recovers, how much memory a task holds.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HdrReader, Serializer as HdrWriter, V2DeflateSerializer};
use serde::{Deserialize, Serialize, de, ser};

use super::MetricKey;
use crate::units::Quantity;

/// Something found out over the batches since metrics were last taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// One number.
    Scalar(Scalar),
    /// How values are distributed.
    Distribution(Distribution),
    /// How one quantity follows another.
    Curve(Curve),
}

/// One number that an operation found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scalar {
    /// What it is.
    pub of: MetricKey,
    /// What kind of number.
    pub quantity: Quantity,
    /// The number; finite.
    pub value: f64,
    /// Its 95 % interval, low and high, where the operation can tell one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<(f64, f64)>,
}

/// How the values of something are distributed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// What it is.
    pub of: MetricKey,
    /// What kind of number the values are.
    pub quantity: Quantity,
    /// The values.
    pub values: ValueHistogram,
}

/// How one quantity follows another: a curve, point by point, in the order of `x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// What it is.
    pub of: MetricKey,
    /// What `x` is.
    pub x: CurveAxis,
    /// What `y` is.
    pub y: CurveAxis,
    /// The points, `[x, y]`; finite.
    pub points: Vec<(f64, f64)>,
}

/// One axis of a curve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveAxis {
    /// What it shows.
    pub of: String,
    /// What kind of number.
    pub quantity: Quantity,
}

/// A histogram of values with three significant digits, from 1 to an hour in nanoseconds; what is less counts as 1.
///
/// In a record it is an object of its percentiles, for readers with jq, and `hdr`: the whole histogram in the
/// interchange format of HdrHistogram (V2, compressed, base64), from which it is read back.
#[derive(Clone, PartialEq)]
pub struct ValueHistogram(Histogram<u64>);

/// The longest value that is told apart: an hour, in nanoseconds.
const HIGHEST: u64 = 3_600_000_000_000;

impl ValueHistogram {
    /// A histogram without values.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, HIGHEST, 3);
        Self(histogram.expect("the bounds and the digits are constants that the histogram accepts"))
    }

    /// Adds a value; what is beyond an hour counts as an hour.
    pub fn record(&mut self, value: u64) {
        self.0.saturating_record(value.max(1));
    }

    /// Adds a value `count` times.
    pub fn record_many(&mut self, value: u64, count: u64) {
        self.0.saturating_record_n(value.max(1), count);
    }

    /// Adds all values of `other`.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds: `new` is the only way to make one, and reading checks them.
        let added = self.0.add(&other.0);
        debug_assert!(added.is_ok(), "{added:?}");
    }

    /// The histogram as its own library has it, for formats of that library.
    pub fn as_hdr(&self) -> &Histogram<u64> {
        &self.0
    }

    /// How many values were added.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value below or at which `share` of all values lie, 0 to 1; 0 without values.
    pub fn quantile(&self, share: f64) -> u64 {
        self.0.value_at_quantile(share)
    }

    /// The smallest value; 0 without values.
    pub fn min(&self) -> u64 {
        self.0.min()
    }

    /// The largest value; 0 without values.
    pub fn max(&self) -> u64 {
        self.0.max()
    }

    /// The mean; 0 without values.
    pub fn mean(&self) -> f64 {
        self.0.mean()
    }
}

impl Default for ValueHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ValueHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values, {} to {}", self.count(), self.min(), self.max())
    }
}

/// The record's form of [`ValueHistogram`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistogramRecord {
    count: u64,
    mean: f64,
    min: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    p99_9: u64,
    max: u64,
    hdr: String,
}

impl Serialize for ValueHistogram {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).map_err(ser::Error::custom)?;
        let quantile = |share| self.quantile(share);
        HistogramRecord {
            count: self.count(),
            mean: self.mean(),
            min: self.min(),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            max: self.max(),
            hdr: BASE64.encode(bytes),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ValueHistogram {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = HistogramRecord::deserialize(deserializer)?;
        let bytes = BASE64.decode(&written.hdr).map_err(de::Error::custom)?;
        let read: Histogram<u64> = HdrReader::new().deserialize(&mut bytes.as_slice()).map_err(de::Error::custom)?;
        let mut values = Self::new();
        values.0.add(&read).map_err(de::Error::custom)?;
        if values.count() != written.count {
            return Err(de::Error::custom(format!(
                "hdr holds {} values, count says {}",
                values.count(),
                written.count
            )));
        }
        Ok(values)
    }
}

impl Metric {
    /// The key of what it is, whichever of the three it is.
    pub fn of(&self) -> &MetricKey {
        match self {
            Self::Scalar(scalar) => &scalar.of,
            Self::Distribution(distribution) => &distribution.of,
            Self::Curve(curve) => &curve.of,
        }
    }

    /// A number without an interval.
    pub fn scalar(of: MetricKey, quantity: Quantity, value: f64) -> Self {
        Self::Scalar(Scalar { of, quantity, value, interval: None })
    }

    /// A distribution of times.
    pub fn latencies(of: MetricKey, values: ValueHistogram) -> Self {
        Self::Distribution(Distribution { of, quantity: Quantity::Nanoseconds, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hundred() -> ValueHistogram {
        let mut values = ValueHistogram::new();
        (1..=100).for_each(|value| values.record(value * 10));
        values
    }

    #[test]
    fn a_distribution_comes_back_from_a_record_as_it_was() {
        let metric = Metric::latencies(MetricKey::ResponseTime, hundred());
        let text = serde_json::to_string(&metric).unwrap();
        assert!(text.contains(r#""count":100"#) && text.contains(r#""p50":500"#), "{text}");
        assert_eq!(serde_json::from_str::<Metric>(&text).unwrap(), metric);
    }

    #[test]
    fn a_distribution_that_does_not_hold_what_it_says_is_refused() {
        let text = serde_json::to_string(&hundred()).unwrap();
        let wrong =
            serde_json::from_str::<ValueHistogram>(&text.replace(r#""count":100"#, r#""count":99"#)).unwrap_err();
        assert!(wrong.to_string().contains("hdr holds 100 values"), "{wrong}");
        assert!(serde_json::from_str::<ValueHistogram>(&text.replace(r#""hdr":""#, r#""hdr":"!"#)).is_err());
    }

    #[test]
    fn quantiles_are_those_of_all_values_added() {
        let mut values = hundred();
        values.add(&hundred());
        assert_eq!((values.count(), values.quantile(0.5), values.min(), values.max()), (200, 500, 10, 1000));
        values.record(0);
        values.record(u64::MAX);
        assert_eq!(values.min(), 1);
        assert!(values.max() >= HIGHEST);
    }
}
