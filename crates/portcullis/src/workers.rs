//! A process that serves: from the configuration to running workers, in the order in which privileges go.

use crate::confinement::{self, Rest};
use crate::daemon::{self, Background, Split};
use crate::link::Link;
use crate::opener::Opener;
use crate::options::Options;
use crate::reload::{self, Askers, Reloader};
use crate::{compose, cpus, limits, load, say, stop, takeover, version};
use portcullis_admin::Door;
use portcullis_backend::health::Report;
use portcullis_config::{Loaded, Model, Setting, Severity};
use portcullis_proxy::plan::{Plan, ServerPlan};
use portcullis_proxy::process::Process;
use portcullis_proxy::start::{self, Bound, Running};
use portcullis_sys::signals::Signals;
use portcullis_telemetry::ledger::Profiling;
use portcullis_telemetry::trace;
use portcullis_transport::LocalSockets;
use portcullis_upkeep::export::Wanted;
use portcullis_upkeep::{Exporter, Force, Upkeep};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a worker of a master has that another process has not.
pub struct Master {
    /// The worker's end of its pair.
    pub link: Link,
    /// The master's end of the old worker's pair, to ask for listening sockets.
    pub old: Option<Link>,
}

/// A process that is ready to be confined: everything is open.
struct Opened {
    model: Arc<Model>,
    settings: Vec<Setting>,
    plan: Arc<Plan>,
    process: Arc<Process>,
    sockets: Arc<LocalSockets>,
    bound: Vec<Bound>,
    control: Vec<portcullis_admin::Bound>,
    about: portcullis_admin::About,
    warnings: u32,
    /// When the configuration was begun to be read.
    began: Instant,
}

/// Starts and serves until it is told to stop.
pub fn run(options: &Options, signals: &Signals, master: Option<Master>) -> ExitCode {
    say::keep();
    let began = Instant::now();
    match prepare(options, master.is_some()) {
        Ok((loaded, background)) => serve(options, signals, master, (loaded, began), background),
        Err(code) => {
            if let Some(master) = &master {
                master.link.said(&say::so_far());
            }
            code
        }
    }
}

