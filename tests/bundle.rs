//! Bundles, end to end: what is packed is read as the run itself and names no person, and what is no bundle or a
//! hostile one is refused in one line.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use switchcost::record::{Bundle, Line, Run, line_text, open_bundle, read};
use tempfile::{TempDir, tempdir};

const ROUNDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/report/three-rounds");
const NAMED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/record/schema-2");

struct Ended {
    status: i32,
    out: String,
    err: String,
}

fn ran(arguments: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_switchcost")).args(arguments).env("USER", "erika").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// The one line with which a file is refused.
fn refused(file: &Path) -> String {
    let ended = ran(&["show", file.to_str().unwrap()]);
    assert_eq!((ended.status, ended.err.lines().count()), (2, 1), "{}{}", ended.out, ended.err);
    assert!(ended.out.is_empty(), "{}", ended.out);
    ended.err
}

fn packed(run: &str, more: &[&str]) -> (TempDir, PathBuf, String) {
    let folder = tempdir().unwrap();
    let file = folder.path().join("host.tar.zst");
    let ended = ran(&[&["bundle", run, "--out", file.to_str().unwrap()], more].concat());
    assert_eq!((ended.status, ended.err.as_str()), (0, ""));
    (folder, file, ended.out)
}

fn text(run: &Run) -> String {
    let hosts = run.hosts.iter().map(|host| Line::Host(Box::new(host.clone())));
    let lines = hosts.chain(run.benchmarks.iter().map(|line| Line::Benchmark(Box::new(line.clone()))));
    lines.map(|line| line_text(&line).unwrap() + "\n").collect()
}

#[test]
fn a_bundle_is_read_as_the_run_it_was_made_of() {
    let (folder, file, _) = packed(ROUNDS, &["--no-private"]);
    let (run, bundled) = (read(Path::new(ROUNDS)).unwrap(), read(&file).unwrap());
    assert_eq!((bundled.hosts, bundled.benchmarks), (run.hosts, run.benchmarks));
    let name = file.to_str().unwrap();
    assert_eq!(ran(&["show", name]).out, ran(&["show", ROUNDS]).out);
    let compared = ran(&["compare", ROUNDS, name]);
    assert_eq!((compared.status, compared.err.as_str()), (0, ""));
    let page = ran(&["report", name, ROUNDS]);
    assert_eq!((page.status, page.err.as_str()), (0, ""));
    assert_eq!(page.out.trim(), folder.path().join("report/index.html").to_str().unwrap());
    assert_eq!(
        ran(&["export", "--sql", "-", name]).out.replace(name, ROUNDS),
        ran(&["export", "--sql", "-", ROUNDS]).out
    );
}

#[test]
fn a_bundle_names_nobody_and_says_what_it_leaves_out() {
    let folder = tempdir().unwrap();
    let mut run = read(Path::new(NAMED)).unwrap();
    let host = &mut run.hosts[0];
    host.argv = ["switchcost", "run", "--out", "/home/erika/secret", "--rounds", "5"].map(String::from).to_vec();
    host.host.kernel.release = Some("6.8.0-erika".into());
    std::fs::write(folder.path().join("records.jsonl"), text(&run)).unwrap();

    let (_kept, file, told) = packed(folder.path().to_str().unwrap(), &[]);
    let private = read(&file).unwrap();
    let whole = text(&private);
    for gone in ["erika", "/home", "secret", "UUID=6a1c", "user.slice", "session-3.scope"] {
        assert!(!whole.contains(gone), "{gone} is in it");
    }
    assert!(told.contains("left out: ") && told.contains("words of command lines"), "{told}");
    assert!(told.contains("boot parameters") && told.contains("host and user names"), "{told}");
    assert_eq!(private.hosts[0].argv.join(" "), "switchcost run --out (left out) --rounds 5");
    assert_eq!(private.hosts[0].id, run.hosts[0].id, "it is the same host");
    assert_eq!(private.benchmarks.len(), run.benchmarks.len());

    // The owner and the time of the file are none of the packer's.
    let (_kept, again, _) = packed(folder.path().to_str().unwrap(), &[]);
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&again).unwrap(), "the same run is the same bytes");

    let (_kept, kept, told) = packed(folder.path().to_str().unwrap(), &["--no-private"]);
    assert!(text(&read(&kept).unwrap()).contains("/home/erika/secret") && told.contains("as recorded"), "{told}");
}

