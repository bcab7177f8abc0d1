//! `tune.h2.*` and its kin, ready for connections (manual section 3.2).

use crate::plan::{GlobalPlan, ProxyPlan};
use portcullis_config::{H2LogErrors, RqLoad, Tune};
use portcullis_sample::account;
use portcullis_wire::h2::Config;
use portcullis_wire::h2::request::Limits;

/// Which errors `tune.h2.log-errors` has logged: those that reach as far as this.
pub type LogErrors = H2LogErrors;

/// What connections are told.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Odd things that end a connection; 0: none.
    pub glitches: u32,
    /// But only from this use of the worker's processor on, in percent (`tune.glitches.kill.cpu-usage`).
    pub kill: u32,
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
    /// `tune.streams-elasticity`
    pub elasticity: u32,
    clients: Side,
    servers: Side,
    /// From which load on fewer streams are announced, and how few; 0: it is not looked at.
    load: (u32, u32),
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
    pub fn new(tune: &Tune, websockets: bool, threads: u32) -> Self {
        let h2 = &tune.h2;
        let bufsize = u32::try_from(tune.bufsize).unwrap_or(16_384);
        let side = |window: Option<u32>, rxbuf: Option<usize>, streams: Option<u32>| Side {
            // as 3.5 has it: a buffer without what a message in it takes
            window: window.or(h2.window).unwrap_or_else(|| bufsize.saturating_sub(48).max(16_384)),
            rxbuf: rxbuf.unwrap_or(1_600 * 1024),
            streams: streams.or(h2.streams).unwrap_or(100),
        };
        let load = match h2.fe_load.from {
            RqLoad::Ignore => 0,
            RqLoad::Above(n) => n,
            // the manual says between 35 and 280, fewer for more threads
            RqLoad::Auto => tune.runqueue_depth.unwrap_or_else(|| (280 / threads.max(1)).max(35)),
        };
        Self {
            glitches: h2.fe_glitches,
            kill: tune.glitches_kill,
            frames_at_once: h2.fe_frames_at_once,
            resets_at_once: h2.fe_resets_at_once,
            log_errors: h2.log_errors,
            server_glitches: h2.be_glitches,
            server_frames_at_once: h2.be_frames_at_once,
            elasticity: tune.streams_elasticity,
            clients: side(h2.fe_window, h2.fe_rxbuf, h2.fe_streams),
            servers: side(h2.be_window, h2.be_rxbuf, h2.be_streams),
            load: (load, h2.fe_load.least.max(1)),
            total: h2.fe_total,
            // what is announced is never above a buffer
            frame: h2.frame.unwrap_or(bufsize).min(bufsize).max(16_384),
            table: h2.table,
            websockets,
        }
    }

    /// Is this worker so busy that a connection with too many odd things ends?
    #[must_use]
    pub fn kills(&self) -> bool {
        self.kill == 0 || account::usage(account::Whose::Thread) >= i64::from(self.kill)
    }

    /// Of a frontend's connection that begins on a worker with this load: the more it is above what is wanted, the fewer
    /// streams it is offered, by the square of that.
    #[must_use]
    pub fn config(&self, global: &GlobalPlan, front: &ProxyPlan, load: u32) -> Config {
        let config = self.of(&self.clients, global, front.request_limits.relaxed);
        let offered = eased(config.streams, self.load, load);
        Config { offered: Some(offered).filter(|n| *n < config.streams), ..config }
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
            offered: None,
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

/// `rq-load`: how many of so many streams are offered.
fn eased(most: u32, (wanted, least): (u32, u32), load: u32) -> u32 {
    if wanted == 0 || load <= wanted {
        return most;
    }
    let (wanted, load) = (u64::from(wanted), u64::from(load));
    let n = u64::from(most) * wanted * wanted / (load * load);
    u32::try_from(n).unwrap_or(most).clamp(least.min(most), most)
}

#[cfg(test)]
mod tests {
    use super::eased;

    #[test]
    fn load() {
        let offered = [0, 50, 51, 100, 200, 1000].map(|load| eased(100, (50, 5), load));
        assert_eq!(offered, [100, 100, 96, 25, 6, 5]);
        assert_eq!(eased(100, (0, 1), 1000), 100);
        assert_eq!(eased(3, (1, 5), 1000), 3);
    }
}
