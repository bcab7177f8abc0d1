//! Log lines on their way to servers: rings that are sent over streams ([`feed`]), backends in mode log ([`deal`]), and what
//! comes from elsewhere ([`forward`]).

pub mod deal;
pub mod feed;
pub mod forward;

use crate::plan::ProxyPlan;
use crate::process::Process;
use feed::FeedPlan;
use portcullis_config::{Diagnostics, Mode, Model, Severity};
use std::sync::Arc;

/// Everything that is sent over streams, and where backends in mode log deal lines out to from now on.
pub fn compile(
    model: &Model,
    proxies: &[Arc<ProxyPlan>],
    process: &Process,
    diags: &mut Diagnostics,
) -> Vec<Arc<FeedPlan>> {
    let mut feeds = Vec::new();
    for (ring, section) in model.rings.iter().filter_map(|r| Some((process.sinks.ring(&r.name)?, r))) {
        let timeouts = (section.connect_timeout, section.server_timeout);
        for server in &section.servers {
            feed::unproxied(server, diags);
            feeds.extend(FeedPlan::of_server(model, &section.name, server, &ring, timeouts, diags));
        }
    }
    for (section, plan) in
        model.proxies.iter().zip(proxies).filter(|(p, _)| p.mode == Mode::Log && p.kind.back())
    {
        match deal::compile(model, section, plan, process, diags) {
            Ok(more) => feeds.extend(more),
            Err(why) => {
                let text = format!("log backend '{}': failed to initialize: {why}.", section.name);
                diags.late(Severity::Alert, Some(section.place), text);
            }
        }
    }
    let streams = process.sinks.streams();
    feeds.extend(streams.iter().filter_map(|(ring, address)| FeedPlan::of_address(address, ring)));
    feeds.into_iter().map(Arc::new).collect()
}
