//! A plan of any text, as --resume takes it up.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use switchcost::harness::rounds::RunPlan;

fuzz_target!(|text: &str| {
    if let Ok(plan) = RunPlan::parse(text, Path::new("plan.json")) {
        let _ = (plan.sides(), plan.folders(Path::new("run")));
    }
});
