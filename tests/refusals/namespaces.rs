//! A network and a /sys of another machine, in a user namespace.

use std::process::{Command, Output};

use super::{PROGRAM, ShortRun, err, out, went_well};

/// `command` in namespaces of its own of these kinds, as root there, after `set_up`; nothing where there can be none.
fn unshared(kinds: &str, set_up: &str, command: &Command) -> Option<Output> {
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user"]).args(kinds.split(' '));
    let mut trial = Command::new("unshare");
    trial.args(["--user", "--map-root-user"]).args(kinds.split(' ')).args(["sh", "-c", set_up]);
    match trial.output() {
        Ok(output) if output.status.success() => {}
        other => {
            println!("not checked: no namespaces: {other:?}");
            return None;
        }
    }
    inside.args(["sh", "-c", &format!("{set_up}; exec \"$@\""), "sh"]).arg(command.get_program());
    Some(inside.args(command.get_args()).output().unwrap())
}

/// As in a network namespace that nobody has set up.
#[test]
fn a_loopback_interface_that_is_down_is_a_result() {
    let run = ShortRun::of("^handoff/(tcp_loopback|udp_loopback|pipe)/same-cpu");
    let Some(output) = unshared("--net", "true", &run.command) else { return };
    went_well(&output);
    for (id, reason) in run.outcomes() {
        match reason {
            None => assert_eq!(id, "handoff/pipe/same-cpu"),
            Some(reason) => {
                assert!(reason.contains("127.0.0.1") && reason.contains("ip link set lo up"), "{id}: {reason}")
            }
        }
    }
}

/// lxcfs puts files of its own over the kernel's.
fn over(file: &str, text: &str) -> String {
    format!("f=$(mktemp) && printf '{text}' > $f && mount --bind $f {file} && rm -f $f")
}

#[test]
fn a_containers_own_list_of_cpus_is_not_believed() {
    for listed in ["5-6", "0-63", "7"] {
        let mut host = Command::new(PROGRAM);
        host.args(["host", "--json"]);
        let Some(output) = unshared("--mount", &over("/sys/devices/system/cpu/online", listed), &host) else { return };
        went_well(&output);
        let plain = host.output().unwrap();
        let cpus = |output: &Output| {
            let host: serde_json::Value = serde_json::from_str(&out(output)).unwrap();
            host.pointer("/host/topology/cpus").or(host.pointer("/topology/cpus")).unwrap().clone()
        };
        assert_eq!(cpus(&output), cpus(&plain), "{listed}");
        let run = ShortRun::of("^handoff/pipe/");
        let set_up = over("/sys/devices/system/cpu/online", listed);
        let Some(output) = unshared("--mount", &set_up, &run.command) else { return };
        went_well(&output);
        assert!(run.outcomes().iter().all(|(_, reason)| reason.is_none()), "{:?}", run.outcomes());
    }
}

/// A container without the kernel's description of its CPUs.
#[test]
fn cpus_that_are_not_described_are_a_result() {
    let mut audit = Command::new(PROGRAM);
    audit.args(["audit", "^handoff/pipe/", "--json"]);
    let hide = "mount -t tmpfs none /sys/devices/system/cpu && printf '5-6' > /sys/devices/system/cpu/online";
    let Some(output) = unshared("--mount", hide, &audit) else { return };
    went_well(&output);
    let told = out(&output);
    let several = switchcost::sys::affinity::allowed_cpus().unwrap().len() > 1;
    assert!(!several || told.contains("describes CPUs 5-6 alone"), "{told}\n{}", err(&output));
}