#[test]
fn a_bundle_that_is_there_is_not_overwritten() {
    let (_folder, file, _) = packed(ROUNDS, &[]);
    let before = std::fs::read(&file).unwrap();
    let ended = ran(&["bundle", ROUNDS, "--out", file.to_str().unwrap()]);
    assert_eq!((ended.status, ended.err.lines().count()), (2, 1), "{}", ended.err);
    let ended = ran(&["run", "^syscall/getppid/same-cpu", "--bundle", file.to_str().unwrap()]);
    assert_eq!((ended.status, ended.out.as_str()), (2, ""), "before anything is measured");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

/// A tar entry: name, kind, content.
type Entry<'a> = (&'a str, tar::EntryType, &'a [u8]);

const REGULAR: tar::EntryType = tar::EntryType::Regular;

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(*kind);
        // `set_path` refuses `..`, and so would no attacker.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn file_of(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let file = folder.path().join("sent.tar.zst");
    std::fs::File::create(&file).unwrap().write_all(bytes).unwrap();
    (folder, file)
}

fn told(entries: &[Entry]) -> String {
    let (_folder, file) = file_of(&compress_to_vec(archive(entries).as_slice(), CompressionLevel::Fastest));
    refused(&file)
}

fn manifest(layout: u32, schema: u32, length: usize) -> String {
    format!(
        "{{\"switchcost_bundle\":{layout},\"schema\":{schema},\"version\":\"9.9.9\",\"files\":{{\"records.jsonl\":\
         {length}}},\"left_out\":[]}}"
    )
}

#[test]
fn bundles_of_another_version_say_which() {
    let line = told(&[("bundle.json", REGULAR, manifest(1, 77, 0).as_bytes())]);
    assert!(line.contains("schema 77 (written by switchcost 9.9.9)") && line.contains("use the version"), "{line}");
    let line = told(&[("bundle.json", REGULAR, manifest(2, 2, 0).as_bytes())]);
    assert!(line.contains("layout 2") && line.contains("reads layout 1"), "{line}");
}

#[test]
fn what_is_no_bundle_is_told() {
    let compressed = |bytes: &[u8]| file_of(&compress_to_vec(bytes, CompressionLevel::Fastest));
    let record = std::fs::read(Path::new(NAMED).join("records.jsonl")).unwrap();
    let (_folder, file) = compressed(&record);
    let line = refused(&file);
    assert!(line.contains("no bundle of switchcost's") && line.contains("zstd -d"), "a compressed record: {line}");
    let line = told(&[("photo.jpg", REGULAR, b"x")]);
    assert!(line.contains("`photo.jpg`, which no bundle of switchcost's does"), "{line}");
    let line = told(&[("records.jsonl", REGULAR, &record)]);
    assert!(line.contains("does not begin with bundle.json"), "{line}");
    let (_folder, file) = file_of(&[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff]);
    assert!(refused(&file).contains("cut short or damaged"));
    let (_folder, file) = compressed(b"");
    assert!(refused(&file).contains("no bundle"));
}

#[test]
fn a_truncated_bundle_is_told_wherever_it_was_cut() {
    let (_folder, file, _) = packed(NAMED, &[]);
    let whole = std::fs::read(&file).unwrap();
    for length in [whole.len() - 1, whole.len() - 4, whole.len() * 3 / 4, whole.len() / 2, 40] {
        let (_folder, cut) = file_of(&whole[..length]);
        let line = refused(&cut);
        assert!(line.contains("cut short or damaged") || line.contains("no bundle"), "{length} bytes: {line}");
    }
    // Damage in the middle is seen too, whatever it decodes to.
    let mut damaged = whole.clone();
    let middle = whole.len() * 2 / 3;
    damaged[middle] ^= 0x55;
    let (_folder, file) = file_of(&damaged);
    refused(&file);
}

