//! A run, or both sides of a paired comparison, as one file that can be sent: a tar archive compressed by zstd.
//!
//! Its first entry, [`MANIFEST`], says what the others are and how long each is. Nothing of it is ever unpacked to a
//! disk: entries are read as they stand, and one that no bundle has (another name, a link, a device) ends the reading.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress};
use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

use super::private::LeftOut;
use super::read::{Run, Salvage, salvage_from};
use super::schema::{HostLine, Line, SCHEMA};
use super::store::{FILE, RecordError, line_text};

/// The entry that describes a bundle.
const MANIFEST: &str = "bundle.json";

/// The plan of a paired comparison.
const PLAN: &str = "plan.json";

/// The version of the layout, which is apart from that of the record's schema.
const LAYOUT: u32 = 1;

/// What the names of entries may be.
const NAMES: [&str; 5] = [MANIFEST, PLAN, FILE, "a/records.jsonl", "b/records.jsonl"];

/// Bytes that a bundle may unpack to: fifty times the longest run so far.
const MOST: u64 = 2 << 30;

/// How many times its size a bundle may unpack to. Records shrink to a fifth or a tenth; archives that are made to fill
/// a machine's memory, to a thousandth.
const RATIO: u64 = 100;

/// Small bundles are not judged by their ratio.
const FLOOR: u64 = 16 << 20;

/// Bytes of a manifest.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// How a zstd frame begins (RFC 8878, section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Where a tar header has its magic, and what it is (POSIX.1, pax, "ustar Interchange Format").
const USTAR: (u64, [u8; 5]) = (257, *b"ustar");

/// The first entry of a bundle.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    switchcost_bundle: u32,
    schema: u32,
    version: String,
    files: BTreeMap<String, u64>,
    left_out: Vec<LeftOut>,
}

/// What a bundle is made of.
#[derive(Debug, Default)]
pub struct BundleContent {
    /// The plan of a paired comparison, as JSON.
    pub plan: Option<String>,
    /// The records, one or both sides'.
    pub runs: Vec<Run>,
    /// What was left out of them.
    pub left_out: Vec<LeftOut>,
}

/// A bundle that was opened, with everything of it that could be read.
#[derive(Debug, Default)]
pub struct Bundle {
    /// The plan of a paired comparison.
    pub plan: Option<String>,
    /// The records, one or both sides'.
    pub records: Vec<Salvage>,
    /// What was left out of them.
    pub left_out: Vec<LeftOut>,
}

/// Whether the file begins as a bundle does: compressed by zstd, or as a tar archive. Folders and pipes do not.
pub fn is_bundle(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
        && File::open(path).is_ok_and(|mut file| is_compressed(&mut file) || is_tar(&mut file))
}

fn is_compressed(file: &mut File) -> bool {
    let mut begin = [0; 4];
    file.rewind().is_ok() && file.read_exact(&mut begin).is_ok() && begin == ZSTD
}

fn is_tar(file: &mut File) -> bool {
    let mut magic = [0; 5];
    file.seek(SeekFrom::Start(USTAR.0)).is_ok() && file.read_exact(&mut magic).is_ok() && magic == USTAR.1
}

/// Opens a bundle.
///
/// # Errors
/// When it cannot be read, is cut short, is none, or has an entry that no bundle has.
pub fn open_bundle(path: &Path) -> Result<Bundle, RecordError> {
    let mut file = File::open(path).map_err(RecordError::io(path))?;
    let length = file.metadata().map_err(RecordError::io(path))?.len();
    let compressed = is_compressed(&mut file);
    file.rewind().map_err(RecordError::io(path))?;
    let refused = |reason: String| RecordError::Bundle { path: path.into(), reason };
    let most = MOST.min(FLOOR.max(length.saturating_mul(RATIO)));
    if compressed {
        let decoder = StreamingDecoder::new(BufReader::new(file)).map_err(|error| refused(damaged(&error)))?;
        let (bundle, mut rest) = entries(Bounded { source: decoder, left: most }, path).map_err(refused)?;
        // The checksum stands at the end of the frame.
        io::copy(&mut rest, &mut io::sink()).map_err(|error| refused(damaged(&error)))?;
        let decoder = rest.source.into_frame_decoder();
        if decoder.get_checksum_from_data() != decoder.get_calculated_checksum() {
            return Err(refused(damaged(&"its checksum differs")));
        }
        Ok(bundle)
    } else {
        let (bundle, _) = entries(Bounded { source: BufReader::new(file), left: most }, path).map_err(refused)?;
        Ok(bundle)
    }
}

fn damaged(error: &dyn std::fmt::Display) -> String {
    format!("a bundle that was cut short or damaged on its way: {error}; bring it again")
}

/// Bytes up to a bound, beyond which reading fails.
struct Bounded<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to far more than a bundle of its size can hold")
        })?;
        Ok(read)
    }
}

