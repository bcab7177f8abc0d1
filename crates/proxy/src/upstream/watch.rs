//! Waiting on the way to a server: the client may go away, the time be up, or somebody end the stream.

use super::{Failure, Wish};
use crate::worker::slots::Abort;
use crate::worker::story::{Phase, Story};
use crate::worker::{Task, Woken};
use portcullis_transport::conn::Seen;
use portcullis_transport::hangup::HangUp;
use std::future::poll_fn;
use std::task::{Context, Poll};

/// What the end of a client's connection means while a server is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEnd {
    /// Nothing.
    Ignored,
    /// It wants nothing, unless it has sent something.
    WithoutBytes,
    /// Give up (`option abortonclose`).
    GiveUp,
}

/// Why waiting ended early.
pub(crate) enum Interrupt {
    Late,
    Aborted(Abort),
    /// The client has finished; or (true) its connection is broken.
    ClientGone(bool),
}

/// Waits for something while the client and the clock are watched. `phase`: what for, for listings.
pub(crate) async fn watched<T>(
    task: &Task,
    wish: &Wish<'_>,
    phase: Phase,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Interrupt> {
    let mut hang = None;
    poll_fn(|cx| {
        if let Poll::Ready(t) = poll(cx) {
            return Poll::Ready(Ok(t));
        }
        if let Some(broken) = leaves_early(task, wish, &mut hang, cx) {
            return Poll::Ready(Err(Interrupt::ClientGone(broken)));
        }
        if task.is_asked() {
            let story = Story::on_the_way(wish.client, phase);
            task.tell(match wish.request.head() {
                Some(head) => story.asking(head),
                None => story,
            });
        }
        match task.poll_woken(cx) {
            Some(Woken::Late) => Poll::Ready(Err(Interrupt::Late)),
            Some(Woken::Aborted(why)) => Poll::Ready(Err(Interrupt::Aborted(why))),
            None => Poll::Pending,
        }
    })
    .await
}

/// Is the client gone? Then: is its connection broken? `hang`: what is looked at while bytes wait unread, or where only a
/// broken connection counts, once waiting lasts.
fn leaves_early(
    task: &Task,
    wish: &Wish<'_>,
    hang: &mut Option<Box<HangUp>>,
    cx: &mut Context<'_>,
) -> Option<bool> {
    if hang.is_none() && wish.client_end != ClientEnd::Ignored {
        match task.watch(wish.client, cx) {
            Seen::End => return Some(false),
            Seen::Broken => return Some(true),
            Seen::Nothing => return None,
            Seen::Data => *hang = HangUp::of(wish.client).map(Box::new),
        }
    } else if hang.is_none() && task.lasts() {
        *hang = HangUp::of(wish.client).map(Box::new);
    }
    match hang.as_ref()?.poll(cx) {
        Seen::Broken => Some(true),
        Seen::End if wish.client_end == ClientEnd::GiveUp => Some(false),
        _ => None,
    }
}

/// What it means for the stream; `late`: cause and phase when the time is up.
pub(crate) fn interrupted(i: Interrupt, late: [u8; 2]) -> Failure {
    match i {
        Interrupt::Late => Failure { termination: late, status: 503 },
        Interrupt::ClientGone(_) => Failure { termination: [b'C', late[1]], status: 0 },
        Interrupt::Aborted(why) => Failure { termination: [why.letter(), late[1]], status: 503 },
    }
}
