//! Build script: says why there is no build for other targets, and how what is measured was optimised.

fn main() {
    check_target();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=SWITCHCOST_OPT_LEVEL={}", std::env::var("OPT_LEVEL").unwrap_or_default());
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
