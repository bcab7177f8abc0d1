//! A TLS connection on its way from one thread to another: what belongs to the thread is left behind.

use super::outgoing::Outgoing;
use super::updates::Updates;
use super::{AT_ONCE, Records, Side, Stream};
use crate::info::Info;
use std::rc::Rc;

/// A [`Stream`] between two threads.
pub struct Parted {
    side: Side,
    incoming: Vec<u8>,
    unread: bool,
    plain: Vec<u8>,
    plain_at: usize,
    out: Outgoing,
    records: [(u32, u32); AT_ONCE],
    record_count: u8,
    ended: bool,
    failed: bool,
    close_sent: bool,
    to_kernel: bool,
    info: Option<Info>,
    records_limit: Records,
    burst: u32,
    updates: Option<Box<Updates>>,
}

impl std::fmt::Debug for Parted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parted").finish_non_exhaustive()
    }
}

impl Stream {
    /// Takes it away from its thread. None: it shakes hands still.
    #[must_use]
    pub fn part(self) -> Option<Parted> {
        if self.is_handshaking() || self.early.is_some() || self.ahead.is_some() || self.choice.is_some() {
            return None;
        }
        Some(Parted {
            side: self.side,
            incoming: self.incoming,
            unread: self.unread,
            plain: self.plain,
            plain_at: self.plain_at,
            out: self.out,
            records: self.records,
            record_count: self.record_count,
            ended: self.ended,
            failed: self.failed,
            close_sent: self.close_sent,
            to_kernel: self.to_kernel,
            info: self.info.map(Rc::unwrap_or_clone),
            records_limit: self.records_limit,
            burst: self.burst,
            updates: self.updates,
        })
    }
}

impl Parted {
    /// Gives it to this thread.
    #[must_use]
    pub fn whole(self) -> Stream {
        Stream {
            side: self.side,
            choice: None,
            incoming: self.incoming,
            unread: self.unread,
            plain: self.plain,
            plain_at: self.plain_at,
            out: self.out,
            records: self.records,
            record_count: self.record_count,
            ended: self.ended,
            failed: self.failed,
            close_sent: self.close_sent,
            to_kernel: self.to_kernel,
            info: self.info.map(Rc::new),
            records_limit: self.records_limit,
            early: None,
            ahead: None,
            burst: self.burst,
            updates: self.updates,
        }
    }
}
