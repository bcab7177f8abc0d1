//! The process beside a confined one that reads files for it (`reload-mode in-place` with `chroot`, or with another user): split off
//! before anything is given up, and reached over a pair of sockets alone.
//!
//! It decides by itself what may be read: when the configuration is to be read again, a copy of it does so, with the rights that the
//! start had, and gives what the file system answered meanwhile ([`Snapshot`]). Nothing else can be asked for, so that whoever takes
//! a confined process over learns nothing that its configuration does not name.

use crate::confinement::jailed;
use crate::options::Options;
use crate::{compose, limits, load};
use portcullis_config::files::{self, LocalFiles, Recorded};
use portcullis_config::snapshot::Snapshot;
use portcullis_config::{Global, Loaded, Model, Setting};
use portcullis_proxy::plan;
use portcullis_sample::pattern::shared;
use portcullis_sys::process::{alone, fork};
use portcullis_tls::again;
use portcullis_tls::settings::GlobalTls;
use portcullis_tls::store::Shared;
use portcullis_transport::handover;
use portcullis_upkeep::Force;
use portcullis_upkeep::export::Wanted;
use rustix::net::RecvFlags;
use rustix::process::{WaitOptions, geteuid, waitpid};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// As it is called in lists of processes.
const NAME: &std::ffi::CStr = c"portcullis-open";

/// The confined process' end.
#[derive(Debug)]
pub struct Opener(UnixStream);

/// Will this process not be able to read files any more as it does now?
fn is_needed(global: &Global) -> bool {
    global.reload_in_place && (jailed(global) || (geteuid().is_root() && global.uid.is_some_and(|u| u > 0)))
}

impl Opener {
    /// Splits it off, if there is need of it. Before any thread starts and before anything is listened on.
    ///
    /// # Errors
    /// The system's.
    pub fn start(options: &Options, loaded: &Loaded) -> io::Result<Option<Self>> {
        if !is_needed(&loaded.model.global) {
            return Ok(None);
        }
        let (mine, its) = UnixStream::pair()?;
        if fork()? > 0 {
            return Ok(Some(Self(mine)));
        }
        drop(mine);
        // a panic must not go on where the process that serves begins
        let _ = catch_unwind(AssertUnwindSafe(|| serve(its.into(), options, loaded)));
        std::process::exit(0)
    }

    /// What is to be known to read the configuration as it is now.
    ///
    /// # Errors
    /// The other process is gone, or could not.
    pub fn look(&self) -> io::Result<Snapshot> {
        let (mine, its) = UnixStream::pair()?;
        handover::send_message(&self.0, b"r", &[Arc::new(its.into())])?;
        Snapshot::from(&mut BufReader::new(mine))
    }
}

/// Answers until the other end is gone.
fn serve(line: OwnedFd, options: &Options, loaded: &Loaded) {
    let Ok(line) = alone(line) else { return };
    let _ = rustix::thread::set_name(NAME);
    loop {
        let (mut byte, mut fds) = ([0], Vec::new());
        match handover::receive_message(&line, &mut byte, &mut fds, RecvFlags::empty()) {
            Ok(0) => return,
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return,
            _ => {}
        }
        let Some(to) = fds.pop() else { continue };
        // what reading leaves behind goes with the copy
        match fork() {
            Ok(0) => {
                let seen = read(options, loaded);
                // who asked is gone, or sees that the end is missing
                let _ = give(&seen, to.into());
                return;
            }
            Ok(_) => {
                drop(to);
                let _ = waitpid(None, WaitOptions::empty());
            }
            Err(_) => {}
        }
    }
}

fn give(seen: &Snapshot, to: UnixStream) -> io::Result<()> {
    let mut to = BufWriter::new(to);
    seen.write(&mut to)?;
    to.flush()
}

/// Reads the configuration as the other process will, and all that it names.
fn read(options: &Options, loaded: &Loaded) -> Snapshot {
    let recorded = Arc::new(Recorded::default());
    files::within(recorded.clone(), || {
        shared::begin();
        again::begin(&store(&loaded.model));
        // what is wrong is said by the other process
        let _ = everything(options, &loaded.settings);
    });
    recorded.take()
}

fn everything(options: &Options, settings: &[Setting]) -> Result<(), String> {
    let Loaded { model, mut diags, .. } = load::again(options, settings, &LocalFiles)?;
    let wanted = limits::wanted(&model, &limits::system());
    let process = compose::process(&model, &wanted, options, false)?;
    let _ = plan::compile(&model, &process, &mut diags);
    let _ = (Force::new(&model, &process)?, Wanted::new(&model, &process)?);
    Ok(())
}

/// Certificates and the like of a configuration.
pub fn store(model: &Model) -> Shared {
    model.global.ext.get::<GlobalTls>().map(|tls| tls.store.clone()).unwrap_or_default()
}
