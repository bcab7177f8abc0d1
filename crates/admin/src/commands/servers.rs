//! `show servers …`, `get weight`, `set weight`

use super::{Named, server};
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_backend::health::{Probe, Target};
use portcullis_backend::{Admin, Health, ServerState, SpotPort, Whereabouts, weight};
use portcullis_proxy::plan::{ProxyPlan, ServerPlan};
use portcullis_stats::lines;
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "show servers state",
        "[<backend>]",
        Level::User,
        "dump volatile server information (all or for a single backend)",
        state,
    ),
    Row::new(
        "show servers conn",
        "[<backend>]",
        Level::User,
        "dump server connections status (all or for a single backend)",
        conn,
    ),
    Row::new("get weight", "<bk>/<srv>", Level::User, "report a server's current weight", get_weight),
    Row::new(
        "set weight",
        "<bk>/<srv>  (DEPRECATED)",
        Level::Admin,
        "change a server's weight (use 'set server' instead)",
        |c| match server(c, 2) {
            Ok(named) => set_weight(c, &named, 3),
            Err(e) => e,
        },
    ),
];

const STATE_HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
    srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
    srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port \
    srv_check_addr srv_agent_addr srv_agent_port\n";

/// The backends that this word names: one, or all.
pub fn backends(call: &Call<'_>, at: usize) -> Result<Vec<Arc<ProxyPlan>>, Outcome> {
    let plan = call.admin.plan();
    let back = |p: &ProxyPlan| p.state.is_some() && !p.disabled;
    if !call.has(at) {
        return Ok(plan.proxies.iter().filter(|p| back(p)).cloned().collect());
    }
    match super::find_proxy(&plan, &call.arg(at), back).and_then(|i| plan.proxies.get(i)) {
        Some(p) => Ok(vec![p.clone()]),
        None => Err(Outcome::err("Can't find backend.")),
    }
}

/// Address and port of a server; `-` if it has none, and for a Unix socket.
fn place(s: &ServerState, plan: &ServerPlan) -> (String, u16) {
    let port = match s.whereabouts() {
        Whereabouts::At(spot) if spot.port != SpotPort::Configured => spot.port,
        _ => {
            let naming = s.naming.lock();
            let service = naming.srv_record.is_some() && naming.fqdn.is_some();
            if service { SpotPort::Fixed(naming.srv_port) } else { plan.port() }
        }
    };
    let port = match port {
        SpotPort::Fixed(port) => port,
        SpotPort::Offset(n) => n.rem_euclid(65536) as u16,
        SpotPort::Configured => 0,
    };
    let ip = plan.address(s).map_or_else(|| "-".to_owned(), |a| a.ip().to_string());
    (ip, port)
}

