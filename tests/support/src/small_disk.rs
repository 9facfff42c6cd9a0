//! A small file system of a test's own. To mount one takes root, or to be root in a namespace of one's own.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Memory as a file system at this directory, with these options of tmpfs.
    pub fn mount(at: &Path, options: &str) -> Self {
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", options, "tollgate-test"]).arg(at).output();
        let mount = mount.expect("mount is there");
        let said = String::from_utf8_lossy(&mount.stderr);
        assert!(mount.status.success(), "{} cannot be mounted: {said}", at.display());
        Self(at.to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
        // Whoever made the directory could not remove it while something was mounted there.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Whether this process may mount. False: the test that asks was run by another process which may, and has passed.
pub fn may_mount() -> bool {
    if is_root() {
        return true;
    }
    let thread = std::thread::current();
    let test = thread.name().expect("a test's thread is named after it");
    let program = std::env::current_exe().expect("it runs");
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount"]).arg(program);
    let passed = unshare.args(["--exact", test, "--nocapture"]).status();
    let passed = passed.expect("unshare is there");
    assert!(passed.success(), "not as root of a namespace either, where that is allowed: {passed}");
    false
}

pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("there is a /proc").uid() == 0
}
