//! The running kernel: release, command line, preemption, tick, clock.

use std::io::Read;

use super::root::{FactReader, Root};
use crate::terms::host::{ClockSource, Kernel, Preemption, PreemptionModel, boot_parameter};
use flate2::read::GzDecoder;

/// More than any kernel configuration takes (about 300 KiB): a damaged file cannot fill the memory.
const LONGEST_CONFIG: u64 = 16 << 20;

const PREEMPT_SWITCH: &str = "/sys/kernel/debug/sched/preempt";
const CONFIG_GZ: &str = "/proc/config.gz";

impl Kernel {
    pub(super) fn observe(facts: &mut FactReader<'_>) -> Self {
        let release = facts.text("kernel release", "/proc/sys/kernel/osrelease");
        let version = facts.text("kernel version", "/proc/sys/kernel/version");
        let command_line = facts.text("kernel command line", "/proc/cmdline").map(|line| of_the_kernel(&line));
        let config = config_text(facts.root, release.as_deref());
        if config.is_none() {
            let reason = "not there, nor below /boot or /lib/modules under this release";
            facts.miss("kernel configuration", CONFIG_GZ, reason);
        }
        let preemption = preemption(
            facts.root,
            command_line.as_deref().unwrap_or_default(),
            config.as_ref(),
            version.as_deref().unwrap_or_default(),
        );
        if preemption.is_none() {
            facts.miss("preemption model", PREEMPT_SWITCH, "not there, nor in the configuration or version");
        }
        Self {
            architecture: architecture(facts),
            tick_hz: config.as_ref().and_then(|config| config.value("CONFIG_HZ")?.parse().ok()),
            release,
            version,
            command_line,
            preemption,
        }
    }
}

impl ClockSource {
    pub(super) fn observe(facts: &mut FactReader<'_>) -> Self {
        const DIRECTORY: &str = "/sys/devices/system/clocksource/clocksource0";
        let available = facts.text("available clock sources", &format!("{DIRECTORY}/available_clocksource"));
        Self {
            source: facts.text("clock source", &format!("{DIRECTORY}/current_clocksource")),
            available: available.unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        }
    }
}

struct KernelConfig {
    path: String,
    text: String,
}

