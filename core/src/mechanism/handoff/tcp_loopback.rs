//! A TCP connection over the loopback interface, without Nagle's algorithm.
//!
//! Timed: per handoff one write with the whole way through the network stack and back up in the same soft interrupt,
//! one read that blocks, and the switch. Not timed: connecting.
//! Distortions: acknowledgements travel with the answers, so that a handoff is one segment; a request without an
//! answer would cost two. A connection leaves a port in TIME_WAIT for a minute after the instance is gone (tcp(7)).

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use super::socketpair::{StreamHalf, through_a_socket};
use super::{handoffs_per_lap, resources, spawn_partner};
use crate::mechanism::{Bound, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};
use crate::sys::SysError;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/tcp_loopback",
    isolates: "a byte through TCP on the loopback interface: what the network stack adds to a local socket",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/socketpair",
    requirements: &["a loopback interface"],
    source: "tcp(7), TCP_NODELAY; RFC 896",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| {
        // TCP_NODELAY on both ends, and the listener's SO_REUSEADDR, which the standard library sets.
        through_a_socket(placement).set_up("setsockopt", Bound::Exactly(3.0))
    },
};

struct TcpLoopback;

register!(TcpLoopback);

impl Mechanism for TcpLoopback {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let failed = |call: &'static str| move |error| SysError::from_io(call, &error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed("bind 127.0.0.1"))?;
        let address = listener.local_addr().map_err(failed("getsockname"))?;
        let driver = TcpStream::connect(address).map_err(failed("connect 127.0.0.1"))?;
        let (partner, _) = listener.accept().map_err(failed("accept4"))?;
        for end in [&driver, &partner] {
            end.set_nodelay(true).map_err(failed("setsockopt TCP_NODELAY"))?;
        }
        spawn_partner(crew, StreamHalf(driver.into()), StreamHalf(partner.into()))
    }
}
