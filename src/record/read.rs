//! Reading a run back: every whole line of it, and by file and line what is none.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::archive::{is_bundle, open_bundle};
use super::schema::{BenchmarkLine, HostLine, Line, SCHEMA};
use super::store::{FILE, LONGEST_LINE, RecordError};
use super::version1;
use crate::units::CpuId;

/// A run, read back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Run {
    /// Where it was read.
    pub path: PathBuf,
    /// The machines, one for each process that wrote; the same machine may stand there many times.
    pub hosts: Vec<HostLine>,
    /// The benchmarks, in the order in which they were measured.
    pub benchmarks: Vec<BenchmarkLine>,
    /// Whether the last line was torn by a kill, and is lost.
    pub torn: bool,
}

impl Run {
    /// The machine that `line` was measured on.
    pub fn host(&self, line: &BenchmarkLine) -> Option<&HostLine> {
        self.hosts.iter().find(|host| host.id == line.host_id)
    }
}

/// A file with everything of it that could be read.
#[derive(Debug, Default)]
pub struct Salvage {
    /// The whole lines.
    pub run: Run,
    /// Each line that is broken or of a later version, in the file's order.
    pub damage: Vec<RecordError>,
}

/// Reads a run: its folder, the file itself, or a bundle of it. Where lines of one id were measured on other CPUs,
/// their ids say on which.
///
/// # Errors
/// When it cannot be opened, holds no record, or a line but the last is none of a version that is read; file and line
/// are named.
pub fn read(path: &Path) -> Result<Run, RecordError> {
    whole(salvage(path)?)
}

/// The run of `salvage`, where nothing of it is broken.
///
/// # Errors
/// As [`read`].
pub fn whole(salvage: Salvage) -> Result<Run, RecordError> {
    let Salvage { run, damage } = salvage;
    let whole = run.hosts.len() + run.benchmarks.len();
    let mut damage = damage.into_iter();
    match damage.next() {
        None if whole == 0 => Err(RecordError::Empty { path: run.path }),
        None => {
            let mut run = run;
            set_apart_by_cpus(&mut run.benchmarks);
            Ok(run)
        }
        Some(RecordError::Broken { path, line, reason, .. }) => {
            let others: Vec<usize> = damage.filter_map(|error| error.line()).collect();
            Err(RecordError::Broken { path, line, reason, rest: rest(&others, whole) })
        }
        Some(first) => Err(first),
    }
}

/// Reads of a run only the machines, and the benchmarks called one of `ids`: a record of many benchmarks takes seconds.
/// What is broken in another line is not noticed.
///
/// # Errors
/// As [`read`].
pub fn read_only(path: &Path, ids: &[&str]) -> Result<Run, RecordError> {
    if is_bundle(path) {
        return read(path);
    }
    let path = if path.is_dir() { path.join(FILE) } else { path.to_path_buf() };
    let text = std::fs::read_to_string(&path).map_err(RecordError::io(&path))?;
    let quoted: Vec<String> = ids.iter().map(|id| format!("\"id\":\"{id}\"")).collect();
    // A line that is left out stays an empty one, so that messages name the right one.
    let kept = |line: &str| !line.contains("\"benchmark\"") || quoted.iter().any(|id| line.contains(id));
    let kept = text.split_inclusive('\n').map(|line| if kept(line) { line } else { "\n" }).collect::<String>();
    let Salvage { run, mut damage } = salvage_from(kept.as_bytes(), &path)?;
    damage.drain(..).next().map_or(Ok(run), Err)
}

/// Broken lines after which reading stops: a file that consists of them would fill the memory with messages.
const MOST_DAMAGE: usize = 100_000;

/// How many broken lines are named by number.
const NAMED: usize = 8;

/// Lines of one id that were measured on other CPUs are no rounds of one figure: in such a record each id says which it
/// is of, as `handoff/pipe/same-cpu/on_cpus=1`. Lines that do not say (version 1 has such) are left as they are.
fn set_apart_by_cpus(benchmarks: &mut [BenchmarkLine]) {
    let mut cpus: HashMap<&str, HashSet<&[CpuId]>> = HashMap::new();
    for line in benchmarks.iter().filter(|line| !line.setting.cpus.is_empty()) {
        cpus.entry(&line.id).or_default().insert(&line.setting.cpus);
    }
    let several = cpus.into_iter().filter(|(_, cpus)| cpus.len() > 1).map(|(id, _)| id.to_string());
    let several: HashSet<String> = several.collect();
    for line in benchmarks.iter_mut().filter(|line| several.contains(&line.id) && !line.setting.cpus.is_empty()) {
        line.id = line.id_with_cpus();
    }
}

