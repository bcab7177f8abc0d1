//! The part of the file system that a serving process reaches: Landlock (`landlock(7)`). Directories whose files the configuration
//! named can be read, those in which it makes files or sockets can be written to, and nothing can be executed. Where the kernel
//! does not know it, everything stays as the user's rights say.

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr,
};
use portcullis_config::files::Named;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the system's library reads when names are looked up or times told, and what commands about the process itself read.
const SYSTEM: &[&str] = &[
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/netns",
    "/proc",
    "/sys/devices/system",
    "/dev/null",
    "/dev/urandom",
];

/// The newest kernel interface that is made use of.
const NEWEST: ABI = ABI::V5;

/// Directories that are open for the rules, while they can still be found.
pub struct Paths {
    open: Vec<(PathFd, BitFlags<AccessFs>)>,
    /// What can be read afterwards.
    pub read: BTreeSet<PathBuf>,
}

impl Paths {
    /// Those of this configuration; `jailed`: what is outside cannot be reached anyhow.
    #[must_use]
    pub fn gather(named: &Named, jailed: bool) -> Self {
        let reading = AccessFs::ReadFile | AccessFs::ReadDir;
        let making = reading
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeSock
            | AccessFs::RemoveFile;
        let mut read: BTreeSet<PathBuf> = BTreeSet::new();
        let mut written = named.kept.clone();
        if !jailed {
            read.extend(SYSTEM.iter().map(PathBuf::from));
            read.extend(named.read.iter().cloned());
            written.extend(named.made.iter().cloned());
        }
        let rule = |path: &PathBuf, access| PathFd::new(path).ok().map(|fd| (fd, access));
        let open = read.iter().filter_map(|p| rule(p, reading));
        let open = open.chain(written.iter().filter_map(|p| rule(p, making))).collect();
        read.extend(written);
        Self { open, read }
    }

    /// Nothing else can be reached by this thread, and by those that it starts, from now on.
    ///
    /// # Errors
    /// What the kernel says against it; not: that it does not know of this.
    pub fn restrict(self) -> Result<BTreeSet<PathBuf>, String> {
        let said = |e: landlock::RulesetError| e.to_string();
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))
            .map_err(said)?
            .create()
            .map_err(said)?;
        for (fd, access) in self.open {
            rules = rules.add_rule(PathBeneath::new(fd, access)).map_err(said)?;
        }
        rules.restrict_self().map_err(said)?;
        Ok(self.read)
    }
}

/// Is it in one of these directories?
#[must_use]
pub fn covered(read: &BTreeSet<PathBuf>, path: &Path) -> bool {
    path.ancestors().any(|a| read.contains(a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn what_was_named_can_be_reached() {
        let dir = std::env::temp_dir().join(format!("portcullis-paths-{}", std::process::id()));
        let (read, made, other) = (dir.join("read"), dir.join("made"), dir.join("other"));
        for d in [&read, &made, &other] {
            std::fs::create_dir_all(d).unwrap();
            std::fs::write(d.join("file"), "x").unwrap();
        }
        let mut named = Named::default();
        named.read.insert(read.clone());
        named.made.insert(made.clone());
        let paths = Paths::gather(&named, false);
        let kind = |done: std::io::Result<()>| done.err().map(|e| e.kind());
        let denied = Some(ErrorKind::PermissionDenied);
        let (in_read, in_made, in_other) = (read.join("file"), made.join("file"), other.join("file"));
        let thread = std::thread::spawn(move || {
            let read = paths.restrict().unwrap();
            assert!(covered(&read, &in_read) && !covered(&read, &in_other));
            assert_eq!(kind(std::fs::read(&in_read).map(drop)), None);
            assert_eq!(kind(std::fs::write(&in_read, "y")), denied);
            assert_eq!(kind(std::fs::write(&in_made, "y")), None);
            assert_eq!(kind(std::os::unix::net::UnixListener::bind(made.join("sock")).map(drop)), None);
            assert_eq!(kind(std::fs::rename(made.join("sock"), made.join("s"))), None);
            assert_eq!(kind(std::fs::read(&in_other).map(drop)), denied);
            assert_eq!(kind(std::fs::read("/etc/hosts").map(drop)), None);
        });
        thread.join().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
