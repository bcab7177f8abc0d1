//! `add backend`, `del backend`, `publish backend`, `unpublish backend`, `show defaults`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_config::{Mode, Model, Place, Proxy, ProxyKind, Severity};
use portcullis_proxy::live::{self, Kept};
use portcullis_proxy::plan::Plan;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("add backend", "<backend>", Level::Admin, "add a new backend", |c| match added(c) {
        Ok(warnings) => Outcome::info(format!("{warnings}New backend registered.")),
        Err(text) => Outcome::err(text),
    }),
    Row::new("del backend", "<backend>", Level::Admin, "delete a backend", |c| {
        match live::remove_backend(&c.admin.process, &c.arg(2)) {
            Ok(()) => Outcome::info("Backend deleted."),
            Err(kept) => Outcome::err(why(kept)),
        }
    }),
    Row::new("publish backend", "<bk>", Level::Admin, "mark backend as ready for traffic", |c| {
        publish(c, true)
    }),
    Row::new("show defaults", "", Level::User, "list all proxies defaults sections", |c| {
        let model = c.admin.model();
        let named = model.defaults.iter().filter(|d| !d.name.is_empty());
        Outcome::Text(named.map(|d| format!("{}\n", d.name)).collect::<String>().into_bytes())
    }),
    Row::new("unpublish backend", "<bk>", Level::Admin, "remove backend for any traffic selection", |c| {
        publish(c, false)
    }),
];

fn publish(call: &mut Call<'_>, published: bool) -> Outcome {
    let plan = call.admin.plan();
    let found = super::find_proxy(&plan, &call.arg(2), |p| p.state.is_some());
    let Some(backend) = found.and_then(|at| plan.proxies.get(at)).and_then(|p| p.state.as_ref()) else {
        return Outcome::err("No such backend.");
    };
    backend.publish(published);
    Outcome::info(if published { "Backend published." } else { "Backend unpublished." })
}

/// Why a backend stays.
pub fn why(kept: Kept) -> &'static str {
    match kept {
        Kept::Unknown => "No such backend.",
        Kept::Named => {
            "This proxy cannot be removed at runtime due to other configuration elements pointing to it."
        }
        Kept::Published => "Backend must be unpublished prior to its deletion.",
        Kept::Servers => "Only a backend without server can be deleted.",
        Kept::Busy => "Backend still has attached streams on it.",
    }
}

const USAGE: &str = "Usage: add backend <name> from <defproxy> [mode <px_mode>] [guid <val>].";

/// `add backend <name> from <defproxy> [mode <mode>] [guid <guid>]`; the warnings about it.
fn added(call: &Call<'_>) -> Result<String, String> {
    let name = call.arg(2).into_owned();
    if name.is_empty() {
        return Err("Require backend name.".into());
    }
    if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(*c)) {
        return Err(format!("Invalid character '{c}' in backend name."));
    }
    if call.arg(3) != "from" || !call.has(4) {
        return Err("Usage: add backend <name> from <defproxy>.".into());
    }
    let from = call.arg(4).into_owned();
    let model = call.admin.model();
    let model = &*model;
    let found = model.defaults.iter().position(|d| !d.name.is_empty() && d.name == from);
    let at = found.ok_or_else(|| format!("Cannot find default proxy '{from}'."))?;
    let defaults = model.defaults.get(at).ok_or(USAGE)?;
    let (mode, guid) = options(call)?;
    let mode = match mode.or(defaults.mode_said.then_some(defaults.mode)) {
        Some(mode @ (Mode::Tcp | Mode::Http)) => mode,
        Some(_) => return Err("Dynamic backends are compatible with only TCP or HTTP mode.".into()),
        None => {
            return Err(format!(
                "Mode is required as '{from}' default proxy does not explicitly defines it."
            ));
        }
    };
    let plan = call.admin.plan();
    if let Some(first) = plan.proxies.iter().find(|p| *p.name == *name) {
        let kind = first.kind.name();
        return Err(format!(
            "Error during backend creation : name is already used by other proxy '{kind} {name}'."
        ));
    }
    if let Some(first) = guid.as_deref().and_then(|g| super::add_server::taken(&plan, g)) {
        return Err(format!(
            "Error during backend creation : GUID insertion : duplicate entry with {first}."
        ));
    }
    let proxy = Proxy {
        kind: ProxyKind::Backend,
        name,
        place: Place::default(),
        from: at,
        id: call.admin.process.states.next_id(|id| plan.proxies.iter().any(|p| p.id == id)),
        mode,
        guid,
        unpublished: true,
        late: true,
        ..defaults.clone()
    };
    let (model, proxy, warnings) = whole(call, &plan, proxy)?;
    live::add_backend(&call.admin.process, &model, proxy)?;
    Ok(warnings)
}

/// `mode` and `guid`
fn options(call: &Call<'_>) -> Result<(Option<Mode>, Option<String>), String> {
    let (mut mode, mut guid) = (None, None);
    let mut at = 5;
    while call.has(at) {
        let value = Some(call.arg(at + 1).into_owned()).filter(|v| !v.is_empty()).ok_or(USAGE)?;
        match &*call.arg(at) {
            "mode" if mode.is_none() => {
                mode = Some(match &*value {
                    "tcp" => Mode::Tcp,
                    "http" => Mode::Http,
                    "log" => Mode::Log,
                    "spop" => Mode::Spop,
                    "haterm" => Mode::Haterm,
                    _ => return Err("Unknown proxy mode.".into()),
                });
            }
            "guid" if guid.is_none() => guid = Some(value),
            _ => return Err(USAGE.into()),
        }
        at += 2;
    }
    Ok((mode, guid))
}

/// The section, judged and compiled as if it had been read with the others, which are there by name; and what is odd about it.
fn whole(call: &Call<'_>, plan: &Plan, proxy: Proxy) -> Result<(Model, Proxy, String), String> {
    let own = call.admin.model();
    let own = &*own;
    let others = plan.proxies.iter().filter(|p| !p.is_nobody()).map(|p| Proxy {
        kind: p.kind,
        name: p.name.to_string(),
        id: p.id,
        mode: p.mode,
        disabled: true,
        ..Proxy::default()
    });
    let mut model = Model {
        global: own.global.clone(),
        resolvers: own.resolvers.clone(),
        rings: own.rings.clone(),
        ext: own.ext.clone(),
        defaults: own.defaults.clone(),
        proxies: others.chain([proxy]).collect(),
        ..Model::default()
    };
    let mut diags = portcullis_config::Diagnostics::default();
    for check in call.admin.registry.rooms.iter().filter_map(|r| r.check) {
        check(&mut model, &mut diags);
    }
    if let Some(wrong) = diags.list.iter().find(|d| d.severity == Severity::Alert) {
        return Err(format!("Error during backend creation : {}", wrong.message));
    }
    let proxy = model.proxies.last().cloned().ok_or(USAGE)?;
    let warnings = diags.list.iter().map(|d| format!("{}\n", d.message)).collect();
    Ok((model, proxy, warnings))
}
