//! The composition root: the rooms' rows in one registry, and the way from configuration to running workers.

use crate::limits::Limits;
use crate::options::Options;
use crate::{dump, keywords};
use portcullis_backend::Descriptors;
use portcullis_config::files::LocalFiles;
use portcullis_config::{Diagnostics, Files, LogFraming, Model, Registry, Rows};
use portcullis_proxy::plan::{self, Plan};
use portcullis_proxy::process::Process;
use portcullis_sample::convert::debug;
use portcullis_telemetry::endpoints::Endpoints;
use portcullis_telemetry::gate::Process as Counts;
use portcullis_telemetry::log::{Ring, RingConfig, Sinks};
use portcullis_telemetry::trace::{Section, Traces};
use portcullis_tls::settings::GlobalTls;
use std::path::Path;
use std::sync::Arc;

/// Every row of the binary.
pub fn registry() -> Registry {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        portcullis_proxy::rules::internal::ROWS.into_iter().for_each(portcullis_sample::row::install);
        portcullis_proxy::applet::install(portcullis_stats::SERVICES);
    });
    let logs = Rows {
        keywords: portcullis_proxy::outcome::ROWS,
        server: portcullis_proxy::preface::OPTIONS,
        ..Rows::default()
    };
    let steps = Rows { keywords: portcullis_proxy::outcome::STEP_ROWS, ..Rows::default() };
    let [users, variables] = portcullis_sample::keywords();
    let own = Rows { keywords: portcullis_config::env_rows::ROWS, ..Rows::default() };
    let none = Rows { keywords: portcullis_config::no_effect::ROWS, ..Rows::default() };
    let [tls, load, ocsp] = portcullis_tls::rows::rows();
    let [client, acme, scheduler] = portcullis_upkeep::rows();
    let [checks, programs, pace] = portcullis_proxy::check::rows();
    Registry::new(vec![
        portcullis_config::rows::rows(),
        users,
        variables,
        portcullis_proxy::rules::rows(),
        portcullis_stats::rows(),
        portcullis_stats::file::rows(),
        checks,
        programs,
        pace,
        portcullis_proxy::mail::rows(),
        portcullis_proxy::otel::rows(),
        portcullis_admin::rows(),
        portcullis_telemetry::trace::rows(),
        logs,
        tls,
        load,
        ocsp,
        client,
        acme,
        scheduler,
        Rows { server: portcullis_proxy::tls::OPTIONS, ..Rows::default() },
        steps,
        own,
        none,
        portcullis_config::rows::later(),
    ])
}

/// What the command line wants to see once everything is loaded.
pub fn after_load(options: &Options) {
    if let Some(classes) = &options.classes {
        match keywords::dump(&registry(), classes) {
            Ok(text) => print!("{text}"),
            Err(text) => eprintln!("{text}"),
        }
    }
    if options.libraries {
        print!("{}", dump::libraries());
    }
}

/// Bytes of the ring that traces and the converter `debug` can write to; memory that nobody writes to is not taken.
const DEBUG_RING: usize = 1 << 20;

/// The rings of a model's sections. What does not start leaves `backing-file`s alone.
fn rings(model: &Model, starts: bool) -> Result<Vec<Arc<Ring>>, String> {
    let one = |r: &portcullis_config::Ring| {
        let mut config = RingConfig::new(r.name.clone(), model.global.tune.bufsize);
        config.description.clone_from(&r.description);
        config.size = r.size.unwrap_or(config.size);
        config.maxlen = r.maxlen.unwrap_or(config.maxlen);
        config.format = r.format;
        config.file = r.file.as_ref().filter(|_| starts).map(Into::into);
        let file = r.file.as_deref().map_or(Path::new(""), Path::new);
        let folder = file.parent().filter(|f| !f.as_os_str().is_empty());
        let there = folder.is_none_or(|f| LocalFiles.exists(f));
        let there = if there { Ok(()) } else { Err(rustix::io::Errno::NOENT.into()) };
        there.and_then(|()| Ring::open(config)).map(Arc::new).map_err(|e| {
            let why = e.to_string();
            let why = why.split(" (os error").next().unwrap_or_default();
            format!("config : cannot open backing-file '{}' for ring '{}': {why}.", file.display(), r.name)
        })
    };
    model.rings.iter().map(one).collect()
}

/// What workers share, for this model; `starts`: it is to serve, and is not only tried.
///
/// # Errors
/// A `backing-file` that cannot be made.
pub fn process(
    model: &Model,
    limits: &Limits,
    options: &Options,
    starts: bool,
) -> Result<Arc<Process>, String> {
    let g = &model.global;
    let workers = usize::from(g.nbthread.unwrap_or(1));
    let rings = rings(model, starts)?;
    let mut own = RingConfig::new(debug::DEFAULT, DEBUG_RING);
    (own.maxlen, own.format) = (g.tune.bufsize, LogFraming::Timed);
    own.description = Some("in-memory ring buffer".into());
    let rings = [Arc::new(Ring::new(own))].into_iter().chain(rings);
    let tag = g.log_tag.clone().unwrap_or_else(|| "haproxy".into());
    let mut sinks = Sinks::new(rings.collect(), g.log_send_hostname.clone(), tag);
    sinks.set_bufsize(g.tune.bufsize);
    sinks.set_sndbuf(g.tune.sndbuf_backend);
    if options.check {
        sinks.only_check();
    }
    let tls = g.ext.get::<GlobalTls>().map_or((0, 0), |tls| (tls.max_conns, tls.max_rate));
    let counts = Counts::new(workers, limits.maxconn, g.maxconnrate, g.maxsessrate)
        .with_tls(Endpoints::new(tls.0, tls.1));
    // the ratios are those of what so many connections may use
    let own = u32::try_from(crate::limits::own(model)).unwrap_or(u32::MAX);
    let limit = limits.maxconn.saturating_mul(2).saturating_add(own);
    let ratio = Descriptors::new(limit, g.tune.pool_low_fd_ratio, g.tune.pool_high_fd_ratio)
        .with(own.saturating_sub(5), counts.conns.clone());
    let process = Process::new(workers, counts, sinks, ratio);
    process.set_node(g.node.clone().unwrap_or_else(portcullis_sys::process::hostname));
    process.set_voice(crate::say::aside);
    Ok(process)
}

/// What `traces` sections say.
pub fn traces(model: &Model) -> Option<&Traces> {
    model.global.ext.get::<Section>().map(|s| &s.traces)
}

/// What traces can be written to.
pub fn trace_sinks(process: &Process) -> Vec<String> {
    let rings = process.sinks.rings();
    ["stdout", "stderr"]
        .map(str::to_owned)
        .into_iter()
        .chain(rings.iter().map(|r| r.config().name.clone()))
        .collect()
}

/// Sinks that `traces` sections name and that are not there, and where.
pub fn unknown_sinks<'m>(
    model: &'m Model,
    known: &'m [String],
) -> impl Iterator<Item = &'m (portcullis_config::Place, String)> {
    let sinks = model.global.ext.get::<Section>().map_or(&[][..], |s| &s.sinks);
    sinks.iter().filter(|(_, name)| !known.contains(name))
}

/// The plan of a model.
pub fn plan(model: &Model, process: &Process, diags: &mut Diagnostics) -> Arc<Plan> {
    let plan = plan::compile(model, process, diags);
    for filters in plan.proxies.iter().filter_map(|p| p.filters.as_ref()) {
        filters.announce(process.clock.wall());
    }
    Arc::new(plan)
}
