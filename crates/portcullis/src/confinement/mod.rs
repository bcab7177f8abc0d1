//! Giving up what is not needed any more: groups, root directory, user, capabilities, files, system calls. Before any thread that
//! has to do with connections starts.

mod calls;
mod paths;

use crate::options::Options;
use crate::{limits, say};
use calls::Wanted;
use paths::Paths;
pub use paths::covered;
use portcullis_config::{Chroot, Global, Needs, files};
use portcullis_sys::process as sys;
use rustix::process::{Resource, geteuid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Confines the process as `global` says. Afterwards no file outside the jail can be opened.
///
/// # Errors
/// The message about what could not be done.
pub fn confine(global: &Global) -> Result<(), String> {
    warn(global);
    if global.dumpable {
        limits::core_files();
    }
    groups(global)?;
    match &global.chroot {
        None => {}
        Some(Chroot::Dir(dir)) => {
            chroot(Path::new(dir)).map_err(|_| format!("[haproxy.main()] Cannot chroot({dir})."))?
        }
        Some(Chroot::Auto) => {
            chroot_nowhere()
                .map_err(|e| format!("[haproxy.main()] Cannot chroot into an anonymous directory ({e})."))?;
        }
    }
    user(global)?;
    if !global.insecure_setuid {
        let _ = rustix::thread::set_no_new_privs(true);
    }
    if global.dumpable {
        // a change of user has forbidden them
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable);
    }
    Ok(())
}

/// Is there another root directory?
pub fn jailed(global: &Global) -> bool {
    match &global.chroot {
        Some(Chroot::Dir(dir)) => dir != "/",
        Some(Chroot::Auto) => true,
        None => false,
    }
}

/// What is still to be given up when the process is confined otherwise.
pub struct Rest {
    needs: Needs,
    paths: Option<Paths>,
    files: bool,
    older: Vec<u32>,
    /// Without it neither is possible.
    forever: bool,
}

impl Rest {
    /// While files can still be found.
    pub fn gather(global: &Global, options: &Options) -> Self {
        let (needs, named, jailed) = (Needs::of(global), files::named(), jailed(global));
        let free = needs.intersects(Needs::PATHS | Needs::CORE);
        let older = options.old.clone();
        Self {
            needs,
            files: !jailed || !named.kept.is_empty(),
            paths: (!free).then(|| Paths::gather(&named, jailed)),
            older,
            forever: !global.insecure_setuid,
        }
    }

    /// Starts what serves, confined; gives what can be read then, if that is not everything. The thread that calls this goes on as
    /// before if programs have to be started: what they may do is not limited.
    pub fn within<T: Send>(self, start: impl FnOnce() -> T + Send) -> (T, Option<BTreeSet<PathBuf>>) {
        if !self.needs.contains(Needs::PROGRAMS) {
            let read = self.give_up();
            return (start(), read);
        }
        let run = || {
            self.give_up();
            start()
        };
        let started = std::thread::scope(|s| s.spawn(run).join());
        (started.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), None)
    }

    fn give_up(self) -> Option<BTreeSet<PathBuf>> {
        if !self.forever {
            return None;
        }
        let tell = |what: &str, why: String| {
            say::warning(format!("[haproxy.main()] Cannot confine the process to {what}: {why}."));
        };
        let read = self.paths.and_then(|p| p.restrict().map_err(|e| tell("the files that it needs", e)).ok());
        if !self.needs.contains(Needs::CALLS) {
            let wanted = Wanted { needs: self.needs, files: self.files, older: &self.older };
            if let Err(e) = calls::restrict(&wanted) {
                tell("the system calls that it needs", e);
            }
        }
        read
    }
}

