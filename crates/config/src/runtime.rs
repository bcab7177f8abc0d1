//! Lines that come while the process runs: `add server`, read by the rows that read `server` lines.

use crate::cx::Cx;
use crate::diag::{Diagnostics, FileId};
use crate::env::Env;
use crate::files::Files;
use crate::model::{Global, Model, Open, Proxy, ProxyKind, Server};
use crate::row::{Registry, Sections};
use crate::rows;
use crate::word::{Line, Span, Word};
use std::io;
use std::path::{Path, PathBuf};

/// No file can be read any more.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn is_dir(&self, _: &Path) -> bool {
        false
    }
    fn exists(&self, _: &Path) -> bool {
        false
    }
}

/// What lines are read on: `global`, and for each line as much of the proxies as it may look at.
#[derive(Debug)]
pub struct Desk {
    model: Model,
}

impl Desk {
    /// With a copy of `global`.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        Self { model: Model { global: global.clone(), ..Model::default() } }
    }

    /// What rows look at in `global`.
    pub fn global(&mut self) -> &mut Global {
        &mut self.model.global
    }

    /// Reads `<name> <address> [from <origin>] [param*]` for that backend; nothing comes from its `default-server`.
    /// `others` finds backends by name for `from`, and `allowed` says which parameters may stand there.
    pub fn server(
        &mut self,
        backend: &Proxy,
        others: &dyn Fn(&str) -> Option<Proxy>,
        words: &[&[u8]],
        registry: &Registry,
        allowed: &[&str],
    ) -> (Option<Server>, Diagnostics) {
        let line = line(words);
        let mut diags = Diagnostics::default();
        diags.files.push("CLI".into());
        self.model.proxies = origin(words).and_then(|name| others(&name)).into_iter().collect();
        self.model.proxies.push(skeleton(backend, None));
        self.model.open = Open::Proxy;
        let mut cx = Cx {
            model: &mut self.model,
            diags: &mut diags,
            registry,
            files: &NoFiles,
            env: &mut Env::default(),
            line: &line,
            section: Sections::BACKEND,
            negated: false,
            defaulted: false,
        };
        rows::server::at_run_time(&mut cx, &line, allowed);
        let server = self.model.proxies.pop().and_then(|mut p| p.servers.pop());
        self.model.proxies.clear();
        (server, diags)
    }
}

/// The backend that `from` looks at.
fn origin(words: &[&[u8]]) -> Option<String> {
    let [_, _, b"from", origin, ..] = words else { return None };
    let text = String::from_utf8_lossy(origin);
    let path = text.strip_prefix("be:").or_else(|| text.strip_prefix("srv:"))?;
    Some(path.split_once('/').map_or(path, |(backend, _)| backend).to_owned())
}

/// A backend as far as a `server` line may look at it, with one of its servers.
#[must_use]
pub fn skeleton(backend: &Proxy, server: Option<&Server>) -> Proxy {
    Proxy {
        kind: ProxyKind::Backend,
        name: backend.name.clone(),
        mode: backend.mode,
        default_server: backend.default_server.clone(),
        named_default_servers: backend.named_default_servers.clone(),
        servers: server.cloned().into_iter().collect(),
        ..Proxy::default()
    }
}

/// A line of these words.
fn line(words: &[&[u8]]) -> Line {
    let mut line = Line { file: FileId(0), number: 0, raw: b"server".to_vec(), words: Vec::new() };
    let mut add = |text: &[u8], raw: &mut Vec<u8>| {
        let start = raw.len() as u32;
        raw.extend_from_slice(text);
        line.words.push(Word { text: text.to_vec(), span: Span { start, end: raw.len() as u32 } });
        raw.push(b' ');
    };
    let mut raw = Vec::new();
    add(b"server", &mut raw);
    words.iter().for_each(|w| add(w, &mut raw));
    line.raw = raw;
    line
}
