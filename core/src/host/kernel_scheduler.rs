//! The kernel's scheduler as it is set up.

use super::root::Root;
use crate::terms::host::KernelScheduler;
use crate::units::{CpuId, parse_cpu_list};

impl KernelScheduler {
    pub(super) fn observe(root: &Root) -> Self {
        let text = |path: &str| root.text(path).ok();
        // `(null)` where nothing was set, which is no list.
        let cpus = |name: &str| -> Vec<CpuId> {
            let list = text(&format!("/sys/devices/system/cpu/{name}"));
            list.and_then(|list| parse_cpu_list(&list)).unwrap_or_default()
        };
        let loaded = text("/sys/kernel/sched_ext/state").is_some_and(|state| state != "disabled");
        let name = || text("/sys/kernel/sched_ext/root/ops").unwrap_or_else(|| "without a name".into());
        let features = text("/sys/kernel/debug/sched/features").unwrap_or_default();
        Self {
            extension: loaded.then(name),
            base_slice_ns: root.value("/sys/kernel/debug/sched/base_slice_ns").ok(),
            features: features.split_whitespace().map(str::to_owned).collect(),
            isolated: cpus("isolated"),
            nohz_full: cpus("nohz_full"),
        }
    }
}
