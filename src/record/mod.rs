//! What a round leaves behind: the versioned schema, and the append-only store.
//!
//! A run is a folder with one file, [`FILE`]: JSON Lines, each line whole or absent. The first line of a round tells
//! the machine and the build; each further line is one benchmark with its raw samples, counters and audit.
//! `src/record/SCHEMA.md` writes the schema down for readers that are not this program.

mod read;
mod sample;
mod schema;
mod store;
mod version1;

pub use read::{Run, Salvage, read, read_answer, read_only, salvage, salvage_from};
pub use sample::Sample;
pub use schema::{
    AuditCheck, AuditRecord, BenchmarkLine, Build, CountedSamples, HostLine, Line, Measured, Noise, Outcome,
    RunConditions, SCHEMA,
};
pub use store::{FILE, LONGEST_LINE, RecordError, RecordWriter, line_text};
