//! One file of a machine's `/proc` or `/sys` with any bytes in it. The first byte says which file.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use switchcost::host::limits::{Demand, Limits};
use switchcost::host::Root;
use switchcost::terms::{Host, Moment, noise::warnings};
use tempfile::TempDir;

struct Tree {
    folder: TempDir,
    files: Vec<PathBuf>,
}

fn copy(from: &Path, to: &Path, files: &mut Vec<PathBuf>) {
    fs::create_dir_all(to).expect("a folder for the tree");
    for entry in fs::read_dir(from).expect("the fixture").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target, files);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
            files.push(target);
        }
    }
}

fn tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/host/vm-2cpu");
        let mut files = Vec::new();
        copy(&fixture, folder.path(), &mut files);
        files.sort_unstable();
        Tree { folder, files }
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let tree = tree();
    let file = &tree.files[usize::from(*which) % tree.files.len()];
    let whole = fs::read(file).expect("the file");
    fs::write(file, bytes).expect("room for the file");
    let root = Root::at(tree.folder.path());
    let (host, moment, limits) = (Host::observe(&root), Moment::observe(&root), Limits::observe(&root));
    let demand = Demand { threads: 5, descriptors: 5, ..Demand::default() };
    let _ = (host.id(), warnings(&host, &moment), limits.judge(demand));
    fs::write(file, whole).expect("room for the file");
});
