//! What a configuration needs of the system that a confined process has not. The rows that need it say so when they are used.

use crate::model::Global;

bitflags::bitflags! {
    /// What has to stay possible after confinement.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Needs: u8 {
        /// Starting programs: `external-check`, `ssl-passphrase-cmd`, `insecure-fork-wanted`.
        const PROGRAMS = 1;
        /// Entering network namespaces: `namespace`, `setcap cap_sys_admin`.
        const NAMESPACES = 2;
        /// Writing core files: `set-dumpable`.
        const CORE = 4;
        /// System calls of any kind: `insecure-syscalls-wanted`.
        const CALLS = 8;
        /// Files anywhere: `insecure-paths-wanted`.
        const PATHS = 16;
    }
}

impl Needs {
    /// All that a configuration needs.
    #[must_use]
    pub fn of(global: &Global) -> Self {
        let also = [
            (Self::PROGRAMS, global.insecure_fork),
            (Self::NAMESPACES, global.setcap.iter().any(|c| c == "cap_sys_admin")),
            (Self::CORE, global.dumpable),
            (Self::CALLS, global.insecure_syscalls),
            (Self::PATHS, global.insecure_paths),
        ];
        also.into_iter().filter(|(_, on)| *on).fold(global.needs, |all, (bit, _)| all | bit)
    }

    /// What they are, for messages.
    #[must_use]
    pub fn names(self) -> String {
        let all = [
            (Self::PROGRAMS, "starting programs"),
            (Self::NAMESPACES, "entering network namespaces"),
            (Self::CORE, "core files"),
            (Self::CALLS, "any system call"),
            (Self::PATHS, "files anywhere"),
        ];
        all.iter()
            .filter(|(bit, _)| self.contains(*bit))
            .map(|(_, name)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    }
}
