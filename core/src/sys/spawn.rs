//! Running another program: vfork(2) and execve(2), posix_spawn(3), and the smallest program to run.

use std::ffi::{CString, c_void};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::Pid;

use super::SysError;

/// `true` as a static program of three instructions, in memory: no file, no compiler and no C library take part.
#[derive(Debug)]
pub struct TinyProgram {
    _file: OwnedFd,
    path: CString,
}

impl TinyProgram {
    /// Writes it.
    ///
    /// # Errors
    /// `EACCES` where `vm.memfd_noexec` forbids programs in memory, `ENOSYS` for an architecture whose three
    /// instructions are not written down here.
    pub fn new() -> Result<Self, SysError> {
        let program = program().ok_or_else(|| SysError::new("a static program", Errno::ENOSYS))?;
        let file = memfd_create(c"switchcost-true", MFdFlags::MFD_CLOEXEC)
            .map_err(|errno| SysError::new("memfd_create", errno))?;
        let mut file = File::from(file);
        file.write_all(&program).map_err(|error| SysError::from_io("write memfd", &error))?;
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))
            .map_err(|_| SysError::new("memfd_create", Errno::EINVAL))?;
        Ok(Self { _file: file.into(), path })
    }

    /// Starts it by vfork(2) and execve(2), as a C library does: the child borrows this process's memory until it has
    /// become the program.
    ///
    /// # Errors
    /// `EAGAIN` at a limit on processes. A program that cannot be started ends with status 127.
    #[inline]
    pub fn vfork_and_exec(&self) -> Result<Pid, SysError> {
        let mut stack = [0_u8; 16 * 1024];
        // Grows down on all of Linux's architectures but one, which Rust does not know; aligned as ABIs demand.
        let top = stack.as_mut_ptr_range().end;
        let top = top.wrapping_sub(top.addr() % 16);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let path = self.path.as_ptr().cast_mut().cast();
        // SAFETY: with CLONE_VFORK this thread stands still until the child has called execve or _exit, so that the
        // stack and the path outlive its use of them. The child calls these two and nothing else.
        let child = unsafe { libc::clone(become_program, top.cast(), flags, path) };
        if child > 0 { Ok(Pid::from_raw(child)) } else { Err(SysError::last("clone CLONE_VFORK")) }
    }

    /// Starts it by posix_spawn(3).
    ///
    /// # Errors
    /// `EAGAIN` at a limit on processes, and whatever execve(2) says.
    #[inline]
    pub fn posix_spawn(&self) -> Result<Pid, SysError> {
        let mut child = 0;
        let arguments = [self.path.as_ptr().cast_mut(), std::ptr::null_mut()];
        let environment = [std::ptr::null_mut()];
        // SAFETY: the path and both arrays, which end with a null, outlive the call; there are no actions or
        // attributes.
        let errno = unsafe {
            libc::posix_spawn(
                &raw mut child,
                self.path.as_ptr(),
                std::ptr::null(),
                std::ptr::null(),
                arguments.as_ptr(),
                environment.as_ptr(),
            )
        };
        if errno == 0 { Ok(Pid::from_raw(child)) } else { Err(SysError::new("posix_spawn", Errno::from_raw(errno))) }
    }
}

extern "C" fn become_program(path: *mut c_void) -> libc::c_int {
    let path = path.cast_const().cast::<libc::c_char>();
    let (arguments, environment) = ([path, std::ptr::null()], [std::ptr::null()]);
    // SAFETY: `path` is the string that vfork_and_exec passed; the arrays end with a null. _exit(2) skips what belongs
    // to the parent.
    unsafe {
        libc::execve(path, arguments.as_ptr(), environment.as_ptr());
        libc::_exit(127)
    }
}

/// elf(5): one header, one segment that holds the whole file, and the call to exit_group(2) with 0.
fn program() -> Option<Vec<u8>> {
    const MACHINE_X86_64: u16 = 62;
    const MACHINE_AARCH64: u16 = 183;
    let (machine, code): (u16, &[u8]) = match std::env::consts::ARCH {
        // mov eax, 231; xor edi, edi; syscall
        "x86_64" => (MACHINE_X86_64, &[0xb8, 0xe7, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]),
        // mov x8, #94; mov x0, #0; svc #0
        "aarch64" => (MACHINE_AARCH64, &[0xc8, 0x0b, 0x80, 0xd2, 0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4]),
        _ => return None,
    };
    const HEADER: u16 = 64;
    const SEGMENT: u16 = 56;
    const ADDRESS: u64 = 0x40_0000;
    let size = u64::from(HEADER + SEGMENT) + code.len() as u64;
    // 64-bit, little-endian, current version; then padding.
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // ET_EXEC, machine, version.
    elf.extend([2_u16.to_le_bytes(), machine.to_le_bytes()].concat());
    elf.extend(1_u32.to_le_bytes());
    // Entry; where the segments' table is; where the sections' would be.
    elf.extend([ADDRESS + u64::from(HEADER + SEGMENT), HEADER.into(), 0].map(u64::to_le_bytes).concat());
    elf.extend(0_u32.to_le_bytes());
    // Sizes and numbers: of this header, of a segment's, one of them; of sections, none.
    elf.extend([HEADER, SEGMENT, 1, 0, 0, 0].map(u16::to_le_bytes).concat());
    // PT_LOAD, readable and executable.
    elf.extend([1_u32, 5].map(u32::to_le_bytes).concat());
    // Offset, virtual and physical address, size in the file and in memory, alignment: 64 KiB suits every page size.
    elf.extend([0, ADDRESS, ADDRESS, size, size, 0x1_0000].map(u64::to_le_bytes).concat());
    elf.extend(code);
    Some(elf)
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::WaitStatus;

    use super::*;
    use crate::sys::process::wait_for;

    #[test]
    fn the_tiny_program_runs_and_ends_with_0() {
        let program = TinyProgram::new().unwrap();
        for child in [program.vfork_and_exec().unwrap(), program.posix_spawn().unwrap()] {
            assert_eq!(wait_for(child), Ok(WaitStatus::Exited(child, 0)));
        }
    }
}
