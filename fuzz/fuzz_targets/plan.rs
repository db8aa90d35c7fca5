//! A plan of any text, as --resume takes it up.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use switchcost::harness::rounds::Asked;

fuzz_target!(|text: &str| {
    if let Ok(asked) = Asked::parse(text, Path::new("plan.json")) {
        let _ = (asked.sides(), asked.folders(Path::new("run")));
    }
});
