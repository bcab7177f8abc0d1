//! Going to the background: the process splits, and the part that stays in front waits until the other one serves.

use crate::say;
use rustix::fd::OwnedFd;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

/// A process in the background that starts.
#[derive(Debug)]
pub struct Background {
    /// The end of the pipe that it holds while it starts, if the part in front waits for it and not for its master.
    front: Option<File>,
    /// Opened before the root directory changes.
    null: File,
}

/// Which part this is.
pub enum Split {
    /// In front: to end with this code.
    Front(ExitCode),
    /// In the background, starting.
    Back(Background),
}

/// Splits the process. Before any thread starts.
///
/// # Errors
/// The system's.
pub fn split() -> io::Result<Split> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    match portcullis_sys::process::fork()? {
        0 => {
            drop(read);
            rustix::process::setsid()?;
            Ok(Split::Back(Background { front: Some(write.into()), ..Background::of_a_master()? }))
        }
        pid => {
            drop(write);
            Ok(Split::Front(wait(read, pid)))
        }
    }
}

/// Waits until the process in the background serves, or ends without.
fn wait(read: OwnedFd, pid: u32) -> ExitCode {
    let mut said = Vec::new();
    if File::from(read).read_to_end(&mut said).is_ok() && !said.is_empty() {
        return ExitCode::SUCCESS;
    }
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let status = waitpid(raw, WaitOptions::empty()).ok().flatten();
    let code = status.and_then(|(_, s)| s.exit_status()).unwrap_or(1);
    say::introduce_again();
    say::alert(format!("Process {pid} exited with code {code} (Exit)"));
    ExitCode::from(u8::try_from(code).unwrap_or(1).max(1))
}

impl Background {
    /// For the worker of a master that is in the background.
    ///
    /// # Errors
    /// The system's.
    pub fn of_a_master() -> io::Result<Self> {
        Ok(Self { front: None, null: File::options().read(true).write(true).open("/dev/null")? })
    }

    /// The process serves: leaves the terminal, and lets the part in front end.
    pub fn ready(self) {
        let _ = rustix::stdio::dup2_stdin(&self.null);
        let _ = rustix::stdio::dup2_stdout(&self.null);
        let _ = rustix::stdio::dup2_stderr(&self.null);
        if let Some(mut front) = self.front {
            let _ = front.write_all(b"R");
        }
    }
}

/// Writes the pid into the pid file, which is made anew: whoever left a link there does not choose what is written to.
///
/// # Errors
/// The message.
pub fn write_pid(path: &str) -> Result<(), String> {
    let is_file = |m: std::fs::Metadata| m.is_file() || m.is_symlink();
    if std::fs::symlink_metadata(path).is_ok_and(is_file) {
        let _ = std::fs::remove_file(path);
    }
    File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)
        .and_then(|mut file| writeln!(file, "{}", std::process::id()))
        .map_err(|_| format!("[haproxy.main()] Cannot create pidfile {path}"))
}
