//! `scripts/kernels`, from consoles that were kept: what is not the same in every repeat, an audit that differs on one
//! kernel, and a difference without an explanation are each noticed.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use tempfile::{TempDir, tempdir};

/// What a machine prints of `handoff/futex`, whose descriptor expects one `futex:wake`.
fn console(kernel: &str, wakes: f64, holds: bool) -> String {
    format!(
        "@@kernel {kernel} x86_64\n@@run /switchcost audit\n{{\"audit\":{{\"attempts\":1,\"calls\":{{\"futex:wake\":\
         {wakes}}},\"checks\":[{{\"expected\":\"exactly 1\",\"holds\":{holds},\"observed\":{wakes},\"what\":\
         \"futex:wake\"}}],\"unchecked\":[]}},\"id\":\"handoff/futex/same-cpu\"}}\n@@status 0\n@@end\n"
    )
}

/// Two kernels with two repeats each, but for what `change` makes of one of them by its name.
fn kept(change: impl Fn(&str, String) -> String) -> TempDir {
    let folder = tempdir().unwrap();
    std::fs::create_dir(folder.path().join("consoles")).unwrap();
    for version in ["6.1", "6.12"] {
        for repeat in 1..=2 {
            let name = format!("amd64_{version}_{repeat}.txt");
            let text = change(&name, console(&format!("{version}.0-test"), 1.0, true));
            std::fs::write(folder.path().join("consoles").join(name), text).unwrap();
        }
    }
    folder
}

/// The status, what it says is wrong, and the page; `None` without Python.
fn judged(folder: &TempDir) -> Option<(i32, String, String)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kernels");
    let output = Command::new("python3").arg(script).arg("--from").arg(folder.path()).output();
    let Ok(output) = output else {
        println!("not checked: python3 is not installed");
        return None;
    };
    let page = std::fs::read_to_string(folder.path().join("README.md")).unwrap_or_default();
    Some((output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap(), page))
}

#[test]
fn kernels_that_are_alike_are_fine() {
    let Some((status, wrong, page)) = judged(&kept(|_, text| text)) else { return };
    assert_eq!((status, wrong.as_str()), (0, ""), "{page}");
    assert!(page.contains("Alike on all kernels: 1 of 1 rates") && page.contains("6.12 is 6.12.0-test"), "{page}");
}

#[test]
fn a_repeat_that_is_not_the_same_is_noticed() {
    let again = |text: String| text.replace("attempts\":1", "attempts\":2");
    let folder = kept(|name, text| if name == "amd64_6.12_2.txt" { again(text) } else { text });
    let Some((status, wrong, page)) = judged(&folder) else { return };
    assert_eq!((status, wrong.lines().count()), (1, 1), "{wrong}");
    assert!(wrong.contains("amd64 6.12: the repeats differ") && page.contains("the repeats differ"), "{wrong}");
}

#[test]
fn a_descriptor_that_is_wrong_on_one_kernel_is_noticed() {
    let folder = kept(|name, text| if name.contains("_6.1_") { console("6.1.0-test", 1.0, false) } else { text });
    let Some((status, wrong, _)) = judged(&folder) else { return };
    assert_eq!((status, wrong.lines().count()), (1, 2), "once for each repeat: {wrong}");
    assert!(wrong.contains("handoff/futex: futex:wake 1, expected exactly 1"), "{wrong}");
}

#[test]
fn a_difference_without_an_explanation_is_noticed() {
    let folder = kept(|name, text| if name.contains("_6.1_") { console("6.1.0-test", 2.0, true) } else { text });
    let Some((status, wrong, page)) = judged(&folder) else { return };
    assert_eq!((status, wrong.lines().count()), (1, 1), "{wrong}");
    assert!(wrong.contains("call futex:wake differs and has no explanation"), "{wrong}");
    assert!(page.contains("| handoff/futex | call futex:wake | 2 | 1 | **not explained** |"), "{page}");
}

#[test]
fn a_machine_that_stops_halfway_is_noticed() {
    let folder = kept(|name, text| if name.contains("_6.12_") { text.replace("@@end\n", "") } else { text });
    let Some((status, wrong, _)) = judged(&folder) else { return };
    assert_eq!(status, 1);
    assert_eq!(wrong.matches("it did not come to its end").count(), 2, "{wrong}");
}