fn rest(others: &[usize], whole: usize) -> String {
    let broken = match others {
        [] => String::new(),
        others => {
            let named: Vec<String> = others.iter().take(NAMED).map(ToString::to_string).collect();
            let more = if others.len() > NAMED { ", …" } else { "" };
            format!("; further broken lines: {} ({}{more})", others.len(), named.join(", "))
        }
    };
    match whole {
        0 => broken,
        whole => format!("{broken}; whole lines: {whole}, readable without what is broken"),
    }
}

const PAIRED: &str = "a paired comparison, which is two runs and not one: show, report, export and compare with no \
                      other run beside it read it";

/// Reads every whole line of a run, and tells of each other one what is wrong with it. A line that stands there twice,
/// byte for byte, is one measurement, and is read once.
///
/// # Errors
/// When the file cannot be opened or read, or is a device, which may never end.
pub fn salvage(path: &Path) -> Result<Salvage, RecordError> {
    if is_bundle(path) {
        let mut bundle = open_bundle(path)?;
        return match (bundle.records.pop(), bundle.records.is_empty()) {
            (Some(salvage), true) => Ok(salvage),
            _ => {
                let reason = format!("a bundle of {PAIRED}");
                Err(RecordError::Bundle { path: path.into(), reason })
            }
        };
    }
    let path = if path.is_dir() { path.join(FILE) } else { path.to_path_buf() };
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.ends_with(FILE) => {
            let folder = path.parent().unwrap_or(&path);
            if ["a", "b"].iter().all(|side| folder.join(side).join(FILE).exists()) {
                return Err(RecordError::Bundle { path: folder.into(), reason: PAIRED.into() });
            }
            return Err(RecordError::Empty { path });
        }
        other => other.map_err(RecordError::io(&path))?,
    };
    if file.metadata().is_ok_and(|metadata| metadata.file_type().is_char_device()) {
        return Err(RecordError::io(&path)(io::Error::new(io::ErrorKind::NotFound, "it is a device, and no record")));
    }
    salvage_from(BufReader::new(file), &path)
}

/// The same from `file`, which messages call `path`.
///
/// # Errors
/// When it cannot be read.
pub fn salvage_from(mut file: impl BufRead, path: &Path) -> Result<Salvage, RecordError> {
    let mut salvage = Salvage { run: Run { path: path.into(), ..Run::default() }, ..Salvage::default() };
    let (mut line, mut seen) = (Vec::new(), HashSet::new());
    for number in 1.. {
        let length = next_line(&mut file, &mut line).map_err(RecordError::io(path))?;
        if length == 0 {
            break;
        }
        // An editor's byte-order mark (RFC 8259 leaves it to the reader), its empty last line, its carriage returns.
        let mark: &[u8] = if number == 1 { b"\xef\xbb\xbf" } else { b"" };
        let text = line.strip_prefix(mark).unwrap_or(&line);
        if text.trim_ascii().is_empty() {
            continue;
        }
        match decode(text, length).map_err(|fault| fault.at(path, number)) {
            Ok(Line::Host(host)) => salvage.run.hosts.push(*host),
            Ok(Line::Benchmark(benchmark)) => {
                let repeated = !seen.insert(hash(text.trim_ascii()));
                if !(repeated && salvage.run.benchmarks.contains(&benchmark)) {
                    salvage.run.benchmarks.push(*benchmark);
                }
            }
            // Only a line without its end can be one that a kill tore.
            Err(RecordError::Broken { .. }) if !line.ends_with(b"\n") && length <= LONGEST_LINE && number > 1 => {
                salvage.run.torn = true;
            }
            Err(error) => salvage.damage.push(error),
        }
        if salvage.damage.len() >= MOST_DAMAGE {
            break;
        }
    }
    Ok(salvage)
}

/// Reads a line with its end into `line`, up to [`LONGEST_LINE`] bytes of it, and returns how long it is; 0 at the end
/// of the file.
fn next_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    let mut length = file.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', line)?;
    if length == LONGEST_LINE && !line.ends_with(b"\n") {
        length += file.skip_until(b'\n')?;
    }
    Ok(length)
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

/// Why a line cannot be read.
pub(super) enum Fault {
    Broken(String),
    OtherSchema(u64),
}

