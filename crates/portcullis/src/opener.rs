//! The process beside a confined one that reads files and opens listening sockets for it (`reload-mode in-place` with `chroot`, or
//! with another user): split off before anything is given up, and reached over a pair of sockets alone.
//!
//! It decides by itself what may be read: when the configuration is to be read again, a copy of it does so, with the rights that the
//! start had, and gives what the file system answered meanwhile ([`Snapshot`]). Likewise it opens addresses that a `bind` line of the
//! configuration has, which it reads for that. Nothing else can be asked for, so that whoever takes a confined process over learns
//! and gets nothing that its configuration does not name.

use crate::confinement::jailed;
use crate::options::Options;
use crate::{compose, limits, load};
use portcullis_config::addr::{Host, Transport};
use portcullis_config::files::{self, LocalFiles, Recorded};
use portcullis_config::snapshot::Snapshot;
use portcullis_config::{Bind, Global, Loaded, Model, Setting};
use portcullis_proxy::plan::{self, Plan};
use portcullis_sample::pattern::shared;
use portcullis_sys::process::{alone, fork};
use portcullis_tls::again;
use portcullis_tls::settings::GlobalTls;
use portcullis_tls::store::Shared;
use portcullis_transport::handover::{self, Given};
use portcullis_transport::listen::{self, Lacking, ListenError, ListenOptions};
use portcullis_transport::sockets::{LocalSockets, Sockets};
use portcullis_upkeep::Force;
use portcullis_upkeep::export::Wanted;
use rustix::net::RecvFlags;
use rustix::process::{WaitOptions, geteuid, waitpid};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::Shutdown;
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

    /// A socket that listens as this line of the configuration says, and what it has to do without.
    fn open(&self, bind: &Bind) -> Result<(OwnedFd, Vec<Lacking>), ListenError> {
        self.opened(bind).unwrap_or_else(|reason| {
            Err(ListenError { step: "the process that opens sockets does not answer".into(), reason })
        })
    }

    fn opened(&self, bind: &Bind) -> io::Result<Result<(OwnedFd, Vec<Lacking>), ListenError>> {
        let (mut mine, its) = UnixStream::pair()?;
        handover::send_message(&self.0, b"l", &[Arc::new(its.into())])?;
        mine.write_all(key(bind).as_bytes())?;
        mine.shutdown(Shutdown::Write)?;
        let (mut kind, mut fds, mut text) = ([0], Vec::new(), String::new());
        // the descriptor comes with the first byte
        handover::receive_message(&mine, &mut kind, &mut fds, RecvFlags::empty())?;
        mine.read_to_string(&mut text)?;
        let mut lacking = text.lines().filter_map(parsed);
        match fds.pop() {
            Some(fd) => Ok(Ok((fd, lacking.collect()))),
            None => {
                let Lacking { step, reason, .. } = lacking.next().ok_or(io::ErrorKind::UnexpectedEof)?;
                Ok(Err(ListenError { step: step.into(), reason }))
            }
        }
    }
}

/// Listening sockets of a process that may not open all of them.
pub struct Helped<'o> {
    /// Who opens the others.
    pub opener: &'o Opener,
    /// Its own.
    pub own: &'o LocalSockets,
}

impl Sockets for Helped<'_> {
    fn listen(
        &self,
        bind: &Bind,
        options: &ListenOptions,
    ) -> Result<(Arc<OwnedFd>, Vec<Lacking>), ListenError> {
        // a path means something else where this process is
        if !matches!(bind.address.host, Host::Unix(_)) {
            match self.own.listen(bind, options) {
                Err(e) if e.reason.kind() == io::ErrorKind::PermissionDenied => {}
                other => return other,
            }
        }
        let (fd, lacking) = self.opener.open(bind)?;
        let fd = Arc::new(fd);
        if bind.address.transport != Transport::Datagram {
            self.own.adopt(&fd, bind);
        }
        Ok((fd, lacking))
    }
    fn listening(&self) -> Vec<Given> {
        self.own.listening()
    }
}

/// What a `bind` line is found again by.
fn key(bind: &Bind) -> String {
    let part = |p: &Option<String>| p.clone().unwrap_or_default();
    format!("{}\0{}\0{}", bind.text, part(&bind.interface), part(&bind.namespace))
}

/// A line about something that a socket has not: whether binding it was the matter, the system's number, the step.
fn line_of(binding: bool, step: &str, reason: &io::Error) -> String {
    format!("{} {} {step}\n", u8::from(binding), reason.raw_os_error().unwrap_or_default())
}

/// What [`line_of`] has written.
fn parsed(line: &str) -> Option<Lacking> {
    let mut parts = line.splitn(3, ' ');
    let binding = parts.next()? == "1";
    let reason = match parts.next()?.parse().ok()? {
        0 => io::ErrorKind::Other.into(),
        number => io::Error::from_raw_os_error(number),
    };
    Some(Lacking { binding, step: parts.next()?.to_owned(), reason })
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
                // who asked is gone, or sees that the end is missing
                let _ = match byte {
                    [b'l'] => listen(options, &loaded.settings, to.into()),
                    _ => give(&read(options, loaded), to.into()),
                };
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

fn everything(options: &Options, settings: &[Setting]) -> Result<Plan, String> {
    let Loaded { model, mut diags, .. } = load::again(options, settings, &LocalFiles)?;
    let wanted = limits::wanted(&model, &limits::system());
    let process = compose::process(&model, &wanted, options, false)?;
    let plan = plan::compile(&model, &process, &mut diags);
    let _ = (Force::new(&model, &process)?, Wanted::new(&model, &process)?);
    Ok(plan)
}

/// Opens a socket for the line that is asked for, if the configuration has it.
fn listen(options: &Options, settings: &[Setting], mut to: UnixStream) -> io::Result<()> {
    let mut wanted = String::new();
    to.read_to_string(&mut wanted)?;
    let plan = everything(options, settings).map_err(io::Error::other)?;
    let opened = match plan.listeners.iter().find(|l| key(&l.bind) == wanted) {
        Some(l) => listen::open(&l.bind, &l.options),
        None => {
            let reason = io::Error::from(rustix::io::Errno::NOENT);
            Err(ListenError { step: "the configuration has no such address any more".into(), reason })
        }
    };
    match opened {
        Ok((fd, lacking)) => {
            handover::send_message(&to, b"k", &[Arc::new(fd)])?;
            let lines = lacking.iter().map(|l| line_of(l.binding, &l.step, &l.reason));
            to.write_all(lines.collect::<String>().as_bytes())
        }
        Err(e) => to.write_all(format!("e{}", line_of(true, &e.step, &e.reason)).as_bytes()),
    }
}

/// Certificates and the like of a configuration.
pub fn store(model: &Model) -> Shared {
    model.global.ext.get::<GlobalTls>().map(|tls| tls.store.clone()).unwrap_or_default()
}