#[test]
fn hostile_entries_are_refused_and_nothing_is_unpacked() {
    let record = std::fs::read(Path::new(NAMED).join("records.jsonl")).unwrap();
    let head = manifest(1, 2, record.len());
    let first: Entry = ("bundle.json", REGULAR, head.as_bytes());
    let whole: Entry = ("records.jsonl", REGULAR, &record);
    for (entry, word) in [
        (("../../etc/cron.d/x", REGULAR, &b"x"[..]), "a file `../../etc/cron.d/x`"),
        (("/etc/passwd", REGULAR, b"x"), "a file `/etc/passwd`"),
        (("records.jsonl", tar::EntryType::Symlink, b""), "a symbolic link `records.jsonl`"),
        (("records.jsonl", tar::EntryType::Link, b""), "a hard link"),
        (("a", tar::EntryType::Directory, b""), "a folder"),
        (("records.jsonl", tar::EntryType::Char, b""), "a device"),
        (("././@LongLink", tar::EntryType::GNULongName, b"x"), "an extension of tar"),
    ] {
        let line = told(&[first, entry]);
        assert!(line.contains(word) && line.contains("nothing of it was unpacked"), "{line}");
    }
    let line = told(&[first, whole, whole]);
    assert!(line.contains("stands there twice"), "{line}");
    let line = told(&[first, ("records.jsonl", REGULAR, &record[..100])]);
    assert!(line.contains(&format!("has 100 bytes of {}", record.len())), "{line}");
    let line = told(&[first]);
    assert!(line.contains("records.jsonl is missing"), "{line}");
    // The bundle that they all nearly are is one.
    let (_folder, file) = file_of(&compress_to_vec(archive(&[first, whole]).as_slice(), CompressionLevel::Fastest));
    let Bundle { records, .. } = open_bundle(&file).unwrap();
    assert_eq!(records[0].run.benchmarks, read(Path::new(NAMED)).unwrap().benchmarks);
}

#[test]
fn a_bomb_is_left_after_a_moment() {
    let spaces = vec![b' '; 20 << 20];
    let line =
        told(&[("bundle.json", REGULAR, manifest(1, 2, spaces.len()).as_bytes()), ("records.jsonl", REGULAR, &spaces)]);
    assert!(line.contains("far more than a bundle of its size"), "{line}");
}

/// The run of a fixture, changed, as a folder.
fn changed(change: impl Fn(&mut Run)) -> TempDir {
    let folder = tempdir().unwrap();
    let mut run = read(Path::new(ROUNDS)).unwrap();
    change(&mut run);
    std::fs::write(folder.path().join("records.jsonl"), text(&run)).unwrap();
    folder
}