impl Fault {
    fn at(self, path: &Path, line: usize) -> RecordError {
        let path = path.into();
        match self {
            Self::Broken(reason) => RecordError::Broken { path, line, reason, rest: String::new() },
            Self::OtherSchema(found) => RecordError::OtherSchema { path, line, found: found.to_string() },
        }
    }
}

/// What every line of every schema has; the rest is passed over.
#[derive(Deserialize)]
struct LineVersion {
    schema: Option<u64>,
}

/// A line of this version. Not read by way of a `serde_json::Value`, which takes thirty times the memory of its text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    #[serde(rename = "schema")]
    _schema: IgnoredAny,
    host: Option<Box<HostLine>>,
    benchmark: Option<Box<BenchmarkLine>>,
}

fn decode(line: &[u8], length: usize) -> Result<Line, Fault> {
    let broken = |reason: &str| Fault::Broken(reason.into());
    if length > LONGEST_LINE {
        return Err(Fault::Broken(format!("a line of {length} bytes, and the longest has {LONGEST_LINE}")));
    }
    if let Some(what) = something_else(line) {
        return Err(broken(what));
    }
    let text = std::str::from_utf8(line).map_err(|_| broken("not text"))?;
    // A struct may be written as an array in serde_json's eyes.
    if !text.trim_start().starts_with('{') {
        return Err(broken("not a JSON object"));
    }
    let version: LineVersion = serde_json::from_str(text).map_err(of_json)?;
    match version.schema {
        Some(1) => return version1::line(text),
        Some(version) if version == u64::from(SCHEMA) => {}
        Some(other) => return Err(Fault::OtherSchema(other)),
        None => return Err(broken("it names no schema")),
    }
    let whole: Whole = serde_json::from_str(text).map_err(of_json)?;
    one_of(whole.host, whole.benchmark)
}

/// The one that a line holds.
pub(super) fn one_of(host: Option<Box<HostLine>>, benchmark: Option<Box<BenchmarkLine>>) -> Result<Line, Fault> {
    match (host, benchmark) {
        (Some(host), None) => Ok(Line::Host(host)),
        (None, Some(benchmark)) => Ok(Line::Benchmark(benchmark)),
        (None, None) => Err(Fault::Broken("neither a host nor a benchmark".into())),
        (Some(_), Some(_)) => Err(Fault::Broken("a host and a benchmark in one line".into())),
    }
}

/// The benchmark that a process of a round answers with: a line of the record ([`line_text`](super::line_text)). A
/// program of before version 2 answers with the benchmark alone.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_answer(text: &[u8]) -> Result<BenchmarkLine, String> {
    let json = |error: serde_json::Error| error.to_string();
    let version: LineVersion = serde_json::from_slice(text).map_err(json)?;
    if version.schema.is_none() {
        return version1::benchmark(text);
    }
    match decode(text, text.len()) {
        Ok(Line::Benchmark(benchmark)) => Ok(*benchmark),
        Ok(Line::Host(_)) => Err("it is no benchmark".into()),
        Err(Fault::Broken(reason)) => Err(reason),
        Err(Fault::OtherSchema(found)) => Err(format!("schema {found}, and this program reads schemas 1 to {SCHEMA}")),
    }
}

/// The parser counts lines too, and sees but one.
///
/// A later version may have a field or a word more without being another schema; this one could not tell what it means,
/// and to pass over it would be to guess.
pub(super) fn of_json(error: serde_json::Error) -> Fault {
    let told = error.to_string().replace(" at line 1 column ", " at column ");
    // `unknown field `x`, expected one of `a`, `b`, … at column 7`
    let is_unknown = told.starts_with("unknown field `") || told.starts_with("unknown variant `");
    match told.split_once(", expected ").filter(|_| is_unknown) {
        Some((unknown, _)) => Fault::Broken(format!(
            "{unknown}, which this version ({}) does not have; the switchcost that wrote it, a later one, reads it",
            env!("CARGO_PKG_VERSION")
        )),
        None => Fault::Broken(told),
    }
}

/// What a file is that is no record but known by how it begins: something went wrong on its way here.
fn something_else(text: &[u8]) -> Option<&'static str> {
    let begins = |with: &[u8]| text.starts_with(with);
    if begins(b"\xff\xfe") || begins(b"\xfe\xff") {
        return Some("it is UTF-16, as `>` of some shells writes it; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)");
    }
    if begins(b"\x1f\x8b") || begins(b"\x28\xb5\x2f\xfd") {
        return Some("it is compressed; decompress it first (gunzip, zstd -d)");
    }
    begins(b"version https://git-lfs").then_some("it is a pointer of Git LFS; fetch the file itself (git lfs pull)")
}