/// Reads every entry, and returns what follows the last.
fn entries<R: Read>(source: R, path: &Path) -> Result<(Bundle, R), String> {
    const NONE: &str = "compressed or an archive, and no bundle of switchcost's";
    let mut archive = Archive::new(source);
    let (mut bundle, mut lengths): (Bundle, Option<BTreeMap<String, u64>>) = (Bundle::default(), None);
    // Raw: long names and other extensions of tar are entries of their own, which no bundle has.
    for entry in archive.entries().map_err(|error| damaged(&error))?.raw(true) {
        let mut entry = entry.map_err(|error| match &lengths {
            Some(_) => damaged(&error),
            None => format!("{NONE} ({error}); a record alone is read uncompressed (zstd -d)"),
        })?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        if kind != EntryType::Regular || !NAMES.contains(&name.as_str()) {
            return Err(format!(
                "it holds {} `{}`, which no bundle of switchcost's does; nothing of it was unpacked",
                kind_name(kind),
                name.escape_debug()
            ));
        }
        let Some(awaited) = &mut lengths else {
            let manifest = (name == MANIFEST).then(|| manifest(&mut entry));
            let manifest = manifest.ok_or_else(|| format!("{NONE}: it does not begin with {MANIFEST}"))??;
            bundle.left_out = manifest.left_out;
            lengths = Some(manifest.files);
            continue;
        };
        match awaited.remove(&name) {
            None => return Err(format!("its {MANIFEST} does not name the entry `{name}`, or it stands there twice")),
            Some(length) if length != entry.size() => {
                return Err(damaged(&format!("{name} has {} bytes of {length}", entry.size())));
            }
            Some(_) if name == PLAN => {
                let mut text = String::new();
                let whole = entry.by_ref().take(LONGEST_MANIFEST * 64).read_to_string(&mut text);
                whole.map_err(|error| damaged(&error))?;
                bundle.plan = Some(text);
            }
            Some(_) => {
                let label = if name == FILE { path.to_path_buf() } else { path.join(&name) };
                let mut salvage = salvage_from(BufReader::new(entry), &label).map_err(|error| match error {
                    RecordError::Io { source, .. } => damaged(&source),
                    other => other.to_string(),
                })?;
                salvage.run.path = label;
                bundle.records.push(salvage);
            }
        }
    }
    match lengths {
        None => Err(format!("{NONE}: it is empty")),
        Some(awaited) if !awaited.is_empty() => {
            Err(damaged(&format!("{} is missing", awaited.keys().cloned().collect::<Vec<_>>().join(", "))))
        }
        Some(_) if bundle.records.is_empty() => Err("a bundle without a record".into()),
        Some(_) => Ok((bundle, archive.into_inner())),
    }
}

fn kind_name(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Regular => "a file",
        EntryType::Link => "a hard link",
        EntryType::Symlink => "a symbolic link",
        EntryType::Directory => "a folder",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        _ => "an extension of tar",
    }
}

fn manifest(entry: &mut impl Read) -> Result<Manifest, String> {
    /// What every layout has.
    #[derive(Deserialize)]
    struct Versions {
        switchcost_bundle: u32,
        schema: u32,
        version: Option<String>,
    }
    let mut text = String::new();
    entry.take(LONGEST_MANIFEST).read_to_string(&mut text).map_err(|error| damaged(&error))?;
    let broken = |error: serde_json::Error| format!("its {MANIFEST} is none of switchcost's: {error}");
    let versions: Versions = serde_json::from_str(&text).map_err(broken)?;
    let by = versions.version.map(|version| format!(" by switchcost {version}")).unwrap_or_default();
    if versions.switchcost_bundle != LAYOUT {
        let found = versions.switchcost_bundle;
        return Err(format!("a bundle of layout {found} (written{by}), and this switchcost reads layout {LAYOUT}"));
    }
    if versions.schema == 0 || versions.schema > SCHEMA {
        let found = versions.schema;
        return Err(format!(
            "a bundle of schema {found} (written{by}), and this switchcost reads schemas 1 to {SCHEMA}; use the \
             version that wrote it"
        ));
    }
    serde_json::from_str(&text).map_err(broken)
}

/// Writes a bundle of `content` to `out`.
///
/// # Errors
/// When `out` takes nothing more, or `content` has no record.
pub fn write_bundle(content: &BundleContent, out: impl Write) -> io::Result<()> {
    let names: &[&str] = match content.runs.len() {
        1 => &[FILE],
        2 => &["a/records.jsonl", "b/records.jsonl"],
        other => {
            let reason = format!("a bundle has one record or two sides, not {other}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
    };
    let mut files: Vec<(&str, String)> = Vec::new();
    files.extend(content.plan.iter().map(|plan| (PLAN, plan.clone())));
    for (name, run) in names.iter().zip(&content.runs) {
        files.push((name, record_text(run)?));
    }
    let manifest = Manifest {
        switchcost_bundle: LAYOUT,
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        files: files.iter().map(|(name, text)| ((*name).into(), text.len() as u64)).collect(),
        left_out: content.left_out.clone(),
    };
    files.insert(0, (MANIFEST, serde_json::to_string_pretty(&manifest)? + "\n"));
    // Whose file it was and when it was written is in no entry: the time is that of the run.
    let seconds = |host: &HostLine| host.started_ms / 1000;
    let time = content.runs.iter().flat_map(|run| &run.hosts).map(seconds).max().unwrap_or_default();
    let mut archive = Builder::new(Vec::new());
    for (name, text) in &files {
        let mut header = Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(time);
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    let packed = archive.into_inner()?;
    let mut sink = KeptError { out, error: None };
    compress(packed.as_slice(), &mut sink, CompressionLevel::Fastest);
    sink.error.map_or(Ok(()), Err)
}

/// The compressor panics at an error of what it writes to: this takes everything, and keeps the first error.
struct KeptError<W> {
    out: W,
    error: Option<io::Error>,
}

impl<W: Write> Write for KeptError<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.error.is_none() {
            self.error = self.out.write_all(buffer).err();
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.error.is_none() {
            self.error = self.out.flush().err();
        }
        Ok(())
    }
}

/// The record of `run`, as [`RecordWriter`](super::RecordWriter) writes it.
fn record_text(run: &Run) -> io::Result<String> {
    let hosts = run.hosts.iter().map(|host| Line::Host(Box::new(host.clone())));
    let benchmarks = run.benchmarks.iter().map(|line| Line::Benchmark(Box::new(line.clone())));
    let mut text = String::new();
    for line in hosts.chain(benchmarks) {
        text.push_str(&line_text(&line)?);
        text.push('\n');
    }
    Ok(text)
}