impl KernelConfig {
    fn value(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    fn is_set(&self, name: &str) -> bool {
        self.value(name) == Some("y")
    }
}

/// The configuration the kernel was built with: its own copy if it carries one, else the distribution's.
fn config_text(root: &Root, release: Option<&str>) -> Option<KernelConfig> {
    let carried = root.bytes(CONFIG_GZ).ok().and_then(|bytes| gunzip(&bytes));
    if let Some(text) = carried {
        return Some(KernelConfig { path: CONFIG_GZ.to_owned(), text });
    }
    let release = release.filter(|release| !release.contains('/'))?;
    let places = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    places.into_iter().find_map(|path| Some(KernelConfig { text: root.text(&path).ok()?, path }))
}

fn gunzip(bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    GzDecoder::new(bytes).take(LONGEST_CONFIG).read_to_string(&mut text).ok()?;
    Some(text)
}

fn architecture(facts: &mut FactReader<'_>) -> Option<String> {
    const PATH: &str = "/proc/sys/kernel/arch";
    // The file is there since 6.1; uname speaks of the running system only.
    if facts.root.is_running_system() && !facts.root.path(PATH).exists() {
        let name = nix::sys::utsname::uname().ok()?;
        return Some(name.machine().to_string_lossy().into_owned());
    }
    facts.text("architecture", PATH)
}

/// The boot parameters that are the kernel's own. Everything behind `--` goes to the first program
/// (Documentation/admin-guide/kernel-parameters.rst), and which program that is changes no figure. Both may tell of a
/// site what does not belong into a record that may be published.
fn of_the_kernel(line: &str) -> String {
    let own = line.split_whitespace().take_while(|word| *word != "--");
    own.filter(|word| !word.starts_with("init=") && !word.starts_with("rdinit=")).collect::<Vec<_>>().join(" ")
}

/// Asks in the order of trust: the switch in force, the boot parameter that set it, the build's default, and the
/// version line, which tells only some models apart.
fn preemption(root: &Root, command_line: &str, config: Option<&KernelConfig>, version: &str) -> Option<Preemption> {
    let found = |model, path: &str| Some(Preemption { model, path: path.to_owned() });
    let switch = root.text(PREEMPT_SWITCH).ok();
    if let Some(model) = switch.as_deref().and_then(|text| model_named(between(text, '(', ')')?)) {
        return found(model, PREEMPT_SWITCH);
    }
    if version.split_whitespace().any(|word| word == "PREEMPT_RT") {
        return found(PreemptionModel::RealTime, "/proc/sys/kernel/version");
    }
    if let Some(model) = boot_parameter(command_line, "preempt").and_then(model_named) {
        return found(model, "/proc/cmdline");
    }
    if let Some((config, model)) = config.and_then(|config| Some((config, model_built(config)?))) {
        return found(model, &config.path);
    }
    let model = version.split_whitespace().find_map(|word| match word {
        "PREEMPT_DYNAMIC" => Some(PreemptionModel::Dynamic),
        "PREEMPT" => Some(PreemptionModel::Full),
        _ => None,
    })?;
    found(model, "/proc/sys/kernel/version")
}

fn model_named(name: &str) -> Option<PreemptionModel> {
    match name {
        "none" => Some(PreemptionModel::None),
        "voluntary" => Some(PreemptionModel::Voluntary),
        "full" => Some(PreemptionModel::Full),
        "lazy" => Some(PreemptionModel::Lazy),
        _ => None,
    }
}

fn model_built(config: &KernelConfig) -> Option<PreemptionModel> {
    let options = [
        ("CONFIG_PREEMPT_RT", PreemptionModel::RealTime),
        ("CONFIG_PREEMPT_NONE", PreemptionModel::None),
        ("CONFIG_PREEMPT_VOLUNTARY", PreemptionModel::Voluntary),
        ("CONFIG_PREEMPT_LAZY", PreemptionModel::Lazy),
        ("CONFIG_PREEMPT", PreemptionModel::Full),
    ];
    options.into_iter().find(|(option, _)| config.is_set(option)).map(|(_, model)| model)
}

/// What stands between the first `open` and the next `close`: how the kernel marks the choice in force.
pub(super) fn between(text: &str, open: char, close: char) -> Option<&str> {
    let (_, rest) = text.split_once(open)?;
    Some(rest.split_once(close)?.0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn what_is_handed_to_the_first_program_is_left_out() {
        let line = "quiet init=/sbin/start mitigations=auto rdinit=/go -- --listen 0.0.0.0:1";
        assert_eq!(of_the_kernel(line), "quiet mitigations=auto");
    }

    fn model(files: &[(&str, &[u8])], command_line: &str, version: &str) -> Option<(PreemptionModel, String)> {
        let tree = tempfile::tempdir().unwrap();
        for (path, contents) in files {
            let path = Root::at(tree.path()).path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, contents).unwrap();
        }
        let root = Root::at(tree.path());
        let config = config_text(&root, Some("6.0"));
        let found = preemption(&root, command_line, config.as_ref(), version)?;
        Some((found.model, found.path))
    }

    fn gz(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn preemption_comes_from_the_most_trusted_place_that_speaks() {
        let dynamic = "#1 SMP PREEMPT_DYNAMIC";
        let carried = gz("CONFIG_PREEMPT_BUILD=y\nCONFIG_PREEMPT_LAZY=y\n");
        let config: (&str, &[u8]) = (CONFIG_GZ, &carried);
        let switch: (&str, &[u8]) = (PREEMPT_SWITCH, b"none (voluntary) full\n");
        let cases = [
            (model(&[config, switch], "preempt=full", dynamic), PreemptionModel::Voluntary, PREEMPT_SWITCH),
            (model(&[config], "preempt=none preempt=full", dynamic), PreemptionModel::Full, "/proc/cmdline"),
            (model(&[config], "quiet", dynamic), PreemptionModel::Lazy, CONFIG_GZ),
            (model(&[], "quiet", dynamic), PreemptionModel::Dynamic, "/proc/sys/kernel/version"),
            (model(&[], "", "#1 SMP PREEMPT_RT x"), PreemptionModel::RealTime, "/proc/sys/kernel/version"),
        ];
        for (found, model, path) in cases {
            assert_eq!(found, Some((model, path.to_owned())));
        }
        assert_eq!(model(&[], "", "#1 SMP Debian"), None);
    }

    #[test]
    fn a_damaged_compressed_configuration_gives_way_to_the_plain_one() {
        let boot: (&str, &[u8]) = ("/boot/config-6.0", b"CONFIG_PREEMPT_NONE=y");
        let damaged = &gz("CONFIG_PREEMPT=y")[..12];
        let found = model(&[(CONFIG_GZ, damaged), boot], "", "");
        assert_eq!(found, Some((PreemptionModel::None, "/boot/config-6.0".into())));
    }
}
