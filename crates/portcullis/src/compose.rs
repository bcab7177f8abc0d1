//! The composition root: the rooms' rows in one registry, and the way from configuration to running workers.

use portcullis_backend::Descriptors;
use portcullis_config::env::Env;
use portcullis_config::files::LocalFiles;
use portcullis_config::{Diagnostics, Loaded, Model, Registry, Rows, SourceFile};
use portcullis_proxy::plan::{self, Plan};
use portcullis_proxy::process::Process;
use portcullis_telemetry::gate::Process as Counts;
use portcullis_telemetry::log::{Ring, RingConfig, Sinks};
use std::sync::Arc;

/// Every row of the binary.
pub fn registry() -> Registry {
    let own = Rows { keywords: portcullis_config::env_rows::ROWS, ..Rows::default() };
    let none = Rows { keywords: portcullis_config::no_effect::ROWS, ..Rows::default() };
    let (rows, later) = (portcullis_config::rows::rows(), portcullis_config::rows::later());
    Registry { rooms: vec![rows, portcullis_proxy::rules::rows(), own, none, later] }
}

/// Loads the files' texts.
pub fn load(sources: &[SourceFile], env: &mut Env) -> Loaded {
    portcullis_config::load(sources, &registry(), &LocalFiles, env)
}

/// Connections that a process with this many descriptors can serve: two a connection, less what is needed otherwise.
pub fn automatic_maxconn(model: &Model, descriptors: u64) -> u32 {
    let listeners: usize = model.proxies.iter().map(|p| p.binds.len()).sum();
    let own = 20 + listeners as u64 + u64::from(workers(model)) * 4;
    u32::try_from(descriptors.saturating_sub(own) / 2).unwrap_or(u32::MAX).max(1)
}

/// How many workers: `nbthread`, or one for each CPU that the process may use.
pub fn workers(model: &Model) -> u16 {
    let available = std::thread::available_parallelism().map_or(1, |n| n.get());
    model.global.nbthread.unwrap_or_else(|| u16::try_from(available).unwrap_or(u16::MAX)).max(1)
}

/// What workers share, for this model.
pub fn process(model: &Model, descriptors: u64) -> Arc<Process> {
    let g = &model.global;
    let workers = usize::from(workers(model));
    let maxconn = g.maxconn.unwrap_or_else(|| automatic_maxconn(model, descriptors));
    let rings = model.rings.iter().map(|r| {
        let mut config = RingConfig::new(r.name.clone(), g.tune.bufsize);
        config.description.clone_from(&r.description);
        config.size = r.size.unwrap_or(config.size);
        config.maxlen = r.maxlen.unwrap_or(config.maxlen);
        config.format = r.format;
        Arc::new(Ring::new(config))
    });
    let tag = g.log_tag.clone().unwrap_or_else(|| "haproxy".into());
    let sinks = Sinks::new(rings.collect(), g.log_send_hostname.clone(), tag);
    let counts = Counts::new(workers, maxconn, g.maxconnrate, g.maxsessrate);
    let limit = u32::try_from(descriptors).unwrap_or(u32::MAX);
    let ratio = Descriptors::new(limit, g.tune.pool_low_fd_ratio, g.tune.pool_high_fd_ratio);
    Process::new(workers, counts, sinks, ratio)
}

/// The plan of a model.
pub fn plan(model: &Model, process: &Process, diags: &mut Diagnostics) -> Arc<Plan> {
    Arc::new(plan::compile(model, process, diags))
}
