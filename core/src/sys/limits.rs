//! The limit that a process may raise for itself: setrlimit(2).

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Raises the soft limit of open descriptors to the hard one, for this process and the processes that it creates.
///
/// The soft limit is 1024 on most systems for the sake of programs that call select(2), whose sets end there; a program
/// that does not may lift its own (getrlimit(2), and select(2), "BUGS"). Where a sandbox refuses it, the limit stays,
/// and what does not fit below it is told by the limits as they then are.
pub fn raise_descriptors() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let ceiling = std::fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    let highest = highest(hard, ceiling);
    if soft < highest {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, highest, highest);
    }
}

/// The limit that the kernel accepts: none whose hard limit is above fs.nr_open, even if it was inherited so (`EPERM`,
/// do_prlimit in kernel/sys.c). Nothing is lost by lowering that: no descriptor can have a higher number.
fn highest(hard: rlim_t, ceiling: Option<rlim_t>) -> rlim_t {
    ceiling.map_or(hard, |ceiling| hard.min(ceiling))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::seccomp::{CallRule, refuse_from_now_on};
    use nix::errno::Errno;

    #[test]
    fn a_hard_limit_above_the_ceiling_is_lowered_to_it() {
        assert_eq!(highest(1 << 20, Some(1 << 30)), 1 << 20);
        assert_eq!(highest(libc::RLIM_INFINITY, Some(1 << 20)), 1 << 20);
        assert_eq!(highest(4096, None), 4096);
    }

    #[test]
    fn a_refusal_leaves_the_limit_as_it_was() {
        let limit = || getrlimit(Resource::RLIMIT_NOFILE);
        let before = limit();
        let tried = std::thread::spawn(|| {
            if let Err(error) = refuse_from_now_on(&[CallRule::errno(libc::SYS_prlimit64, Errno::EPERM)]) {
                return println!("not checked: {error}");
            }
            raise_descriptors();
        });
        tried.join().unwrap();
        assert_eq!(limit(), before);
    }
}
