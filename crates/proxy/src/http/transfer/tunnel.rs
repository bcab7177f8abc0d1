//! After the upgrade of an HTTP connection: bytes both ways.

use super::{Ended, Transfer, write_all};
use crate::http::exchange::Exchange;
use crate::outcome::Tally;
use crate::plan::ProxyPlan;
use crate::relay::{self, Lane};
use crate::rules::Timeout;
use crate::session::Session;
use portcullis_config::Opts;
use portcullis_transport::Buffer;

/// After 101, or 2xx to CONNECT: bytes both ways.
pub(super) async fn run(
    x: &mut Exchange<'_>,
    session: &mut Session,
    back: &ProxyPlan,
    t: &mut Transfer,
) -> Ended {
    let Transfer { upstream, up, down, .. } = t;
    x.keep = false;
    x.facts.bytes_up += up.counted();
    if let Err(cause) = write_all(session, &down.before, false).await {
        x.facts.termination[..2].copy_from_slice(&[cause, b'D']);
        t.reclaim(x, &session.task.worker);
        t.upstream.conn.reset_on_close();
        return Ended::Done(false);
    }
    let nonempty = |b: Buffer| if b.is_empty() { None } else { Some(b) };
    let (up_splices, down_splices) = relay::splices(&session.conn, &upstream.conn);
    let splice = |side| x.front.opts.union(back.opts).intersects(Opts::SPLICE_AUTO.union(side));
    let mut to_server = Lane::new(
        nonempty(std::mem::take(&mut up.buffer)),
        up_splices && splice(Opts::SPLICE_REQUEST),
        up.gate.take(),
    );
    let mut to_client = Lane::new(
        nonempty(std::mem::take(&mut down.buffer)),
        down_splices && splice(Opts::SPLICE_RESPONSE),
        down.gate.take(),
    );
    to_server.nolinger = back.has(Opts::NOLINGER);
    to_client.nolinger = x.front.has(Opts::NOLINGER);
    let timeouts = relay::Timeouts {
        client: x.facts.timeout(Timeout::Client).or(x.front.timeouts.client),
        server: x.facts.timeout(Timeout::Server).or(back.timeouts.server),
        client_fin: x.front.timeouts.client_fin,
        server_fin: back.timeouts.server_fin,
        tunnel: x.facts.timeout(Timeout::Tunnel).or(back.timeouts.tunnel),
    };
    let before = x.moved();
    let tally = Tally::of(session, x.front, back, x.server.as_ref(), before);
    let end = relay::relay(
        &session.task,
        (&session.conn, &mut to_server),
        (&upstream.conn, &mut to_client),
        &timeouts,
        (x.front.has(Opts::INDEPENDENT_STREAMS), back.has(Opts::INDEPENDENT_STREAMS)),
        tally,
    )
    .await;
    x.facts.bytes_up += to_server.bytes;
    x.facts.bytes_down += to_client.bytes;
    x.facts.termination[..2].copy_from_slice(&crate::tcp::termination(end));
    x.facts.ends.server_first = to_client.first;
    if end == relay::End::ClientBroke || to_server.nolinger {
        upstream.conn.reset_on_close();
    }
    if to_client.nolinger && to_server.has_ended() && session.conn.stream().is_none() {
        session.conn.reset_on_close();
    }
    x.scratch.out = std::mem::take(&mut up.before);
    to_server.discard(&session.task);
    to_client.discard(&session.task);
    Ended::Done(false)
}
