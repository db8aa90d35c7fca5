//! `switchcost load --netns`: a server in another network namespace, over a pair of virtual Ethernet devices.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;
use serde::Serialize;

use super::load_view::time;
use super::options::UsageError;
use crate::load::{LoadDriver, LoadPlan, run_load};
use crate::sys::SysError;
use crate::sys::net_namespace::{NamespacePair, SERVER_END, refused};

/// What the pair of devices costs beside loopback: one request at a time over each, to the same server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct NetworkCost {
    /// The median of the response time over the pair, in nanoseconds.
    pub(super) veth: u64,
    /// The same over loopback, in the server's namespace.
    pub(super) loopback: u64,
    /// CPU time of the client per request over the pair, in nanoseconds.
    pub(super) veth_client_cpu: f64,
    /// The same over loopback.
    pub(super) loopback_client_cpu: f64,
}

/// How long each of the two is asked.
const PROBE: Duration = Duration::from_millis(500);

const WARM_UP: Duration = Duration::from_millis(100);

/// Connects this process, which has one thread, to the namespace of `server`, and looks what that costs.
///
/// # Errors
/// Bad usage where `plan` asks another address, or the process is in no namespace of its own; `Unsupported` where
/// namespaces are forbidden; a server that does not answer.
pub(super) fn connect(server: i32, plan: &Arc<LoadPlan>) -> anyhow::Result<NetworkCost> {
    if plan.address.ip() != IpAddr::V4(SERVER_END) {
        let told = format!("with --netns the server is at {SERVER_END}, not at {}", plan.address.ip());
        return Err(UsageError::Unknown(told).into());
    }
    let pair = NamespacePair::connect_to(Pid::from_raw(server)).map_err(|error| explained(server, error))?;
    let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), plan.address.port());
    let (loopback, loopback_client_cpu) = pair.in_server_namespace(|| round_trip(plan, loopback))??;
    let (veth, veth_client_cpu) = round_trip(plan, plan.address)?;
    Ok(NetworkCost { veth, loopback, veth_client_cpu, loopback_client_cpu })
}

fn explained(server: i32, error: SysError) -> anyhow::Error {
    match error.errno {
        Errno::ENOENT | Errno::EEXIST => {
            let told = format!("--netns {server}: {error}; start the server by `switchcost serve MODEL --netns`");
            UsageError::Unknown(told).into()
        }
        _ => refused(&error).into(),
    }
}

/// The median response time of one request at a time, and the CPU time of one.
fn round_trip(plan: &Arc<LoadPlan>, address: SocketAddr) -> anyhow::Result<(u64, f64)> {
    let plan = LoadPlan {
        address,
        connections: 1,
        idle_connections: 0,
        driver: LoadDriver::Closed { outstanding: 1, ramp: Duration::ZERO },
        duration: WARM_UP + PROBE,
        warm_up: WARM_UP,
        requests: None,
        precision: None,
        threads: 1,
        ..LoadPlan::clone(plan)
    };
    let outcome = run_load(&plan.checked()?, &mut ())?;
    if outcome.counts.answered == 0 {
        anyhow::bail!("{address} does not answer: {}", outcome.told.join("; "));
    }
    let cpu = outcome.client.cpu.0 as f64 / outcome.counts.sent.max(1) as f64;
    Ok((outcome.service.quantile(0.5), cpu))
}

impl NetworkCost {
    /// In a line, for people.
    pub(super) fn told(&self) -> String {
        format!(
            "network: a veth pair between two namespaces. One request at a time takes {} over it and {} over loopback, \
             and {} and {} of the client's CPU",
            time(self.veth as f64),
            time(self.loopback as f64),
            time(self.veth_client_cpu),
            time(self.loopback_client_cpu)
        )
    }
}
