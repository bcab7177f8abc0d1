//! The configuration parser with every row: whatever stands in a file, it ends with a model and messages that have their
//! places in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_config::env::Env;
use portcullis_config::{
    Files, Registry, Rows, Severity, SourceFile, env_rows, load, no_effect, render, rows,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A file system in which every file is the same few lines.
struct Toy;

impl Files for Toy {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some(p) if p.ends_with('x') => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
        }
    }
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
    fn is_dir(&self, _: &Path) -> bool {
        false
    }
    fn exists(&self, _: &Path) -> bool {
        true
    }
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let table = |keywords| Rows { keywords, ..Rows::default() };
    let (env, none) = (table(env_rows::ROWS), table(no_effect::ROWS));
    Registry::new(vec![rows::rows(), rows::later(), portcullis_proxy::rules::rows(), env, none])
});

fuzz_target!(|text: &[u8]| {
    let mut env = Env::default();
    env.set("A", b"127.0.0.1".to_vec());
    env.set("LIST", b"one two  three".to_vec());
    let source = SourceFile { name: "fuzz.cfg".into(), text: text.to_vec() };
    let loaded = load(&[source], &REGISTRY, &Toy, &mut env);
    let lines = text.iter().filter(|b| **b == b'\n').count() as u32 + 1;
    for d in &loaded.diags.list {
        assert!(!d.message.is_empty());
        assert!(d.place.is_none_or(|p| (1..=lines).contains(&p.line)), "{d:?}");
    }
    let _ = render::all(&loaded.diags, Severity::Diag, 1);
});
