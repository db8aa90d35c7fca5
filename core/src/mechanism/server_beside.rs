//! A server's process beside the driver, for groups whose operation is a request: where it runs, by which network it is
//! asked, and what its failures mean.

use std::net::{Ipv4Addr, SocketAddr};

use super::{Crew, Domain, Failure, Parameter, Parameters, Placement, Unsupported};
use crate::server::{ServerConfig, ServerError, ServerProcess};
use crate::sys::SysError;
use crate::sys::net_namespace::{NamespacePair, SERVER_END, permit_namespaces, refused};
use crate::units::CpuId;

/// What lies between client and server.
pub(super) const NETWORK: Parameter = Parameter {
    name: "network",
    meaning: "loopback, or a pair of virtual Ethernet devices between a network namespace of the server's and one of \
              the client's",
    domain: Domain::Word { words: &["loopback", VETH] },
};

const VETH: &str = "veth";

/// Calls of setns(2) in a batch: into the client's namespace and back.
pub(super) const ENTERING: f64 = 2.0;

/// Whether client and server have a network namespace each.
pub(super) fn is_apart_in_network(parameters: &Parameters) -> bool {
    parameters.word(NETWORK.name) == VETH
}

/// What a process that measures one benchmark needs for that.
pub(super) fn prepare_process(parameters: &Parameters) {
    if is_apart_in_network(parameters) {
        // Set-up says what is missing.
        let _ = permit_namespaces();
    }
}

/// The way from the driver to its server.
#[derive(Debug)]
pub(super) struct ClientNetwork {
    pair: Option<NamespacePair>,
    /// Where the server listens, for the client.
    pub(super) address: SocketAddr,
}

impl ClientNetwork {
    /// Calls `work`, whose sockets then lead to the server, and whose threads make such sockets.
    ///
    /// # Errors
    /// When a namespace cannot be entered.
    pub(super) fn within<T>(&self, work: impl FnOnce() -> T) -> Result<T, Failure> {
        match &self.pair {
            None => Ok(work()),
            Some(pair) => Ok(pair.in_client_namespace(work)?),
        }
    }
}

/// Starts the model called `model` on the CPUs of all tasks behind the driver, and makes the network that `parameters`
/// ask for; where it listens is not for `config` to say.
///
/// # Errors
/// Those of [`ServerProcess::start`]; `Unsupported` where network namespaces are not to be had.
pub(super) fn start_beside(
    model: &'static str,
    config: ServerConfig,
    parameters: &Parameters,
    crew: &Crew,
) -> Result<(ServerProcess, ClientNetwork), Failure> {
    let assignment = crew.assignment();
    let tasks = 1..assignment.masks().max(2);
    let mut cpus: Vec<CpuId> = tasks.flat_map(|task| assignment.cpu_mask(task).cpus.clone()).collect();
    cpus.sort_unstable();
    cpus.dedup();
    let apart = is_apart_in_network(parameters);
    let listen = if apart { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let config = ServerConfig { address: (listen, 0).into(), ..config };
    let process = ServerProcess::start(model, &config, &cpus, apart).map_err(|error| told(model, error))?;
    let mut network = ClientNetwork { pair: None, address: process.address() };
    if apart {
        let told = |error: SysError| match error.is_refusal() {
            true => Failure::Unsupported(refused(&error)),
            false => Failure::Sys(error),
        };
        network.pair = Some(NamespacePair::beside(process.pid()).map_err(told)?);
        network.address.set_ip(SERVER_END.into());
    }
    Ok((process, network))
}

/// Ports of one address, fewer than the kernel chooses from by default (`net.ipv4.ip_local_port_range`).
const PORTS: u64 = 28_000;

/// Whether the client has a port for each of so many connections.
///
/// # Errors
/// Over veth it has one address, and not all of 127.0.0.0/8.
pub(super) fn check_ports(parameters: &Parameters, connections: u64) -> Result<(), Unsupported> {
    if is_apart_in_network(parameters) && connections > PORTS {
        return Err(Unsupported::new(
            "a port for each connection of the one address that a client has over veth",
            format!("{connections} connections"),
            format!("at most {PORTS} connections, or network=loopback"),
        ));
    }
    Ok(())
}

/// Whether a plan without a placement has one in this: the client beside the server, and pinned apart from it where
/// that can be.
pub(super) fn is_apart(placement: Placement, offered: &[Placement]) -> bool {
    let apart = offered.iter().find(|placement| ![Placement::Unpinned, Placement::SameCpu].contains(placement));
    placement == *apart.unwrap_or(&Placement::Unpinned)
}

/// The failure of the server called `model`.
pub(super) fn told(model: &'static str, error: ServerError) -> Failure {
    match error {
        ServerError::Unsupported(reason) => reason.into(),
        ServerError::Sys(error) => error.into(),
        ServerError::Affinity(error) => error.into(),
        other => Failure::library(model, other),
    }
}
