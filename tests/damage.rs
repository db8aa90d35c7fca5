//! A thousand damaged records: every whole line of each is read, and what is broken is named by file and line.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod sample;

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use switchcost::compare::{Matching, compare, csv, json, markdown, table};
use switchcost::record::{
    BenchmarkLine, FILE, LONGEST_LINE, Line, RecordWriter, Run, Salvage, read, salvage, salvage_from,
};
use switchcost::report::{Catalogue, counter_tables, files, group_table, metrics_tables, notes, rounds_table};
use tempfile::TempDir;

/// A generator of the same damage in every run (xorshift64, Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

const NUMBERS: [&str; 12] = [
    "18446744073709551615",
    "9223372036854775808",
    "4294967295",
    "99999999999999999999999",
    "-1",
    "0",
    "1e308",
    "1e999",
    "-0.0",
    "0x10",
    "NaN",
    "null",
];

const WORDS: [&str; 8] =
    ["\"colour\":\"red\",", "\"schema\":2,", "\"schema\":1,", "{", "}", "\"", "\\", "\"round\":\"first\","];

/// Where the numbers of a line begin and end.
fn numbers(line: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let digits = line[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            found.push((at, at + digits));
        }
        at += digits.max(1);
    }
    found
}

/// A line with something wrong, mostly. It stays one line.
fn damaged(line: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut line = line.to_vec();
    let at = chance.below(line.len());
    match chance.below(10) {
        0 => line.truncate(at),
        1 => drop(line.drain(..at)),
        2 => (0..1 + chance.below(4)).for_each(|_| {
            let at = chance.below(line.len());
            line[at] ^= 1 << chance.below(8);
        }),
        3 => line[at] = 0,
        4 => line[at] = 0xff,
        5 | 6 => {
            let all = numbers(&line);
            if let Some(&(begin, end)) = all.get(chance.below(all.len())) {
                line.splice(begin..end, chance.of(&NUMBERS).bytes());
            }
        }
        7 => {
            let all = numbers(&line);
            if let Some(&(begin, end)) = all.get(chance.below(all.len())) {
                let depth = *chance.of(&[1, 100, 100_000]);
                line.splice(begin..end, "[".repeat(depth).bytes().chain("]".repeat(depth).bytes()));
            }
        }
        8 => drop(line.splice(at..at, chance.of(&WORDS).bytes())),
        _ => {
            let end = at + chance.below(line.len() - at);
            line.drain(at..end);
        }
    }
    line.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
    line
}

fn whole_lines() -> Vec<Vec<u8>> {
    let fixtures =
        ["record/schema-1", "record/schema-2", "report/three-rounds", "report/half-missing"].map(sample::fixture);
    let text = fixtures.iter().flat_map(|fixture| fs::read(fixture.join(FILE)).unwrap());
    let text: Vec<u8> = text.collect();
    let lines: Vec<Vec<u8>> =
        text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(Into::into).collect();
    // The same line twice is one measurement.
    lines.iter().enumerate().filter(|(at, line)| !lines[..*at].contains(line)).map(|(_, line)| line.clone()).collect()
}

/// A file of some of the lines, in any order, and which of them were damaged, from 1.
fn record(whole: &[Vec<u8>], seed: u64) -> (Vec<u8>, Vec<Vec<u8>>, BTreeSet<usize>) {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..8 {
        chance.below(1);
    }
    let mut left: Vec<&Vec<u8>> = whole.iter().collect();
    let (mut text, mut kept, mut broken) = (Vec::new(), Vec::new(), BTreeSet::new());
    for number in 1..=2 + chance.below(6) {
        let line = left.swap_remove(chance.below(left.len()));
        if chance.below(3) == 0 {
            text.extend(damaged(line, &mut chance));
            broken.insert(number);
        } else {
            text.extend(line);
            kept.push(line.clone());
        }
        let end = *chance.of(&["\n", "\n", "\r\n"]);
        text.extend(end.bytes());
    }
    (text, kept, broken)
}

fn of(text: &[u8]) -> Salvage {
    salvage_from(Cursor::new(text), Path::new(FILE)).unwrap()
}

/// Everything that is shown of a run, but for the page, which takes longest.
fn shown(run: &Run) {
    let lines = &run.benchmarks;
    let _ = (group_table(lines), counter_tables(lines), metrics_tables(lines), notes(lines), rounds_table(lines));
    let runs = [("a".to_string(), run.clone()), ("b".to_string(), run.clone())];
    let compared = compare(&runs, &Matching::Ids, 0.01);
    let _ = (table(&compared), markdown(&compared), csv(&compared), json(&compared));
}

