//! tracefs on a machine where it is not mounted.

use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::SysError;

/// The mount point the kernel makes for tracefs (Documentation/trace/ftrace.rst, "The File System").
const MOUNT_POINT: &str = "/sys/kernel/tracing";

/// Mounts tracefs where only the calling thread, and what it creates from now on, can see it; returns the
/// mount point.
///
/// Mount namespaces belong to threads (unshare(2), `CLONE_NEWNS`). Once the caller has a namespace of its own
/// there is no way back: call this only in a thread or a child process made for the purpose. The mount
/// disappears with the last task of the namespace.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `ENODEV` when the kernel has no tracefs; `ENOENT` when sysfs is not mounted.
pub fn mount_privately() -> Result<PathBuf, SysError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| SysError::new("unshare CLONE_NEWNS", errno))?;
    // A new namespace keeps the sharing of the old one's mounts (mount_namespaces(7)): without this the mount
    // below would appear in every namespace.
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .map_err(|errno| SysError::new("mount MS_PRIVATE /", errno))?;
    mount(Some("tracefs"), MOUNT_POINT, Some("tracefs"), MsFlags::empty(), nothing)
        .map_err(|errno| SysError::new(format!("mount tracefs {MOUNT_POINT}"), errno))?;
    Ok(Path::new(MOUNT_POINT).to_path_buf())
}
