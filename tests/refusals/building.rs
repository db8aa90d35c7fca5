//! Targets that the program is not built for.

use std::path::Path;
use std::process::Command;

/// The build script of the crate that everything stands on runs before most dependencies are compiled.
#[test]
fn a_build_for_another_target_says_why_there_is_none() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/build.rs");
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("build");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc).args(["--edition", "2024", "-o"]).arg(&script).arg(source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        return println!("not checked: there is no rustc in the path");
    }
    for (system, bits, refused) in [("linux", "64", false), ("linux", "32", true), ("macos", "64", true)] {
        let mut command = Command::new(&script);
        command.env("CARGO_CFG_TARGET_OS", system).env("CARGO_CFG_TARGET_POINTER_WIDTH", bits);
        let told = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let error = told.lines().find(|line| line.starts_with("cargo::error="));
        assert_eq!(error.is_some(), refused, "{told}");
        let named = |error: &str| error.contains(&format!("not for {bits}-bit {system}")) && error.contains("x86_64");
        assert!(error.is_none_or(named), "{told}");
    }
}
