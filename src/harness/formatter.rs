//! How Criterion writes memory.

use criterion::Throughput;
use criterion::measurement::ValueFormatter;

/// Bytes, in units of 1024.
pub(super) struct Bytes;

const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];

impl ValueFormatter for Bytes {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        let steps = (typical.abs().max(1.0).log2() / 10.0).floor();
        let index = (steps as usize).min(UNITS.len() - 1);
        let factor = 1024f64.powi(index as i32);
        values.iter_mut().for_each(|value| *value /= factor);
        UNITS[index]
    }

    /// No benchmark here declares a throughput.
    fn scale_throughputs(&self, typical: f64, _: &Throughput, values: &mut [f64]) -> &'static str {
        self.scale_values(typical, values)
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "B"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_the_unit_of_the_typical_one() {
        let mut values = [512.0, 2048.0];
        assert_eq!((Bytes.scale_values(1500.0, &mut values), values), ("KiB", [0.5, 2.0]));
        assert_eq!(Bytes.format_value(700.0), "700.00 B");
        assert_eq!(Bytes.scale_for_machines(&mut values), "B");
    }
}
