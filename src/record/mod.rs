//! What a round leaves behind: the versioned schema, and the append-only store.
//!
//! A run is a folder with one file, [`FILE`]: JSON Lines, each line whole or absent. The first line of a round tells
//! the machine and the build; each further line is one benchmark with its raw samples, counters and audit.
//! A [`Bundle`] is such a folder as one file, for sending it elsewhere.
//! `src/record/SCHEMA.md` writes the schema down for readers that are not this program.

mod advice_record;
mod archive;
mod private;
mod read;
mod sample;
mod schema;
mod store;
mod trust;
mod version1;

pub use advice_record::{ADVICE_FILE, AdviceRecord};
pub use archive::{Bundle, BundleContent, is_bundle, open_bundle, write_bundle};
pub use private::{LeftOut, Redaction};
pub use read::{Run, Salvage, read, read_answer, read_only, salvage, salvage_from, whole};
pub use sample::Sample;
pub use schema::{
    AuditCheck, AuditRecord, BenchmarkLine, Build, CountedSamples, HostLine, Line, Measured, Noise, Outcome,
    RunConditions, SCHEMA,
};
pub use store::{FILE, LONGEST_LINE, RecordError, RecordWriter, line_text};
pub use trust::{clock_doubt, one_machine_for_each_id};
