//! Two UDP sockets connected to each other over the loopback interface.
//!
//! Timed: per handoff one write with the way through the network stack, one read that blocks, and the switch. Not
//! timed: connecting. Distortions: none known; with one datagram under way the loopback interface loses none.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;

use super::socketpair::through_a_socket;
use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};
use crate::sys::SysError;
use crate::sys::channel::{ReadOutcome, read_byte, write_byte};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/udp_loopback",
    isolates: "a datagram on the loopback interface: the network stack without TCP's connection",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/socketpair",
    requirements: &["a loopback interface"],
    source: "udp(7)",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| through_a_socket(placement),
};

struct UdpLoopback;

register!(UdpLoopback);

impl Mechanism for UdpLoopback {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let failed = |call: &'static str| move |error| SysError::from_io(call, &error);
        let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed("bind 127.0.0.1"));
        let (driver, partner) = (socket()?, socket()?);
        for (own, other) in [(&driver, &partner), (&partner, &driver)] {
            let address = other.local_addr().map_err(failed("getsockname"))?;
            own.connect(address).map_err(failed("connect 127.0.0.1"))?;
        }
        spawn_partner(crew, Half(driver.into()), Half(partner.into()))
    }
}

const TURN: u8 = 1;
/// A datagram socket has no end of file.
const STOP: u8 = 2;

struct Half(OwnedFd);

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        Ok(write_byte(&self.0, TURN)?)
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        Ok(match read_byte(&self.0)? {
            ReadOutcome::Byte(TURN) => Command::Go,
            _ => Command::Stop,
        })
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // ECONNREFUSED when the other end is gone already: then there is no partner to tell.
        let _ = write_byte(&self.0, STOP);
    }
}