fn page(run: &Run) {
    let _ = files(std::slice::from_ref(run), &Catalogue { groups: Vec::new(), mechanisms: Vec::new() });
}

/// Fails with the seed, by which `record` makes the file again.
fn unharmed(seed: u64, work: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(work)).is_ok(), "the record of seed {seed} made it panic");
}

#[test]
fn of_a_thousand_damaged_records_nothing_else_is_lost() {
    let whole = whole_lines();
    let alone: Vec<Run> = whole.iter().map(|line| of(line).run).collect();
    let (mut refused, mut read_on) = (0, 0);
    for seed in 0..1000 {
        let (text, kept, broken) = record(&whole, seed);
        let Salvage { run, damage } = of(&text);
        let named: BTreeSet<usize> = damage.iter().filter_map(|error| error.line()).collect();
        assert!(named.is_subset(&broken), "seed {seed}: {named:?} are named, {broken:?} were damaged");
        assert!(damage.iter().all(|error| error.to_string().starts_with("records.jsonl:")), "{damage:?}");
        for line in &kept {
            let alone = &alone[whole.iter().position(|whole| whole == line).unwrap()];
            let machine = alone.hosts.iter().all(|machine| run.hosts.contains(machine));
            let benchmark = alone.benchmarks.iter().all(|benchmark| run.benchmarks.contains(benchmark));
            assert!(machine && benchmark, "seed {seed}: a whole line is lost");
        }
        let lines = run.hosts.len() + run.benchmarks.len();
        assert!(lines + named.len() <= kept.len() + broken.len(), "seed {seed}: more lines than there are");
        // A line that was cut to nothing is an empty one, and what still is a record is read.
        assert!(lines + named.len() + broken.len() >= kept.len() + broken.len(), "seed {seed}: a line is not named");
        refused += named.len();
        read_on += usize::from(lines > kept.len());
        // Of what is shown only damaged lines that can still be read are of interest.
        let damaged = |line: &&BenchmarkLine| alone.iter().all(|alone| !alone.benchmarks.contains(*line));
        let damaged: Vec<BenchmarkLine> = run.benchmarks.iter().filter(damaged).cloned().collect();
        if !damaged.is_empty() {
            let run = Run { benchmarks: damaged, ..run };
            unharmed(seed, || shown(&run));
            if seed % 10 == 0 {
                unharmed(seed, || page(&run));
            }
        }
    }
    assert!(refused > 500, "the damage is none: {refused} lines were refused");
    assert!(read_on > 50, "no damaged number was read: {read_on}");
}

/// The program on a file of this text: `show`, `compare` with the fixture, `report`. What each ended with, and said.
fn program(text: &[u8]) -> (TempDir, Vec<(i32, String)>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    fs::write(&path, text).unwrap();
    let fixture = sample::fixture("report/three-rounds");
    let out = folder.path().join("report");
    let commands: [Vec<&Path>; 3] = [
        vec![Path::new("show"), &path],
        vec![Path::new("compare"), &path, &fixture],
        vec![Path::new("report"), &path, Path::new("--out"), &out],
    ];
    let run = |arguments: &Vec<&Path>| {
        let output = Command::new(env!("CARGO_BIN_EXE_switchcost")).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let ended = commands.iter().map(run).collect();
    (folder, ended)
}

#[test]
fn the_program_ends_with_a_status_and_one_line() {
    let whole = whole_lines();
    for seed in 0..24 {
        let (text, ..) = record(&whole, seed);
        let Salvage { run, damage } = of(&text);
        let (_folder, ended) = program(&text);
        for (status, told) in ended {
            assert!(!told.contains("panicked") && told.lines().count() <= 1, "seed {seed}: {told}");
            let fine = status == 0 && damage.is_empty();
            let of_file = damage.first().map_or(String::new(), |error| format!("{FILE}:{}: ", error.line().unwrap()));
            assert!(fine || (status == 2 && told.contains(&of_file)), "seed {seed}: status {status}: {told}");
        }
        drop(run);
    }
}

fn sample_text() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = RecordWriter::open(folder.path()).unwrap();
    sample::lines().iter().for_each(|line| writer.append(line).unwrap());
    fs::read(writer.path()).unwrap()
}

