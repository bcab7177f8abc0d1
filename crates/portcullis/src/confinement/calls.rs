//! The system calls that a serving process makes: a seccomp filter (`seccomp(2)`) that lets them through and has every other one fail
//! with EPERM. Threads and programs that a thread starts have its filter.
//!
//! What is let through by its number alone costs the least: the kernel (5.11) remembers such calls in a bitmap and does not run the
//! filter for them. Calls whose arguments are looked at are rare ones.

use portcullis_config::Needs;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;
use std::env::consts::ARCH;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Sockets, pipes, events.
const TRAFFIC: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendmmsg,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_pipe2,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_create1,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    // `source`; a listener that is resumed or comes with another configuration
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_socketpair,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_msync,
];

/// Memory, threads, time, and who the process is.
const HOUSEKEEPING: &[i64] = &[
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_membarrier,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_getcpu,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_capget,
    libc::SYS_getrusage,
    // `tune.renice.*` of a configuration that is read again
    libc::SYS_getpriority,
    libc::SYS_setpriority,
    libc::SYS_prlimit64,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_signalfd4,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Where a process can reach files: reading a configuration again, certificates that are kept, sockets in the file system.
const FILES: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_umask,
];

/// The same by the names that older architectures have.
#[cfg(target_arch = "x86_64")]
const OLDER: [&[i64]; 2] = [
    &[
        libc::SYS_poll,
        libc::SYS_select,
        libc::SYS_epoll_wait,
        libc::SYS_dup2,
        libc::SYS_pipe,
        libc::SYS_time,
        libc::SYS_arch_prctl,
    ],
    &[
        libc::SYS_open,
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_access,
        libc::SYS_readlink,
        libc::SYS_unlink,
        libc::SYS_rename,
        libc::SYS_mkdir,
        libc::SYS_chmod,
        libc::SYS_chown,
    ],
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [&[i64]; 2] = [&[], &[]];

/// Families of sockets. NETLINK is how the system's library looks for addresses.
const FAMILIES: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
/// Requests to devices: is it a terminal, how much waits in a socket, (non-)blocking, names of interfaces.
const REQUESTS: &[u64] = &[
    libc::TCGETS,
    libc::TIOCGWINSZ,
    libc::FIONREAD,
    libc::TIOCOUTQ,
    libc::FIONBIO,
    libc::FIOCLEX,
    libc::SIOCGIFINDEX,
    libc::SIOCGIFNAME,
];
/// What a thread may ask about itself: its name, names of memory (PR_SET_VMA), and large pages for lists that it reads.
const TRAITS: &[i32] = &[
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_GET_DUMPABLE,
    libc::PR_CAPBSET_READ,
    libc::PR_SET_VMA,
    libc::PR_SET_THP_DISABLE,
];

/// What the process that is to be confined has to be able to do.
pub struct Wanted<'a> {
    /// What its configuration says.
    pub needs: Needs,
    /// Files can be reached.
    pub files: bool,
    /// Processes that are to be told that this one serves.
    pub older: &'a [u32],
}

/// Has every other system call of this thread, and of those that it starts, fail from now on.
///
/// # Errors
/// What the kernel says against it.
pub fn restrict(wanted: &Wanted<'_>) -> Result<(), String> {
    let said = |e: seccompiler::Error| e.to_string();
    let unknown = || BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    // its arguments cannot be looked at: the library then takes the older call
    let newer = filter(unknown(), SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let all = filter(rules(wanted)?, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?;
    apply_filter(&newer).map_err(said)?;
    apply_filter(&all).map_err(said)
}

fn filter(rules: Rules, others: SeccompAction, these: SeccompAction) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(ARCH).map_err(|e| e.to_string())?;
    let filter = SeccompFilter::new(rules, others, these, arch).map_err(|e| e.to_string())?;
    BpfProgram::try_from(filter).map_err(|e| e.to_string())
}

fn rules(wanted: &Wanted<'_>) -> Result<Rules, String> {
    let mut by_number = vec![TRAFFIC, HOUSEKEEPING, OLDER[0], &[libc::SYS_clone3]];
    if wanted.files {
        by_number.extend([FILES, OLDER[1]]);
    }
    if wanted.needs.contains(Needs::NAMESPACES) {
        by_number.push(&[libc::SYS_setns]);
    }
    let mut rules: Rules = by_number.into_iter().flatten().map(|n| (*n, Vec::new())).collect();
    rules.insert(libc::SYS_socket, any_of(0, FAMILIES.iter().map(|f| *f as u64))?);
    rules.insert(libc::SYS_ioctl, any_of(1, REQUESTS.iter().copied())?);
    rules.insert(libc::SYS_prctl, any_of(0, TRAITS.iter().map(|t| *t as u64))?);
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![rule(0, SeccompCmpOp::MaskedEq(thread), thread)?]);
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, any_of(0, [own])?);
    rules.insert(libc::SYS_kill, any_of(0, wanted.older.iter().map(|p| u64::from(*p)).chain([own]))?);
    Ok(rules)
}

/// The argument of that number is one of these.
fn any_of(argument: u8, values: impl IntoIterator<Item = u64>) -> Result<Vec<SeccompRule>, String> {
    values.into_iter().map(|value| rule(argument, SeccompCmpOp::Eq, value)).collect()
}

fn rule(argument: u8, how: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    let condition = SeccompCondition::new(argument, Dword, how, value).map_err(|e| e.to_string())?;
    SeccompRule::new(vec![condition]).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketType, socket};

    /// In a thread of its own: the filter stays.
    fn confined<T: Send + 'static>(needs: Needs, files: bool, act: impl FnOnce() -> T + Send + 'static) -> T {
        let thread = std::thread::spawn(move || {
            restrict(&Wanted { needs, files, older: &[] }).unwrap();
            act()
        });
        thread.join().unwrap()
    }

    fn code<T>(done: std::io::Result<T>) -> Option<i32> {
        done.err().and_then(|e| e.raw_os_error())
    }

    #[test]
    fn what_is_not_needed_fails_and_nothing_else_happens() {
        rustix::thread::set_no_new_privs(true).unwrap();
        let packet = |family| socket(family, SocketType::STREAM, None).err();
        confined(Needs::empty(), false, move || {
            assert_eq!(code(std::fs::read("/etc/hosts")), Some(libc::EPERM));
            assert_eq!(code(std::process::Command::new("/bin/true").status()), Some(libc::EPERM));
            assert_eq!(packet(AddressFamily::VSOCK), Some(Errno::PERM));
            assert_eq!(rustix::thread::set_name(c"name").err(), None);
            let other = rustix::process::Pid::from_raw(1).unwrap();
            assert_eq!(rustix::process::test_kill_process(other), Err(Errno::PERM));
            let out = std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned().unwrap();
            let own = std::fs::File::from(out);
            let entered = rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&own), None);
            assert_eq!(entered, Err(Errno::PERM));
            // what a worker does
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.set_nodelay(true).unwrap();
            assert_eq!(std::thread::spawn(|| 1).join().unwrap(), 1);
        });
    }

    #[test]
    fn needs_admit() {
        rustix::thread::set_no_new_privs(true).unwrap();
        confined(Needs::NAMESPACES, true, || {
            assert!(std::fs::read("/etc/hosts").is_ok());
            let own = std::fs::File::open("/dev/null").unwrap();
            let entered = rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&own), None);
            assert_eq!(entered, Err(Errno::INVAL));
        });
    }
}
