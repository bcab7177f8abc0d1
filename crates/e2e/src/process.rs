//! One running load balancer: started with a configuration, its output captured, its process group killed on drop.
use crate::binary::Binary;
use crate::quiet::{self, Crew};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take before a scenario gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Repeats `check` until it gives a value or `patience` is over.
pub fn wait_for<T>(patience: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(value) = check() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(2)); // the pause between two looks at a condition
    }
}

/// What a process has written so far to one of its outputs.
#[derive(Clone, Default)]
struct Capture(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Capture {
    fn follow(mut pipe: impl Read + Send + 'static, crew: &Crew) -> Capture {
        let capture = Capture::default();
        let (mine, member) = (capture.clone(), crew.announce());
        std::thread::spawn(move || {
            member.here();
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                mine.0.0.lock().unwrap().extend_from_slice(&chunk[..n]);
                mine.0.1.notify_all();
            }
        });
        capture
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap()).into_owned()
    }
}

/// The result of a process that has ended.
#[derive(Debug)]
pub struct Output {
    /// Exit code, or 128 + signal number as a shell would say.
    pub code: i32,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

/// The command that runs a binary. Who runs the tests in the background of a shell has them ignore SIGINT, and so would every
/// process that does not say otherwise.
fn interruptible(binary: &Binary) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored =
        status.lines().find_map(|l| u64::from_str_radix(l.strip_prefix("SigIgn:")?.trim(), 16).ok());
    if ignored.unwrap_or(0) & 1 << (Signal::INT.as_raw() - 1) == 0 {
        return Command::new(&binary.path);
    }
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(&binary.path);
    command
}

/// A running process, leader of its own process group.
pub struct Process {
    child: Child,
    stdout: Capture,
    stderr: Capture,
    followers: Crew,
}

impl Process {
    /// Starts `binary` with these arguments and additional environment variables.
    pub fn spawn(binary: &Binary, args: &[String], env: &[(String, String)]) -> Process {
        let mut child = interruptible(binary)
            .args(args)
            .envs(env.iter().map(|(k, v)| (k, v)))
            .env_remove("NOTIFY_SOCKET")
            .envs(env.iter().filter(|(k, _)| k == "NOTIFY_SOCKET").map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", binary.path.display()));
        let followers = Crew::default();
        let stdout = Capture::follow(child.stdout.take().unwrap(), &followers);
        let stderr = Capture::follow(child.stderr.take().unwrap(), &followers);
        Process { child, stdout, stderr, followers }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Sends a signal to the process alone, not to its children.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(self.raw_pid(), signal);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; `None` when it does not end in time.
    pub fn wait(&mut self, patience: Duration) -> Option<Output> {
        let status = wait_for(patience, || self.child.try_wait().ok().flatten())?;
        // a daemon that it left behind may hold its outputs open: nothing more to read is enough
        quiet::settle(std::slice::from_ref(&self.followers), &[]);
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Some(Output { code, stdout: self.stdout(), stderr: self.stderr() })
    }

    /// Number of open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).map(Iterator::count).unwrap_or(0)
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process_group(self.raw_pid(), Signal::KILL);
        let _ = self.child.wait();
    }
}
