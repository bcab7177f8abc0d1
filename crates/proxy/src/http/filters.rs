//! What a request's filters hear of it.

use super::exchange::{Exchange, Stop};
use super::stages;
use crate::filter::{Chain, FilterSet, Point, Stage, Verdict};
use crate::plan::ProxyPlan;
use crate::session::Session;
use portcullis_sample::Direction;
use std::sync::Arc;

/// A stream begins in a frontend with filters.
pub fn begin(x: &mut Exchange<'_>, session: &Session, set: &Arc<FilterSet>) {
    let worker = session.worker();
    let chain = Chain::begin(worker, set, true, session.number());
    chain.borrow_mut().tell(worker, Direction::Request, Point::Begin);
    x.filters = Some(chain);
}

/// The backend is chosen: its filters join those of the frontend.
pub fn routed(x: &mut Exchange<'_>, session: &Session, back: &ProxyPlan) {
    let set = back.filters.as_ref().filter(|_| back.index != x.front.index);
    Chain::join(&mut x.filters, session.worker(), (&back.name, set), true, session.number());
    tell(x, session, Point::After(Stage::Switching));
}

/// Tells them where the request is.
pub fn tell(x: &Exchange<'_>, session: &Session, point: Point<'_>) {
    if let Some(chain) = &x.filters {
        chain.borrow_mut().tell(session.worker(), Direction::Request, point);
    }
}

/// Asks them whether it goes on, and waits as long as they say. `None`: about the direction's head.
///
/// # Errors
/// When a filter ends the stream, or it ends while it waits.
pub async fn ask(
    x: &mut Exchange<'_>,
    session: &Session,
    direction: Direction,
    point: Option<Point<'_>>,
) -> Result<(), Stop> {
    let Some(chain) = x.filters.clone() else { return Ok(()) };
    loop {
        let head = match direction {
            Direction::Request => &x.scratch.request,
            Direction::Response => &x.scratch.response,
        };
        let point = point.unwrap_or(Point::Head(head));
        let verdict = chain.borrow_mut().ask(session.worker(), direction, point);
        match verdict {
            Verdict::Continue => return Ok(()),
            Verdict::Wait(until) => stages::wait(x, session, until, false).await?,
            Verdict::End if direction == Direction::Request => return Err(Stop::new(b"PR", 403)),
            Verdict::End => return Err(Stop::new(b"PH", 502)),
        }
    }
}