fn state(call: &mut Call<'_>) -> Outcome {
    let proxies = match backends(call, 3) {
        Ok(p) => p,
        Err(e) => return e,
    };
    let model = call.admin.model();
    let (now, veil) = (call.admin.now(), call.cli.veil());
    let bodies = proxies.into_iter().map(move |p| {
        let mut out = String::new();
        let config = p.section(&model);
        for s in p.state.iter().flat_map(|s| s.servers()) {
            let Some(plan) = p.server_of(&s) else { continue };
            // bits: forced maintenance, inherited one, that of the configuration, forced drain, inherited one; no address,
            // another name
            let own = match s.own_admin() {
                Admin::Ready => 0,
                Admin::Drain => 8,
                Admin::Maint => 1,
            };
            let inherited = match s.inherited_admin() {
                Admin::Ready => 0,
                Admin::Drain => 16,
                Admin::Maint => 2,
            };
            let naming = s.naming.lock().clone();
            let by_name = if s.is_unresolved() { 32 } else { 0 } + if naming.renamed { 64 } else { 0 };
            let admin = own + inherited + if plan.disabled { 4 } else { 0 } + by_name;
            let op = match (lines::is_up(&s), s.health()) {
                (false, _) => 0,
                (true, Health::Stopping) => 3,
                (true, _) if s.throttle().is_some() => 1,
                (true, _) => 2,
            };
            let life = s.life.lock();
            let bits = |p: &Probe| {
                u32::from(p.running) + 2 * u32::from(p.configured) + 4 * u32::from(p.enabled) + 8 * u32::from(p.paused)
            };
            let check = bits(&life.check);
            let agent = if life.agent.configured { bits(&life.agent) + 16 } else { 0 };
            // what has not ended yet is as good as unknown
            let status = if life.check.ended { life.check.last.status as u32 } else { 1 };
            let at = |t: &Target| (t.addr.map_or_else(|| "-".into(), |a| a.to_string()), t.port.unwrap_or(0));
            let (check_addr, check_port) = at(&life.target);
            let (agent_addr, agent_port) = at(&life.agent_target);
            let (addr, port) = place(&s, plan);
            let addr = veil.address(&addr);
            out.push_str(&format!(
                "{} {} {} {} {addr} {op} {admin} {} {} {} {status} {} {} {check} {agent} {} {} {} {port} {} {} \
                 {check_port} {check_addr} {agent_addr} {agent_port}\n",
                p.id,
                veil.word(&p.name),
                plan.id,
                veil.word(&s.name.to_string()),
                s.weight(),
                plan.weight,
                s.unchanged_for(now) / 1000,
                life.check.verdict as u32,
                life.check.health,
                u8::from(config.is_some_and(|c| c.id_place.line != 0)),
                u8::from(plan.id_given),
                naming.fqdn.map_or_else(|| "-".into(), |name| veil.word(&name)),
                naming.srv_record.map_or_else(|| "-".into(), |name| veil.word(&name)),
                u8::from(plan.tls.is_some()),
            ));
        }
        out.into_bytes()
    });
    Outcome::Pieces(Box::new(std::iter::once(STATE_HEADER.as_bytes().to_vec()).chain(bodies)))
}

fn conn(call: &mut Call<'_>) -> Outcome {
    let proxies = match backends(call, 3) {
        Ok(p) => p,
        Err(e) => return e,
    };
    let (workers, veil) = (call.admin.process.load.len(), call.cli.veil());
    let head = format!(
        "# bkname/svname bkid/svid addr port - purge_delay served used_cur used_max need_est idle_sess unsafe_nb \
         safe_nb idle_lim idle_cur idle_per_thr[{workers}]\n"
    );
    let bodies = proxies.into_iter().map(move |p| {
        let mut out = String::new();
        for s in p.state.iter().flat_map(|s| s.servers()) {
            let Some(plan) = p.server_of(&s) else { continue };
            let (addr, port) = place(&s, plan);
            let addr = veil.address(&addr);
            let idle = &s.idle;
            let each: Vec<String> = idle.each(workers).map(|n| n.to_string()).collect();
            out.push_str(&format!(
                "{}/{} {}/{} {addr} {port} - {} {} {} {} {} {} {} {} {} {} {}\n",
                veil.word(&p.name),
                veil.word(&s.name.to_string()),
                p.id,
                plan.id,
                plan.pool.purge_delay,
                s.used(),
                idle.used(),
                idle.used_max(),
                idle.need(),
                idle.private(),
                idle.unsafe_idle(),
                idle.safe(),
                plan.pool.max_conn,
                idle.shared(),
                each.join(" ")
            ));
        }
        out.into_bytes()
    });
    Outcome::Pieces(Box::new(std::iter::once(head.into_bytes()).chain(bodies)))
}

fn get_weight(call: &mut Call<'_>) -> Outcome {
    match server(call, 2) {
        Ok(named) => {
            let text = format!("{} (initial {})\n", named.server.weight(), named.initial_weight());
            Outcome::Text(text.into_bytes())
        }
        Err(e) => e,
    }
}

/// A weight, or a percentage of the initial one.
pub fn set_weight(call: &Call<'_>, named: &Named, at: usize) -> Outcome {
    let initial = named.initial_weight();
    match weight::parse(&call.arg(at), initial, named.backend.is_static()) {
        Ok(n) => {
            let reports = named.backend.set_weight(&named.server, n);
            portcullis_proxy::check::report::post(&call.admin.process, reports);
            named.backend.touch(call.admin.now());
            Outcome::Nothing
        }
        Err(why) => Outcome::err(why),
    }
}
