//! Under which name Criterion knows a benchmark.
//!
//! Criterion keeps a benchmark's samples and baselines in a folder that it names after the id, and cuts each part of
//! that name at 64 bytes (`make_filename_safe` in its src/report.rs). Two ids that are alike up to there would share a
//! baseline, and one benchmark would be compared with the other.

use criterion::measurement::Measurement;
use criterion::{Bencher, BenchmarkGroup, BenchmarkId};

use crate::terms::host::fnv1a;

/// The longest part of a folder's name.
const LONGEST: usize = 64;

/// Lets Criterion run `function` as the benchmark called `id`.
pub(super) fn bench_function<M: Measurement>(
    group: &mut BenchmarkGroup<'_, M>,
    id: &str,
    function: impl FnMut(&mut Bencher<'_, M>),
) {
    match parts(id) {
        (name, None) => group.bench_function(name, function),
        (name, Some(parameters)) => group.bench_function(BenchmarkId::new(name, parameters), function),
    };
}

/// The id without the group, which Criterion puts before it. One that fits is one part, as it always was; of a longer
/// one the parameters are a part of their own; and a part that is still too long ends in a digest of the whole.
fn parts(id: &str) -> (String, Option<String>) {
    let name = id.split_once('/').map_or(id, |(_, name)| name);
    if name.len() <= LONGEST {
        return (name.into(), None);
    }
    // group/mechanism/placement/parameters
    match name.match_indices('/').nth(1) {
        Some((at, _)) => (fitting(&name[..at]), Some(fitting(&name[at + 1..]))),
        None => (fitting(name), None),
    }
}

fn fitting(part: &str) -> String {
    if part.len() <= LONGEST {
        return part.into();
    }
    let digest = format!("~{:016x}", fnv1a(part.as_bytes()));
    let end = (0..=LONGEST - digest.len()).rev().find(|&at| part.is_char_boundary(at)).unwrap_or(0);
    format!("{}{digest}", &part[..end])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::time::Duration;

    use criterion::{Criterion, SamplingMode};

    use super::*;

    /// Longer than a part may be, and alike up to there.
    fn long(tasks: u32) -> String {
        format!("brigade/uring_per_thread/one-per-cpu/bytes_in_flight=4,payload=64,tasks={tasks}")
    }

    /// The folders of baselines below `folder`.
    fn baselines(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name() == "base" {
                found.insert(folder.display().to_string());
            }
            baselines(&entry.path(), found);
        }
    }

    #[test]
    fn long_ids_that_differ_at_their_end_have_baselines_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        // In processes of their own, as it were: Criterion would number two of one name in one process.
        for tasks in [8, 64] {
            let mut criterion = Criterion::default()
                .output_directory(folder.path())
                .without_plots()
                .warm_up_time(Duration::from_millis(1))
                .measurement_time(Duration::from_millis(2))
                .sample_size(10)
                .nresamples(100);
            let mut group = criterion.benchmark_group("brigade");
            group.sampling_mode(SamplingMode::Flat);
            bench_function(&mut group, &long(tasks), |bencher| {
                bencher.iter_custom(|iterations| {
                    // Criterion plans by the clock.
                    std::thread::sleep(Duration::from_micros(100));
                    Duration::from_nanos(iterations)
                });
            });
            group.finish();
        }
        let mut found = BTreeSet::new();
        baselines(folder.path(), &mut found);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn every_part_fits_and_tells_what_is_different() {
        let many = |last: &str| format!("g/m/same-cpu/{}={last}", "parameter=12345,".repeat(8));
        let ids = [long(8), long(64), many("1"), many("2"), "g/".to_string() + &"ü".repeat(50), "g/m/unpinned".into()];
        let parts: BTreeSet<_> = ids.iter().map(|id| parts(id)).collect();
        assert_eq!(parts.len(), ids.len());
        let fits = |part: &String| part.len() <= LONGEST;
        assert!(parts.iter().all(|(name, rest)| fits(name) && rest.as_ref().is_none_or(fits)), "{parts:?}");
    }

    #[test]
    fn an_id_that_fits_keeps_its_folder() {
        assert_eq!(parts("brigade/thread/same-cpu/tasks=64"), ("thread/same-cpu/tasks=64".into(), None));
    }
}