/// What an operator who starts as root should have said.
fn warn(global: &Global) {
    if !geteuid().is_root() {
        return;
    }
    if global.chroot.is_none() {
        say::warning(
            "[haproxy.main()] started as root without any 'chroot' directive. A chroot takes the file system away from an \
             intruder; 'chroot auto' in the global section uses an anonymous empty directory. 'chroot /' says that none is \
             wanted and silences this warning.",
        );
    }
    if global.uid.is_none() {
        say::warning(
            "[haproxy.main()] started as root, and neither 'user' nor 'uid' gives the privileges up. If that is intended, say \
             'uid 0' or 'user root'. Prefer an unprivileged user, with 'setcap' for what it has to keep.",
        );
    }
}

/// Group and supplementary groups: while /etc/group can still be read.
fn groups(global: &Global) -> Result<(), String> {
    let Some(gid) = global.gid.filter(|g| *g > 0) else {
        if global.uid.is_some_and(|u| u > 0) && geteuid().is_root() {
            let gid = rustix::process::getgid().as_raw();
            sys::set_groups(gid, global.user.as_deref())
                .map_err(|_| "[haproxy.main()] Cannot set the supplementary groups.".to_string())?;
        }
        return Ok(());
    };
    if sys::set_groups(gid, global.user.as_deref()).is_err() && geteuid().is_root() {
        return Err("[haproxy.main()] Cannot set the supplementary groups.".into());
    }
    sys::set_group(gid).map_err(|_| format!("[haproxy.main()] Cannot set gid {gid}."))
}

/// Without privileges: from inside a user namespace of its own.
fn chroot(dir: &Path) -> std::io::Result<()> {
    match sys::change_root(dir) {
        Err(e)
            if e.kind() == std::io::ErrorKind::PermissionDenied && !geteuid().is_root() && dir.is_dir() =>
        {
            sys::new_user_namespace()?;
            sys::change_root(dir)
        }
        done => done,
    }
}

/// Into a directory that has no name, no content, and takes none.
fn chroot_nowhere() -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let (dir, made) = (0..100)
        .map(|n| PathBuf::from(format!("/tmp/portcullis-{}-{n}", std::process::id())))
        .map(|dir| {
            let made = std::fs::DirBuilder::new().mode(0o500).create(&dir);
            (dir, made)
        })
        .find(|(_, made)| !matches!(made, Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists))
        .ok_or(std::io::ErrorKind::AlreadyExists)?;
    made?;
    let gone = std::env::set_current_dir(&dir);
    std::fs::remove_dir(&dir)?;
    gone?;
    chroot(Path::new("."))
}

/// The user, keeping the capabilities of `setcap`.
fn user(global: &Global) -> Result<(), String> {
    let kept = capabilities(global);
    let change = global.uid.filter(|u| *u > 0);
    if change.is_some() && !kept.is_empty() {
        let _ = rustix::thread::set_keep_capabilities(true);
    }
    if let Some(uid) = change {
        sys::set_user(uid).map_err(|_| format!("[haproxy.main()] Cannot set uid {uid}."))?;
    }
    if !kept.is_empty() && !geteuid().is_root() {
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        if rustix::thread::set_capabilities(None, sets).is_err() {
            let names = global.setcap.join(",");
            say::warning(format!(
                "[haproxy.main()] Cannot keep the capabilities '{names}' ('setcap'): not permitted."
            ));
        }
        let _ = rustix::thread::set_keep_capabilities(false);
    }
    Ok(())
}

fn capabilities(global: &Global) -> CapabilitySet {
    let known = [
        ("cap_net_raw", CapabilitySet::NET_RAW),
        ("cap_net_admin", CapabilitySet::NET_ADMIN),
        ("cap_net_bind_service", CapabilitySet::NET_BIND_SERVICE),
        ("cap_sys_admin", CapabilitySet::SYS_ADMIN),
    ];
    known.iter().filter(|(name, _)| global.setcap.iter().any(|n| n == name)).map(|(_, bit)| *bit).collect()
}

/// What is done once the threads run.
pub fn seal(global: &Global) {
    if !global.insecure_fork && rustix::process::getrlimit(Resource::Nproc).current != Some(0) {
        limits::no_more_processes();
    }
}
