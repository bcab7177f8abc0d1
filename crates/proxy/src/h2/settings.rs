//! `tune.h2.*` and its kin, ready for connections (manual section 3.2).

use crate::plan::{GlobalPlan, ProxyPlan};
use portcullis_config::{H2LogErrors, Tune};
use portcullis_wire::h2::Config;
use portcullis_wire::h2::request::Limits;

/// Which errors `tune.h2.log-errors` has logged: those that reach as far as this.
pub type LogErrors = H2LogErrors;

/// What connections are told.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Odd things that end a connection; 0: none.
    pub glitches: u32,
    /// Frames that are looked at in a row; 0: no limit.
    pub frames_at_once: u32,
    /// Resets that are looked at in a row; 0: no limit.
    pub resets_at_once: u32,
    /// Which errors are logged.
    pub log_errors: LogErrors,
    /// Odd things that end a server's connection; 0: none.
    pub server_glitches: u32,
    /// Frames of a server that are looked at in a row; 0: no limit.
    pub server_frames_at_once: u32,
    clients: Side,
    servers: Side,
    total: u32,
    frame: u32,
    table: u32,
    websockets: bool,
}

/// What is set for either side.
#[derive(Clone, Copy, Debug)]
struct Side {
    window: u32,
    rxbuf: usize,
    streams: u32,
}

impl Settings {
    /// From the configuration. `websockets`: they are offered.
    #[must_use]
    pub fn new(tune: &Tune, websockets: bool) -> Self {
        let h2 = &tune.h2;
        let bufsize = u32::try_from(tune.bufsize).unwrap_or(16_384);
        let side = |window: Option<u32>, rxbuf: Option<usize>, streams: Option<u32>| Side {
            // as 3.5 has it: a buffer without what a message in it takes
            window: window.or(h2.window).unwrap_or_else(|| bufsize.saturating_sub(48).max(16_384)),
            rxbuf: rxbuf.unwrap_or(1_600 * 1024),
            streams: streams.or(h2.streams).unwrap_or(100),
        };
        Self {
            glitches: h2.fe_glitches,
            frames_at_once: h2.fe_frames_at_once,
            resets_at_once: h2.fe_resets_at_once,
            log_errors: h2.log_errors,
            server_glitches: h2.be_glitches,
            server_frames_at_once: h2.be_frames_at_once,
            clients: side(h2.fe_window, h2.fe_rxbuf, h2.fe_streams),
            servers: side(h2.be_window, h2.be_rxbuf, h2.be_streams),
            total: h2.fe_total,
            // what is announced is never above a buffer
            frame: h2.frame.unwrap_or(bufsize).min(bufsize).max(16_384),
            table: h2.table,
            websockets,
        }
    }

    /// Of a frontend's connections.
    #[must_use]
    pub fn config(&self, global: &GlobalPlan, front: &ProxyPlan) -> Config {
        self.of(&self.clients, global, front.request_limits.relaxed)
    }

    /// Of connections to servers.
    #[must_use]
    pub fn of_servers(&self, global: &GlobalPlan) -> Config {
        self.of(&self.servers, global, false)
    }

    fn of(&self, side: &Side, global: &GlobalPlan, relaxed: bool) -> Config {
        let unit = u32::try_from(global.bufsize).unwrap_or(u32::MAX).max(1);
        let buffers = u32::try_from(side.rxbuf.div_ceil(global.bufsize.max(1))).unwrap_or(u32::MAX);
        Config {
            window: side.window,
            // each stream has its own, and seven eighths of the others are shared
            shared: (u64::from(buffers) * 7 / 8 * u64::from(unit)).min(1 << 30) as u32,
            unit,
            streams: side.streams,
            total: self.total,
            frame: self.frame,
            table: self.table,
            connect: self.websockets,
            heads: Limits {
                size: global.bufsize.saturating_sub(global.maxrewrite),
                fields: global.maxhdr,
                relaxed,
            },
        }
    }
}