#[test]
fn two_hosts_with_one_id_are_refused() {
    let other = changed(|run| run.hosts.iter_mut().for_each(|host| host.host.processor.model = Some("Other".into())));
    for verb in ["compare", "report"] {
        let ended = ran(&[verb, ROUNDS, other.path().to_str().unwrap()]);
        assert_eq!((ended.status, ended.err.lines().count()), (2, 1), "{verb}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains("two machines with one host id") && ended.err.contains("Other"), "{}", ended.err);
    }
}

#[test]
fn a_clock_a_year_off_is_one_line_and_the_rest_goes_on() {
    const YEAR: u64 = 365 * 86_400_000;
    let ahead = changed(|run| {
        let now = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        run.hosts.iter_mut().for_each(|host| host.started_ms = now + YEAR);
    });
    let ended = ran(&["show", ahead.path().to_str().unwrap()]);
    assert_eq!((ended.status, ended.err.lines().count()), (0, 1), "{}", ended.err);
    assert!(ended.err.contains("its clock said ") && ended.err.contains("not to be relied on"), "{}", ended.err);
    assert!(!ended.out.is_empty());
}

/// A paired comparison of two programs of one name, measured into `cmp` of a folder, and its bundle beside it.
fn paired() -> (TempDir, PathBuf, PathBuf) {
    let root = tempdir().unwrap();
    let program = root.path().join("switchcost");
    let own = env!("CARGO_BIN_EXE_switchcost");
    std::fs::hard_link(own, &program).or_else(|_| std::fs::copy(own, &program).map(drop)).unwrap();
    let (folder, file) = (root.path().join("cmp"), root.path().join("cmp.tar.zst"));
    let words = "compare --paired ^syscall/getppid/same-cpu --rounds 2 --measure 20ms --samples 10 --warm-up 1ms \
                 --no-audit --no-counters --b-program";
    let words: Vec<&str> = words.split_whitespace().chain([program.to_str().unwrap(), "--a-program"]).collect();
    let ended = ran(&[&words[..], &[own, "--out", folder.to_str().unwrap()]].concat());
    assert_eq!(ended.status, 0, "{}", ended.err);
    let ended = ran(&["bundle", folder.to_str().unwrap(), "--out", file.to_str().unwrap()]);
    assert_eq!((ended.status, ended.err.as_str()), (0, ""));
    (root, folder, file)
}

#[test]
fn a_bundle_of_a_paired_comparison_is_read_as_the_comparison() {
    let (root, folder, file) = paired();
    let (folder, name) = (folder.to_str().unwrap(), file.to_str().unwrap());
    // The paths of the programs are left out, and that there are two is not.
    let alike = |text: &str, run: &str| -> Vec<String> {
        let lines = text.replace(run, "RUN").replace(".tar.zst", "");
        lines.lines().map(|line| line.split(" (program ").next().unwrap().to_string()).collect()
    };
    for verb in ["show", "compare"] {
        let (of_file, of_folder) = (ran(&[verb, name]), ran(&[verb, folder]));
        assert_eq!((of_file.status, of_file.err.as_str()), (of_folder.status, ""), "{verb}");
        assert_eq!(alike(&of_file.out, name), alike(&of_folder.out, folder), "{verb}");
        assert!(of_file.out.contains("(program switchcost of B)"), "{}", of_file.out);
        assert!(!of_file.out.contains(env!("CARGO_MANIFEST_DIR")), "{}", of_file.out);
    }
    let out = root.path().join("report");
    let page = ran(&["report", name, folder, "--out", out.to_str().unwrap()]);
    assert_eq!((page.status, page.err.as_str()), (0, ""), "both sides of both are runs");
    let rows = ran(&["export", "--csv", root.path().join("rounds.csv").to_str().unwrap(), name]);
    assert_eq!((rows.status, rows.err.as_str()), (0, ""));
    let rows = std::fs::read_to_string(root.path().join("rounds.csv")).unwrap();
    assert_eq!(rows.lines().count(), 1 + 2 * 2, "two rounds of both sides: {rows}");
    // Beside another run it is refused, packed or not, and told what it is.
    for (path, word) in [(name, "a bundle of a paired comparison"), (folder, "a paired comparison, which is two runs")]
    {
        let ended = ran(&["compare", path, ROUNDS]);
        assert_eq!((ended.status, ended.err.lines().count()), (2, 1), "{}{}", ended.out, ended.err);
        assert!(ended.err.contains(word), "{}", ended.err);
    }
}

#[test]
fn a_bundle_that_is_packed_again_says_all_that_is_left_out() {
    let (folder, file, told) = packed(NAMED, &[]);
    let again = folder.path().join("again.tar.zst");
    let ended = ran(&["bundle", file.to_str().unwrap(), "--out", again.to_str().unwrap()]);
    let left_out = |text: &str| text.lines().find(|line| line.starts_with("left out: ")).map(String::from);
    assert_eq!((ended.status, left_out(&ended.out)), (0, left_out(&told)));
    assert!(left_out(&told).is_some_and(|line| line.contains("boot parameters")), "{told}");
    assert_eq!(open_bundle(&again).unwrap().left_out, open_bundle(&file).unwrap().left_out);
}
