//! What the kernel counts of the network, for all programs of a network namespace: /proc/net/netstat, /proc/net/snmp.

use serde::{Deserialize, Serialize};

use super::SysError;

/// Counts since the namespace was made, or the difference of two readings. A counter that a kernel does not know is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetCounters {
    /// Connections that found a listener's queue full (`TcpExt: ListenOverflows`).
    pub listen_overflows: u64,
    /// Connections that a listener dropped for any reason (`TcpExt: ListenDrops`).
    pub listen_drops: u64,
    /// SYN segments that were sent again (`TcpExt: TCPSynRetrans`).
    pub syn_retransmits: u64,
    /// Segments that were sent again (`Tcp: RetransSegs`).
    pub retransmits: u64,
    /// Datagrams that found a socket's buffer full (`Udp: RcvbufErrors`).
    pub datagrams_dropped: u64,
}

impl NetCounters {
    /// Reads them for the calling process's network namespace.
    ///
    /// # Errors
    /// Where /proc is not mounted.
    pub fn read() -> Result<Self, SysError> {
        let file = |path: &str| {
            std::fs::read_to_string(path).map_err(|error| SysError::from_io(format!("read {path}"), &error))
        };
        Ok(Self::parse(&file("/proc/net/netstat")?, &file("/proc/net/snmp")?))
    }

    fn parse(netstat: &str, snmp: &str) -> Self {
        let extended = |name: &str| counter(netstat, "TcpExt:", name);
        Self {
            listen_overflows: extended("ListenOverflows"),
            listen_drops: extended("ListenDrops"),
            syn_retransmits: extended("TCPSynRetrans"),
            retransmits: counter(snmp, "Tcp:", "RetransSegs"),
            datagrams_dropped: counter(snmp, "Udp:", "RcvbufErrors"),
        }
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            listen_overflows: self.listen_overflows.saturating_sub(before.listen_overflows),
            listen_drops: self.listen_drops.saturating_sub(before.listen_drops),
            syn_retransmits: self.syn_retransmits.saturating_sub(before.syn_retransmits),
            retransmits: self.retransmits.saturating_sub(before.retransmits),
            datagrams_dropped: self.datagrams_dropped.saturating_sub(before.datagrams_dropped),
        }
    }
}

/// Both files have pairs of lines (proc_pid_net(5)): names behind a prefix, then values behind the same one.
fn counter(text: &str, prefix: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.find(|(known, _)| *known == name).and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names() {
        let netstat = "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPSynRetrans\nTcpExt: 1 2 3 4\n\
                       IpExt: InNoRoutes\nIpExt: 9\n";
        let snmp = "Tcp: RtoMin RetransSegs\nTcp: 200 5\nUdp: InDatagrams RcvbufErrors\nUdp: 7 6\n";
        let read = NetCounters::parse(netstat, snmp);
        let expected = NetCounters {
            listen_overflows: 2,
            listen_drops: 3,
            syn_retransmits: 4,
            retransmits: 5,
            datagrams_dropped: 6,
        };
        assert_eq!(read, expected);
        assert_eq!(read.since(&NetCounters { listen_drops: 1, ..read }).listen_drops, 2);
        assert_eq!(NetCounters::parse("", "Tcp: RetransSegs\n"), NetCounters::default());
    }

    #[test]
    fn this_machine_counts_connections() {
        assert!(NetCounters::read().is_ok());
    }
}
