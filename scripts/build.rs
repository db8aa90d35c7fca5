//! Build script: writes down what was built, for the record.

use std::process::Command;

fn main() {
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
