//! What a state file says about servers, applied before anything runs (manual section 4.2 `load-server-state-from-file`).

use crate::backend::BackendState;
use crate::health::{Life, Report, Status, Verdict};
use crate::server::{Admin, ServerConfig, ServerState, Spot, SpotPort, Whereabouts};
use crate::states::States;
use portcullis_config::saved::{Saved, admin};
use std::sync::Arc;

impl States {
    /// Applies what state files said about the servers of the first Plan.
    #[must_use]
    pub fn restore(&self, now: u64) -> Vec<Report> {
        let mut out = Vec::new();
        for backend in self.all() {
            let saved: Vec<(Arc<ServerState>, ServerConfig)> = {
                let entries = backend.servers.read();
                let with = entries.iter().filter(|e| e.config.saved.is_some());
                with.map(|e| (e.state.clone(), e.config.clone())).collect()
            };
            for (server, config) in saved {
                if let Some(saved) = &config.saved {
                    out.extend(backend.restore(&server, &config, saved, now));
                }
            }
        }
        out
    }
}

/// `srv_op_state` (management manual section 9.3, `show servers state`).
mod operation {
    pub const STOPPED: u8 = 0;
    pub const STARTING: u8 = 1;
    pub const STOPPING: u8 = 3;
}

impl BackendState {
    fn restore(
        self: &Arc<Self>,
        server: &Arc<ServerState>,
        config: &ServerConfig,
        saved: &Saved,
        now: u64,
    ) -> Vec<Report> {
        place(server, saved);
        names(server, saved);
        targets(server, saved);
        if saved.initial_weight == config.weight && !self.is_static() {
            server.store_weight(saved.weight);
        }
        let own = wanted(config, saved);
        let mut out = Vec::new();
        if own == Admin::Maint && !config.disabled && saved.operation == operation::STOPPED {
            // it was down before it was taken away
            out = self.restore_down(server, now);
        }
        last_check(server, saved);
        if config.disabled && own != Admin::Maint {
            // an operator had enabled it
            out = self.order_admin(server, own, now);
        } else {
            server.store_orders(own, server.inherited_admin());
            out.extend(self.operation(server, config, saved, now));
        }
        self.bake_cookies();
        if !server.is_unresolved() {
            server.unchanged_before(saved.since.saturating_mul(1000));
        }
        out
    }

    /// Whether it works, of a server whose orders are known.
    fn operation(
        self: &Arc<Self>,
        server: &Arc<ServerState>,
        config: &ServerConfig,
        saved: &Saved,
        now: u64,
    ) -> Vec<Report> {
        let away = server.admin() == Admin::Maint;
        {
            let mut life = server.life.lock();
            if away {
                life.check.paused |= life.check.configured;
                life.check.health = 0;
            }
            if saved.operation != operation::STOPPED && (!away || config.disabled) {
                health(&mut life, saved);
            }
        }
        if away {
            server.store_health(crate::Health::Down);
        }
        self.changed(server);
        let starting = saved.operation == operation::STARTING && server.life.lock().check.configured;
        match saved.operation {
            _ if away => Vec::new(),
            operation::STOPPED => self.restore_down(server, now),
            _ if starting => self.restore_down(server, now),
            operation::STOPPING => self.restore_stopping(server, now),
            _ => Vec::new(),
        }
    }
}

/// The port. An address comes by `init-addr last`, for servers with names only.
fn place(server: &ServerState, saved: &Saved) {
    let Some(here) = server.place().filter(|here| here.port() != 0 || saved.srv_record.is_some()) else {
        return;
    };
    if saved.port != 0 && saved.port != here.port() {
        let spot = Spot { ip: here.ip(), port: SpotPort::Fixed(saved.port) };
        server.store_whereabouts(Whereabouts::At(spot));
    }
}

fn names(server: &ServerState, saved: &Saved) {
    let Some(fqdn) = saved.fqdn.as_deref().filter(|_| saved.admin & admin::OTHER_NAME != 0) else { return };
    let mut naming = server.naming.lock();
    let same_service = naming.srv_record.as_deref() == saved.srv_record.as_deref();
    if same_service && (naming.fqdn.is_some() || naming.srv_record.is_some()) {
        naming.fqdn = Some(fqdn.into());
        naming.srv_port = saved.port;
        naming.renamed = true;
        naming.given = saved.address;
    }
}

/// Where checks and agents are.
fn targets(server: &ServerState, saved: &Saved) {
    let mut life = server.life.lock();
    let port = |n: u16| Some(n).filter(|n| *n != 0);
    if life.check.configured {
        life.target.addr = saved.check_addr.or(life.target.addr);
        life.target.port = port(saved.check_port).or(life.target.port);
    }
    if life.agent.configured {
        life.agent_target.addr = saved.agent_addr.or(life.agent_target.addr);
        life.agent_target.port = port(saved.agent_port).or(life.agent_target.port);
    }
}

/// What an operator wanted. What the configuration wants, it says anew; the operator had enabled a server if the line knows it
/// as disabled, and not as in maintenance.
fn wanted(config: &ServerConfig, saved: &Saved) -> Admin {
    let has = |bit| saved.admin & bit != 0;
    let (forced, configured) = (has(admin::FORCED_MAINT), has(admin::CONFIG_MAINT));
    let away = if config.disabled { forced || !configured } else { forced && !configured };
    match (away, has(admin::FORCED_DRAIN)) {
        (true, _) => Admin::Maint,
        (false, true) => Admin::Drain,
        (false, false) => Admin::Ready,
    }
}

/// What the last check found, of servers without checks too.
fn last_check(server: &ServerState, saved: &Saved) {
    let Some(status) = Status::numbered(saved.check_status).filter(|s| *s > Status::Initializing) else {
        return;
    };
    let mut life = server.life.lock();
    let check = &mut life.check;
    check.last.status = status;
    check.ended = true;
    check.verdict =
        [Verdict::Unknown, Verdict::Neutral, Verdict::Failed, Verdict::Passed, Verdict::Conditional]
            .get(usize::from(saved.check_result))
            .copied()
            .unwrap_or_default();
}

/// How far it was from the other state.
fn health(life: &mut Life, saved: &Saved) {
    if !life.check.configured {
        life.check.health = saved.check_health.min(life.check.full());
    } else if saved.check_health >= life.check.rise {
        life.check.health = life.check.full();
    }
}
