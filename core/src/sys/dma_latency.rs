//! Holding the machine out of idle states: `/dev/cpu_dma_latency` (Documentation/power/pm_qos_interface.rst).

use std::fs::{File, OpenOptions};
use std::io::Write;

use super::SysError;

const PATH: &str = "/dev/cpu_dma_latency";

/// While this lives, no CPU may take longer than 0 µs to wake: idle CPUs poll.
#[derive(Debug)]
pub struct PollingIdle {
    // The kernel drops the request when the last descriptor closes, however the process ends.
    _request: File,
}

impl PollingIdle {
    /// Writes a latency of 0 to the device: a native-endian `s32` of microseconds.
    ///
    /// # Errors
    /// `EACCES` without root (the device is 0600), `ENOENT` where the kernel has no `CONFIG_CPU_IDLE`.
    pub fn hold() -> Result<Self, SysError> {
        let refused = |error| SysError::from_io(format!("open {PATH}"), &error);
        let mut request = OpenOptions::new().write(true).open(PATH).map_err(refused)?;
        request.write_all(&0_i32.to_ne_bytes()).map_err(|error| SysError::from_io(format!("write {PATH}"), &error))?;
        Ok(Self { _request: request })
    }
}
