use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{FIXTURES, RELATIONS, descriptors, directory, root};
use crate::host::limits::{Demand, Limits};
use crate::host::moment::Moment;
use crate::host::noise::warnings;
use crate::host::{Host, Root};

/// Everything the room does over one root; what it returns is of no interest, that it returns is.
fn exercise(root: &Root) -> Host {
    let host = Host::observe(root);
    let moment = Moment::observe(root);
    let _ = (host.id(), warnings(&host, &moment), Moment::steal_share(&moment, &moment));
    let limits = Limits::observe(root);
    let _ = (limits.all(), limits.first_obstacle(Demand { threads: 5, descriptors: 5, ..Demand::default() }));
    for relation in RELATIONS {
        let _ = host.topology.pair(relation, &host.topology.online());
    }
    host
}

#[test]
fn errors_name_the_path_and_what_was_found() {
    let root = root("vm-2cpu");
    let missing = root.text("/proc/none").unwrap_err().to_string();
    assert!(missing.ends_with("vm-2cpu/proc/none: No such file or directory (os error 2)"), "{missing}");
    let wrong = root.value::<u64>("/proc/cmdline").unwrap_err().to_string();
    assert!(wrong.contains("cmdline: expected u64, found \"BOOT_IMAGE="), "{wrong}");
}

#[test]
fn this_very_machine_is_read() {
    let root = Root::default();
    let host = exercise(&root);
    assert!(!host.topology.cpus.is_empty());
    assert!(host.kernel.release.is_some() && host.kernel.architecture.is_some());
    assert_eq!(host.id(), Host::observe(&root).id());
    assert!(Moment::observe(&root).load.is_some());
    assert!(Limits::observe(&root).all().len() >= 8);
    assert_eq!(Limits::observe(&root).first_obstacle(descriptors(1)), None);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Bytes at random, and lines that look right until a number or a bracket goes wrong.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let text = "(cpu |CPU part|Uid|Max open files|MemAvailable|some avg10=|0::)?[-0-9a-zA-Z:/,. ()\\[\\]\n]{0,40}";
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), text.prop_map(String::into_bytes)]
}

#[test]
fn garbage_in_any_file_never_panics() {
    let trees: Vec<_> = FIXTURES
        .iter()
        .map(|name| {
            let tree = tempfile::tempdir().unwrap();
            copy(&directory(name), tree.path());
            let mut paths = Vec::new();
            files(tree.path(), &mut paths);
            // The order of a directory is not the same everywhere; a failing seed must find the same file.
            paths.sort_unstable();
            (tree, paths)
        })
        .collect();
    let damage = prop::collection::vec((any::<prop::sample::Index>(), garbage()), 1..12);
    proptest!(ProptestConfig::with_cases(200), |(tree in 0..FIXTURES.len(), damage in damage)| {
        let (tree, paths) = &trees[tree];
        let mut whole = Vec::new();
        for (index, bytes) in &damage {
            let path = index.get(paths);
            whole.push((path, fs::read(path).unwrap()));
            fs::write(path, bytes).unwrap();
        }
        exercise(&Root::at(tree.path()));
        for (path, bytes) in whole.into_iter().rev() {
            fs::write(path, bytes).unwrap();
        }
    });
}

#[test]
fn an_empty_machine_is_all_unread() {
    let empty = tempfile::tempdir().unwrap();
    let host = exercise(&Root::at(empty.path()));
    assert_eq!(host.topology.cpus, []);
    assert!(host.unread.len() > 30, "{:?}", host.unread);
    assert!(host.unread.iter().all(|line| line.path.starts_with('/') && !line.reason.is_empty()));
    assert_eq!(warnings(&host, &Moment::default()), []);
}
