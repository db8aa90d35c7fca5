//! The interval log of HdrHistogram (version 1.3 of its format, histograms in V2 with compression), which its plotters
//! and processors read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::ledger::LoadInterval;

/// The log of a run that began at `start`: for each interval the response times under the tag `response` and the
/// service times under `service`, in nanoseconds; its maxima are in seconds.
///
/// # Errors
/// A histogram that cannot be written, in words: none that a run makes.
pub fn hdr_log(start: SystemTime, intervals: &[LoadInterval]) -> Result<String, String> {
    let (mut bytes, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let told = |error: &dyn std::fmt::Debug| format!("the interval log: {error:?}");
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[switchcost load: times in nanoseconds]").with_start_time(start).with_base_time(start);
    builder.with_max_value_divisor(1e9);
    let mut log = builder.begin_log_with(&mut bytes, &mut serializer).map_err(|error| told(&error))?;
    for interval in intervals {
        let LoadInterval { from, length, response, service } = interval;
        for (tag, values) in [("response", response), ("service", service)] {
            let written = log.write_histogram(values.as_hdr(), *from, *length, Tag::new(tag));
            written.map_err(|error| told(&error))?;
        }
    }
    String::from_utf8(bytes).map_err(|error| told(&error))
}

/// Now, cut to whole milliseconds, which is what the log holds.
pub fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_millis(since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::ValueHistogram;
    use base64::Engine;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn a_log_is_read_back_by_the_reader_of_its_format() {
        let mut response = ValueHistogram::new();
        response.record_many(2_000_000, 90);
        response.record_many(1_500_000_000, 10);
        let mut service = ValueHistogram::new();
        service.record_many(1_000_000, 100);
        let (from, length) = (Duration::from_secs(1), Duration::from_millis(1500));
        let log = hdr_log(now(), &[LoadInterval { from, length, response, service }]).unwrap();
        assert!(log.contains("#[Histogram log format version 1.") || log.contains("StartTime"), "{log}");
        let mut seen = Vec::new();
        for entry in IntervalLogIterator::new(log.as_bytes()) {
            let LogEntry::Interval(line) = entry.unwrap() else { continue };
            let bytes = base64::engine::general_purpose::STANDARD.decode(line.encoded_histogram()).unwrap();
            let read: hdrhistogram::Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            let tag = line.tag().unwrap().as_str().to_string();
            seen.push((tag, line.start_timestamp(), line.duration(), read.len(), read.value_at_quantile(0.95)));
        }
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].0.as_str(), seen[0].1, seen[0].2, seen[0].3), ("response", from, length, 100));
        assert!(seen[0].4.abs_diff(1_500_000_000) < 2_000_000, "{seen:?}");
        assert!(seen[1].4.abs_diff(1_000_000) < 2_000, "{seen:?}");
    }
}
