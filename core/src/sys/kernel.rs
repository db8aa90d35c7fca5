//! Which kernel this is: uname(2).

/// Whether the running kernel is Linux `major.minor` or newer. One whose release cannot be read counts as old.
pub fn at_least(major: u32, minor: u32) -> bool {
    let release = nix::sys::utsname::uname().ok().map(|names| names.release().to_string_lossy().into_owned());
    release.and_then(|release| version(&release)).is_some_and(|version| version >= (major, minor))
}

/// The first two numbers of a release: `6.12.107+deb13-cloud-arm64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_are_read() {
        assert_eq!(version("6.12.107+deb13-cloud-arm64"), Some((6, 12)));
        assert_eq!(version("7.2-rc1"), Some((7, 2)));
        assert_eq!(version("five"), None);
    }

    #[test]
    fn the_running_kernel_is_newer_than_linux_2() {
        assert!(at_least(2, 6));
        assert!(!at_least(1000, 0));
    }
}
