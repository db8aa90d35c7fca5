//! A profile of any text: read, and its errors told.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use switchcost::harness::rounds::Profile;

fuzz_target!(|text: &str| {
    if let Err(error) = Profile::parse(text, Path::new("profile.toml")) {
        assert!(error.to_string().starts_with("profile.toml:"), "{error}");
    }
});
