use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{FIXTURES, RELATIONS, descriptors, directory, root};
use crate::host::Root;
use crate::host::limits::{Demand, Limits};
use crate::terms::{Host, Moment, noise::warnings};

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

pub(super) fn copy(from: &Path, to: &Path) {
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

/// What is done to a file that was right.
#[derive(Debug, Clone)]
enum Damage {
    Replaced(Vec<u8>),
    Cut(prop::sample::Index),
    Flipped(Vec<(prop::sample::Index, u8)>),
    Lines(prop::sample::Index, prop::sample::Index),
    Number(prop::sample::Index, &'static str),
}

impl Damage {
    fn done_to(&self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        match self {
            Self::Replaced(other) => other.clone_into(&mut bytes),
            _ if whole.is_empty() => {}
            Self::Cut(at) => bytes.truncate(at.index(whole.len())),
            Self::Flipped(all) => all.iter().for_each(|(at, with)| bytes[at.index(whole.len())] ^= with),
            Self::Lines(one, other) => {
                let mut lines: Vec<&[u8]> = whole.split_inclusive(|&byte| byte == b'\n').collect();
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
                bytes = lines.concat();
            }
            Self::Number(which, number) => {
                let begins = |at: &usize| whole[*at].is_ascii_digit() && (*at == 0 || !whole[at - 1].is_ascii_digit());
                let starts: Vec<usize> = (0..whole.len()).filter(begins).collect();
                if !starts.is_empty() {
                    let at = *which.get(&starts);
                    let digits = whole[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    bytes.splice(at..at + digits, number.bytes());
                }
            }
        }
        bytes
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    const NUMBERS: [&str; 9] =
        ["18446744073709551615", "99999999999999999999", "-1", "0", "8191", "8192", "0-8191,0-8191", "", "\0"];
    prop_oneof![
        garbage().prop_map(Damage::Replaced),
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5).prop_map(Damage::Flipped),
        any::<(prop::sample::Index, prop::sample::Index)>().prop_map(|(one, other)| Damage::Lines(one, other)),
        (any::<prop::sample::Index>(), prop::sample::select(&NUMBERS[..])).prop_map(|(at, n)| Damage::Number(at, n)),
    ]
}

/// The files of /proc/cpuinfo as other architectures write them (arch/*/kernel, `show_cpuinfo`).
const CPUINFO: [&str; 4] = [
    "processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdc_zicsr\nmmu\t\t: sv48\nuarch\t\t: sifive,u74-mc\n\
     mvendorid\t: 0x489\n\n",
    "vendor_id       : IBM/S390\n# processors    : 2\nbogomips per cpu: 3241.00\n\
     processor 0: version = 00,  identification = 0133E8,  machine = 2964\n",
    "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 2300.000000MHz\n\
     revision\t: 2.2 (pvr 004e 1202)\n\n",
    "system type\t\t: generic-loongson-machine\nprocessor\t\t: 0\npackage\t\t\t: 0\nCPU Family\t\t: Loongson-64bit\n\
     Model Name\t\t: 3A5000\nCPU MHz\t\t\t: 2500.00\n\n",
];

#[test]
fn cpuinfo_of_any_architecture_is_read() {
    let tree = tempfile::tempdir().unwrap();
    copy(&directory("vm-2cpu"), tree.path());
    let path = tree.path().join("proc/cpuinfo");
    let fixtures = FIXTURES.map(|name| fs::read_to_string(directory(name).join("proc/cpuinfo")).unwrap());
    let texts: Vec<&str> = CPUINFO.into_iter().chain(fixtures.iter().map(String::as_str)).collect();
    for text in &texts {
        fs::write(&path, text).unwrap();
        assert_eq!(exercise(&Root::at(tree.path())).topology.cpus.len(), 2, "what sysfs says holds: {text}");
    }
    proptest!(ProptestConfig::with_cases(100), |(text in 0..texts.len(), damage in damage())| {
        fs::write(&path, damage.done_to(texts[text].as_bytes())).unwrap();
        exercise(&Root::at(tree.path()));
    });
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
    let damage = prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..12);
    proptest!(ProptestConfig::with_cases(200), |(tree in 0..FIXTURES.len(), damage in damage)| {
        let (tree, paths) = &trees[tree];
        let mut whole = Vec::new();
        for (index, damage) in &damage {
            let path = index.get(paths);
            let before = fs::read(path).unwrap();
            fs::write(path, damage.done_to(&before)).unwrap();
            whole.push((path, before));
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
