//! What HTTP/2 connections of one side of a proxy are counted by (management manual section 9.1, columns `h2_*`).

use crate::counter::{Counter, Sharded};

/// How many columns there are.
pub const COLUMNS: usize = 13;

/// One worker's, in the order of the columns.
#[derive(Debug, Default)]
pub struct H2Counters([Counter; COLUMNS]);

/// Where the gauges stand.
const OPEN_CONNECTIONS: usize = 9;
const OPEN_STREAMS: usize = 10;

/// What is added to them, in the order of the columns; gauges may go down.
#[derive(Clone, Copy, Debug, Default)]
pub struct H2Change {
    /// `h2_headers_rcvd`
    pub headers: u32,
    /// `h2_data_rcvd`
    pub data: u32,
    /// `h2_settings_rcvd`
    pub settings: u32,
    /// `h2_rst_stream_rcvd`
    pub resets: u32,
    /// `h2_goaway_rcvd`
    pub goaways: u32,
    /// `h2_detected_conn_protocol_errors`
    pub connection_errors: u32,
    /// `h2_detected_strm_protocol_errors`
    pub stream_errors: u32,
    /// `h2_rst_stream_resp`
    pub resets_sent: u32,
    /// `h2_goaway_resp`
    pub goaways_sent: u32,
    /// Connections more or less (`h2_open_connections`).
    pub open: i64,
    /// Streams more or less (`h2_backend_open_streams`).
    pub open_streams: i64,
    /// `h2_total_connections`
    pub connections: u32,
    /// `h2_backend_total_streams`
    pub streams: u32,
}

impl H2Counters {
    /// Adds; only the shard's worker may.
    pub fn add(&self, c: &H2Change) {
        let plain = |n: u32| u64::from(n);
        let all = [
            plain(c.headers),
            plain(c.data),
            plain(c.settings),
            plain(c.resets),
            plain(c.goaways),
            plain(c.connection_errors),
            plain(c.stream_errors),
            plain(c.resets_sent),
            plain(c.goaways_sent),
            // counters wrap: so much less
            c.open.cast_unsigned(),
            c.open_streams.cast_unsigned(),
            plain(c.connections),
            plain(c.streams),
        ];
        self.0.iter().zip(all).filter(|(_, n)| *n != 0).for_each(|(counter, n)| counter.add(n));
    }
    /// So many connections and streams were there before the process began.
    pub fn begin_with(&self, connections: u64, streams: u64) {
        self.0[COLUMNS - 2].add(connections);
        self.0[COLUMNS - 1].add(streams);
    }
    /// `clear counters all`: what is open stays so.
    pub fn clear(&self) {
        self.0.iter().enumerate().filter(|(at, _)| !is_gauge(*at)).for_each(|(_, counter)| counter.clear());
    }
}

fn is_gauge(at: usize) -> bool {
    at == OPEN_CONNECTIONS || at == OPEN_STREAMS
}

impl Sharded<H2Counters> {
    /// The sums over all workers, in the order of the columns.
    #[must_use]
    pub fn totals(&self) -> H2Totals {
        let mut sum = [0u64; COLUMNS];
        for shard in self.iter() {
            sum.iter_mut().zip(&shard.0).for_each(|(sum, c)| *sum = sum.wrapping_add(c.get()));
        }
        H2Totals(sum)
    }
}

/// Sums of [`H2Counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct H2Totals(pub [u64; COLUMNS]);

impl H2Totals {
    /// Takes off what was counted before; what is open stays so.
    pub(crate) fn forget(&mut self, before: &Self) {
        let all = self.0.iter_mut().zip(before.0).enumerate().filter(|(at, _)| !is_gauge(*at));
        all.for_each(|(_, (now, then))| *now = now.saturating_sub(then));
    }
    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.0[OPEN_CONNECTIONS]
    }
    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.0[COLUMNS - 2]
    }
    /// Streams so far.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.0[COLUMNS - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_outlive_a_clear() {
        let all: Sharded<H2Counters> = Sharded::new(2);
        all.of(0).add(&H2Change { connections: 1, open: 1, headers: 3, ..H2Change::default() });
        all.of(1).add(&H2Change { open: 2, open_streams: 5, streams: 5, ..H2Change::default() });
        let sum = all.totals();
        assert_eq!((sum.open(), sum.connections(), sum.streams(), sum.0[0]), (3, 1, 5, 3));
        all.iter().for_each(H2Counters::clear);
        all.of(1).add(&H2Change { open: -1, open_streams: -4, ..H2Change::default() });
        assert_eq!(all.totals().0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0]);
    }
}
