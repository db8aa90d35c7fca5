//! The whole room over fixture trees, damaged trees and the machine that runs the tests.

mod architectures;
mod damage;
mod fingerprint;
mod limits;
mod noise;
mod topology;

use std::path::{Path, PathBuf};

use crate::host::Root;
use crate::host::limits::Demand;
use crate::terms::{Host, host::Relation};

const FIXTURES: [&str; 5] = ["intel-2socket-smt", "amd-two-ccx", "arm64-vm-nocache", "vm-2cpu", "riscv64-virt"];

const RELATIONS: [Relation; 5] =
    [Relation::SameCpu, Relation::SmtSibling, Relation::SameLlc, Relation::CrossLlc, Relation::CrossNode];

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/host").join(name)
}

fn root(name: &str) -> Root {
    Root::at(directory(name))
}

fn host(name: &str) -> Host {
    Host::observe(&root(name))
}

/// A fixture whose files of these names have another content.
fn with_files(name: &str, files: &[(&str, &str)]) -> Host {
    let copied = tempfile::tempdir().unwrap();
    damage::copy(&directory(name), copied.path());
    for (path, text) in files {
        std::fs::write(copied.path().join(path), format!("{text}\n")).unwrap();
    }
    Host::observe(&Root::at(copied.path()))
}

/// The first pair of every relation, in the order of `RELATIONS`.
fn pairs(host: &Host) -> Vec<Option<(usize, usize)>> {
    let online = host.topology.online();
    let pair = |relation| host.topology.pair(relation, &online).map(|(a, b)| (a.0, b.0));
    RELATIONS.into_iter().map(pair).collect()
}

fn unread(host: &Host) -> Vec<&str> {
    host.unread.iter().map(|line| line.what.as_str()).collect()
}

fn descriptors(descriptors: u64) -> Demand {
    Demand { descriptors, ..Demand::default() }
}

fn threads(threads: u64) -> Demand {
    Demand { threads, ..Demand::default() }
}
