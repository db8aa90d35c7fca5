//! Build script: writes down what was built, for the record.

use std::process::Command;

fn main() {
    check_target();
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=core");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rerun-if-changed=.git/HEAD");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    tell("SWITCHCOST_RUSTC", output(&rustc, &["--version"]));
    tell("SWITCHCOST_REVISION", output("git", &["rev-parse", "--short=12", "HEAD"]));
    tell("SWITCHCOST_CHANGED", output("git", &["status", "--porcelain", "--untracked-files=no"]));
    tell("SWITCHCOST_TARGET", std::env::var("TARGET").ok());
    tell("SWITCHCOST_PROFILE", std::env::var("PROFILE").ok());
    tell("SWITCHCOST_OPT_LEVEL", std::env::var("OPT_LEVEL").ok());
}

/// Says why there is no build for other targets, before a dependency fails without a reason.
fn check_target() {
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let (system, bits) = (target("OS"), target("POINTER_WIDTH"));
    if system != "linux" || bits != "64" {
        println!(
            "cargo::error=switchcost is built for 64-bit Linux, and not for {bits}-bit {system}: it measures system \
             calls of Linux, with times, addresses and user data of 64 bits that have other forms in 32 (io_uring, \
             perf_event_open, futex); choose a target such as x86_64-unknown-linux-gnu"
        );
    }
}

/// Sets a variable for the crate; an unknown value is the empty string. Lines are folded into one.
fn tell(name: &str, value: Option<String>) {
    println!("cargo::rustc-env={name}={}", value.unwrap_or_default().replace('\n', ";"));
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}
