//! A record of any bytes: read, and whatever is whole of it shown, compared and reported.
#![no_main]

use std::io::Cursor;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use switchcost::compare::{Matching, compare, csv, json, markdown, table};
use switchcost::record::salvage_from;
use switchcost::report::{Catalogue, files, group_table, notes};

fuzz_target!(|bytes: &[u8]| {
    let Ok(salvage) = salvage_from(Cursor::new(bytes), Path::new("records.jsonl")) else { return };
    let run = salvage.run;
    if run.hosts.is_empty() && run.benchmarks.is_empty() {
        return;
    }
    let _ = (group_table(&run.benchmarks), notes(&run.benchmarks));
    let _ = files(&[run.clone()], &Catalogue { groups: Vec::new(), mechanisms: Vec::new() });
    let compared = compare(&[("a".into(), run.clone()), ("b".into(), run)], &Matching::Ids, 0.01);
    let _ = (table(&compared), markdown(&compared), csv(&compared), json(&compared));
});