/// `-c`: everything but the start.
pub fn check(options: &Options) -> ExitCode {
    let checked = load_model(options).and_then(|mut loaded| {
        // the process is about to end: the system takes all of it at once
        std::mem::forget(compile(&mut loaded, options, false)?);
        Ok(std::mem::ManuallyDrop::new(loaded))
    });
    match checked {
        Ok(loaded) => {
            if load::warned(&loaded) && !say::quiet() {
                println!("Warnings were found.");
            }
            if options.verbose {
                println!("Configuration file is valid");
            }
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

pub(crate) fn load_model(options: &Options) -> Result<Loaded, ExitCode> {
    let loaded = load::configuration(options).map_err(failed)?;
    say::set_quiet(loaded.model.global.quiet);
    if options.cpus {
        print!("{}", cpus::report(&loaded.model.global));
    }
    Ok(loaded)
}

/// Loads, and goes to the background if that is asked for. A master has done that before.
fn prepare(options: &Options, has_master: bool) -> Result<(Loaded, Option<Background>), ExitCode> {
    let loaded = load_model(options)?;
    if !loaded.model.global.daemon || loaded.diags.failed() {
        return Ok((loaded, None));
    }
    let split = match has_master {
        true => Background::of_a_master().map(Split::Back),
        false => daemon::split(),
    };
    match split {
        Ok(Split::Front(code)) => Err(code),
        Ok(Split::Back(background)) => Ok((loaded, Some(background))),
        Err(e) => Err(failed(format!("[haproxy.main()] Cannot fork : {e}"))),
    }
}

/// The plan, and the judgement on all that is known then; `starts`: it is to serve.
pub(crate) fn compile(
    loaded: &mut Loaded,
    options: &Options,
    starts: bool,
) -> Result<(Arc<Plan>, Arc<Process>, limits::Limits), ExitCode> {
    let wanted = limits::wanted(&loaded.model, &limits::system());
    let process = compose::process(&loaded.model, &wanted, options, starts).map_err(failed)?;
    loaded.model.global.maxconn = Some(wanted.maxconn);
    let plan = compose::plan(&loaded.model, &process, &mut loaded.diags);
    for report in process.states.restore(process.clock.now().0) {
        if let Report::Log { text, .. } = report {
            loaded.diags.late(Severity::Warning, None, text);
        }
    }
    if let Err(text) = portcullis_stats::file::preload(&plan, &loaded.model) {
        loaded.diags.late(Severity::Warning, None, text);
    }
    if starts {
        let known = compose::trace_sinks(&process);
        for (place, name) in compose::unknown_sinks(&loaded.model, &known) {
            let text = format!("traces: sink '{name}' doesn't exist.");
            loaded.diags.late(Severity::Alert, Some(*place), text);
        }
    }
    load::verdict(loaded, options)?;
    compose::after_load(options);
    Ok((plan, process, wanted))
}

fn serve(
    options: &Options,
    signals: &Signals,
    master: Option<Master>,
    (mut loaded, began): (Loaded, Instant),
    background: Option<Background>,
) -> ExitCode {
    let opener = match Opener::start(options, &loaded) {
        Ok(opener) => opener,
        Err(e) => return failed(format!("[haproxy.main()] Cannot start the process that opens files : {e}")),
    };
    let opened = match open(
        options,
        master.as_ref(),
        (&mut loaded, began),
        background.is_some() && master.is_none(),
    ) {
        Ok(opened) => opened,
        Err(code) => {
            if let Some(master) = &master {
                master.link.said(&say::so_far());
            }
            return code;
        }
    };
    let link = master.map(|m| m.link);
    match begin(options, opened, link.is_some()) {
        Ok(mut begun) => {
            begun.reloader.opener = opener;
            say::started();
            takeover::finish(options);
            if let Some(link) = &link {
                link.said(&say::so_far());
            }
            if let Some(background) = background {
                background.ready();
            }
            if let Some(link) = &link {
                link.ready();
            }
            say::serves();
            stop::until_stopped(signals, link.as_ref(), begun)
        }
        Err(message) => failed(message),
    }
}

/// The privileged phase: limits, listeners, log sockets, pid file.
fn open(
    options: &Options,
    master: Option<&Master>,
    (loaded, began): (&mut Loaded, Instant),
    daemon: bool,
) -> Result<Opened, ExitCode> {
    let (plan, process, wanted) = compile(loaded, options, true)?;
    // the allocator looks at the machine's memory when the first of other threads begins, which may not open anything later
    let _ = std::thread::spawn(|| drop(std::hint::black_box(Box::new(0_u8)))).join();
    let model = std::mem::take(&mut loaded.model);
    if wanted.automatic {
        say::notice(format!("Automatically setting global.maxconn to {}.", wanted.maxconn));
    }
    if let Some(megabytes) = options.memory {
        limits::memory(megabytes);
    }
    limits::apply(&model.global, &wanted).map_err(failed)?;
    let sockets =
        takeover::inherit(options, master.and_then(|m| m.old.as_ref())).map_err(|[why, what]| {
            say::warning(why);
            failed(what)
        })?;
    let bound = takeover::bind(&plan, options, &sockets).map_err(|all| {
        for e in all {
            say::alert(e);
        }
        failed("[haproxy.main()] Some protocols failed to start their listeners! Exiting.".into())
    })?;
    bound.iter().flat_map(|b| &b.warnings).for_each(say::warning);
    let control = portcullis_admin::bind(&model, &loaded.diags.files, &sockets).map_err(|all| {
        all.into_iter().for_each(say::alert);
        failed("[haproxy.main()] Some protocols failed to start their listeners! Exiting.".into())
    })?;
    sockets.close_unused();
    if bound.is_empty() && control.is_empty() {
        let message = "[haproxy.main()] No enabled listener found (check for 'bind' directives) ! Exiting.";
        return Err(failed(message.into()));
    }
    for server in model.proxies.iter().flat_map(|p| &p.servers) {
        // one that is not there fails when it is connected through, as its server's error
        let _ = server.set.namespace.as_deref().map(portcullis_sys::netns::open);
    }
    if let Some(path) = model.global.pidfile.as_deref().filter(|_| daemon) {
        daemon::write_pid(path).map_err(failed)?;
    }
    let about = portcullis_admin::About {
        startup_logs: Some(say::while_starting),
        files: loaded.diags.files.clone(),
        boot: portcullis_admin::Boot::look(),
    };
    let warnings = loaded.diags.count(Severity::Warning) as u32;
    let sockets = Arc::new(sockets);
    let settings = std::mem::take(&mut loaded.settings);
    Ok(Opened {
        model: Arc::new(model),
        settings,
        plan,
        process,
        sockets,
        bound,
        control,
        about,
        warnings,
        began,
    })
}

/// A process that serves.
pub struct Begun<'o> {
    /// Its workers.
    pub running: Running,
    /// The way to its Runtime API for the master's clients.
    pub door: Option<Door>,
    /// How it follows another configuration.
    pub reloader: Reloader<'o>,
    /// Who wants that, if there is a way to ask.
    pub askers: Option<Askers>,
}

/// Writes a line to a sink by its name; false: there is none.
fn written(process: &Process, sink: &str, line: &[u8]) -> bool {
    match sink {
        "stdout" => say::line(&std::io::stdout(), line),
        "stderr" => say::line(&std::io::stderr(), line),
        name => match process.sinks.ring(name) {
            Some(ring) => ring.note(process.clock.wall(), line),
            None => return false,
        },
    }
    true
}

/// `traces` sections, and `-dt`.
fn begin_traces(model: &Model, options: &Options) -> Result<(), String> {
    trace::with(|t| {
        if let Some(traces) = compose::traces(model) {
            t.clone_from(traces);
        }
        options.traces.iter().try_for_each(|text| trace::parse(t, text))
    })
    .map_err(|e| format!("config : -dt: {e}"))
}

/// The default of `warn-blocked-traffic-after`.
const BLOCKED_AFTER: Duration = Duration::from_millis(100);

/// `profiling.tasks`
fn profiling(model: &Model) -> Profiling {
    match model.global.profiling {
        portcullis_config::Profiling::Auto => Profiling::Auto,
        portcullis_config::Profiling::On => Profiling::On,
        portcullis_config::Profiling::Off => Profiling::Off,
    }
}

/// Gives up privileges, then starts the threads.
fn begin(options: &Options, opened: Opened, visited: bool) -> Result<Begun<'_>, String> {
    let model = opened.model.clone();
    let force = Force::new(&model, &opened.process).map_err(|e| format!("[haproxy.main()] {e}"))?;
    let wanted = Wanted::new(&model, &opened.process).map_err(|e| format!("[haproxy.main()] {e}"))?;
    if let Err(e) = portcullis_config::rows::global_reading::renice(&model.global) {
        say::warning(format!("[haproxy.main()] {e}"));
    }
    let rest = Rest::gather(&model.global, options);
    confinement::confine(&model.global)?;
    let programs = |s: &ServerPlan| s.check.as_ref().is_some_and(|c| c.program.is_some());
    if opened.plan.proxies.iter().flat_map(|p| &p.servers).any(|s| programs(s)) {
        let office = portcullis_proxy::check::external::serve()
            .map_err(|e| format!("[haproxy.main()] Cannot run external checks : {e}"))?;
        opened.process.set_programs(office);
    }
    let (begun, read) = rest.within(|| start_threads(options, opened, (force, wanted), visited));
    let mut begun = begun?;
    confinement::seal(&model.global);
    begun.reloader.reach = read;
    Ok(begun)
}

/// The threads that serve.
fn start_threads(
    options: &Options,
    opened: Opened,
    (force, wanted): (Force, Option<Wanted>),
    visited: bool,
) -> Result<Begun<'_>, String> {
    let Opened { model, settings, plan, process, sockets, bound, control, about, warnings, began } = opened;
    let places = Arc::new(model.global.thread_cpus.clone());
    let place = move |worker: u16| {
        if let Some(set) = places.get(usize::from(worker)) {
            cpus::bind(set);
        }
    };
    if model
        .ext
        .get::<portcullis_sample::users::Userlists>()
        .is_some_and(|all| all.list.iter().any(|l| l.has_hashes()))
    {
        portcullis_sample::work::start()
            .map_err(|e| format!("[haproxy.main()] Cannot start the thread for hashes : {e}"))?;
    }
    let sinks = process.clone();
    portcullis_sample::convert::debug::install(Box::new(move |sink, line| {
        written(&sinks, sink, line);
    }));
    let sinks = process.clone();
    trace::install(Box::new(move |sink, line| written(&sinks, sink, line)));
    begin_traces(&model, options)?;
    if options.verbose {
        eprint!("{}\n{}", version::POLLERS, version::filters());
        println!("Using epoll() as the polling mechanism.");
    }
    if options.debug {
        portcullis_proxy::debug::show(|line| say::line(&std::io::stdout(), line));
    }
    process.ledgers.set_mode(profiling(&model), process.clock.now().0);
    let after = model.global.warn_blocked_after.unwrap_or(BLOCKED_AFTER);
    portcullis_proxy::worker::watch::watch(&process, after)
        .map_err(|e| format!("[haproxy.main()] Cannot start the thread that watches workers : {e}"))?;
    let vitals = {
        let boot = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
        let warnings = warnings + say::warned();
        Arc::new(portcullis_stats::Vitals::new(process.clone(), model.clone(), warnings, boot))
    };
    process.set_statistics(vitals.clone());
    let upkeep = force.is_needed().then(|| Upkeep::new(&process, force));
    if let Some(upkeep) = &upkeep {
        upkeep.serve(&plan).map_err(|e| {
            format!("[haproxy.main()] Cannot start the thread that keeps certificates fresh : {e}")
        })?;
    }
    let exporter = wanted.map(|w| Exporter::new(&process, w));
    if let Some(exporter) = &exporter {
        exporter.serve().map_err(|e| {
            format!("[haproxy.main()] Cannot start the thread that sends traces and log lines : {e}")
        })?;
    }
    let running = start::start(&plan, process, bound, Arc::new(place))
        .map_err(|e| format!("[haproxy.main()] Cannot start the workers : {e}"))?;
    let mut admin = portcullis_admin::Admin::new(
        vitals.clone(),
        plan,
        sockets.clone(),
        about,
        crate::compose::registry(),
    );
    let (bell, askers) =
        reload::bell().map_err(|e| format!("[haproxy.main()] Cannot open a pair of sockets : {e}"))?;
    admin.reloads = Some(Box::new(move |asker| bell.ring(asker)));
    admin.upkeep.clone_from(&upkeep);
    admin.exporter.clone_from(&exporter);
    let control = portcullis_admin::serve(control, admin, visited)
        .map_err(|e| format!("[haproxy.main()] Cannot serve the Runtime API : {e}"))?;
    let (door, admin) = control.map_or((None, None), |c| (c.door, Some(c.admin)));
    // without anybody at the other end it would always be ready
    let askers = admin.is_some().then_some(askers);
    let reloader = Reloader {
        options,
        model,
        settings,
        sockets,
        vitals,
        admin,
        upkeep,
        exporter,
        opener: None,
        reach: None,
        older: Vec::new(),
    };
    Ok(Begun { running, door, reloader, askers })
}

/// Says why the process ends.
fn failed(message: String) -> ExitCode {
    say::alert(message);
    ExitCode::FAILURE
}