#[test]
fn marks_blank_lines_carriage_returns_and_repeated_lines_lose_and_add_nothing() {
    let text = String::from_utf8(sample_text()).unwrap();
    let expected = of(text.as_bytes()).run;
    let lines: Vec<&str> = text.lines().collect();
    let backwards: Vec<&str> = lines.iter().rev().copied().collect();
    for (what, other) in [
        ("a byte-order mark", format!("\u{feff}{text}")),
        ("an empty last line", format!("{text}\n")),
        ("carriage returns", text.replace('\n', "\r\n")),
        ("blank lines", text.replace('\n', "\n  \n")),
        ("no end of the last line", text.trim_end().to_string()),
        ("each benchmark twice", format!("{text}{}\n", lines[1..].join("\n"))),
    ] {
        let Salvage { run, damage } = of(other.as_bytes());
        assert!(damage.is_empty() && run == expected, "{what}: {damage:?}");
    }
    let Salvage { run, damage } = of(backwards.join("\n").as_bytes());
    assert!(damage.is_empty() && run.benchmarks.iter().all(|line| run.host(line) == expected.host(line)));
}

#[test]
fn a_later_field_and_a_later_schema_are_named_with_what_else_there_is() {
    let text = String::from_utf8(sample_text()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let write = |lines: &[String]| fs::write(&path, lines.join("\n") + "\n").unwrap();
    let mut lines: Vec<String> = text.lines().map(Into::into).collect();
    lines[2] = lines[2].replacen("\"round\":0", "\"round\":0,\"colour\":\"red\"", 1);
    lines[4] = lines[4].replacen("\"schema\":2", "\"schema\":999", 1);
    write(&lines);
    let told = read(&path).unwrap_err().to_string();
    assert!(told.contains(":3: ") && told.contains("`colour`"), "{told}");
    assert!(told.ends_with("; further broken lines: 1 (5); whole lines: 3, readable without what is broken"), "{told}");
    assert_eq!(salvage(&path).unwrap().run.benchmarks.len(), 2);
}

#[test]
fn a_line_of_two_hosts_keeps_each_to_its_own() {
    let [one, other] = ["intel-2socket-smt", "vm-2cpu"].map(sample::host_line);
    let lines = sample::lines();
    let [Line::Benchmark(mine), ..] = &lines[1..] else { panic!("a benchmark") };
    let theirs = switchcost::record::BenchmarkLine { host_id: other.id.clone(), ..(**mine).clone() };
    let folder = tempfile::tempdir().unwrap();
    let mut writer = RecordWriter::open(folder.path()).unwrap();
    for machine in [&one, &other] {
        writer.append(&Line::Host(Box::new(machine.clone()))).unwrap();
    }
    for line in [&theirs, &**mine] {
        writer.append(&Line::Benchmark(Box::new(line.clone()))).unwrap();
    }
    let run = read(folder.path()).unwrap();
    assert_eq!(run.host(&run.benchmarks[0]), Some(&other));
    assert_eq!(run.host(&run.benchmarks[1]), Some(&one));
    shown(&run);
    page(&run);
}

/// In a process whose memory is bounded: `show` of a record with a line of 100 MB, and of one with a line that is not
/// too long and would take thirty times its length as a tree of JSON values.
#[test]
fn a_line_of_100_mb_takes_no_100_mb() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let zeros = vec![b'0'; 100_000_000];
    let nested = |host: &str| format!("{{{host}:{{\"x\":[{}0]}}}}", "0,".repeat(2_000_000));
    let nested = ["\"schema\":1,\"machine\"", "\"schema\":2,\"host\""].map(nested);
    let text = sample_text();
    for (long, said) in [
        (&zeros[..], "a line of 100000001 bytes, and the longest has"),
        (nested[0].as_bytes(), "unknown field `x`"),
        (nested[1].as_bytes(), "unknown field `x`"),
    ] {
        let first = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let whole = [&text[..first], long, b"\n", &text[first..]].concat();
        fs::write(&path, whole).unwrap();
        // In KiB, of address space: the program, the longest line and a little.
        let most = (LONGEST_LINE >> 10) + (100 << 10);
        let script = format!(r#"ulimit -v {most}; exec "$0" show "$1""#);
        let output =
            Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_switchcost")]).arg(&path).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(&format!("{FILE}:2: ")) && told.contains(said) && told.lines().count() == 1, "{told}");
        assert!(told.contains("whole lines: 5"), "{told}");
    }
}

#[test]
fn a_writer_cuts_a_torn_line_of_any_length() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(FILE);
    let whole = sample_text();
    for torn in [1, 65_535, 65_536, 65_537, 300_000] {
        fs::write(&path, [&whole[..], &vec![b'x'; torn]].concat()).unwrap();
        drop(RecordWriter::open(folder.path()).unwrap());
        assert!(fs::read(&path).unwrap() == whole, "a torn line of {torn} bytes");
        fs::write(&path, vec![b'x'; torn]).unwrap();
        assert!(RecordWriter::open(folder.path()).unwrap().is_new(), "nothing but a torn line of {torn} bytes");
    }
}
