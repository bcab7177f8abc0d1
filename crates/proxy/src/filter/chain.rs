//! The filters of one stream, in order.

use super::{At, Filter, FilterSet, Order, Pass, Point, Verdict};
use crate::worker::Worker;
use portcullis_sample::Direction;
use portcullis_transport::Millis;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The instances that a stream has; its directions share them.
pub struct Chain {
    links: Vec<Link>,
    /// Positions in `links` in each direction's order (`filter-sequence`).
    order: [Vec<usize>; 2],
    at: At,
}

struct Link {
    filter: Box<dyn Filter>,
    front: bool,
    /// Bytes of each direction that it let pass and that a filter behind it holds.
    passed: [usize; 2],
}

fn index(direction: Direction) -> usize {
    usize::from(direction == Direction::Response)
}

impl Chain {
    /// The chain of a stream that begins in a proxy with these filters. `stream`: see [`At`].
    #[must_use]
    pub fn begin(worker: &Worker, set: &Arc<FilterSet>, http: bool, stream: (u64, u64)) -> Rc<RefCell<Self>> {
        let mut chain = Self::empty(worker, http, stream);
        chain.attach(set, true);
        chain.tell(worker, Direction::Request, Point::Start);
        Rc::new(RefCell::new(chain))
    }

    fn empty(worker: &Worker, http: bool, stream: (u64, u64)) -> Self {
        let (now, wall) = (worker.clock.now(), worker.clock.wall());
        let direction = Direction::Request;
        let at = At { direction, http, routed: false, front: true, now, wall, stream };
        Self { links: Vec::new(), order: [Vec::new(), Vec::new()], at }
    }

    /// The filters of the chosen backend join those of the frontend. `chain`: what the frontend has.
    pub fn join(
        chain: &mut Option<Rc<RefCell<Self>>>,
        worker: &Worker,
        backend: (&str, Option<&Arc<FilterSet>>),
        http: bool,
        stream: (u64, u64),
    ) {
        let (name, set) = backend;
        if chain.is_none() && set.is_none() {
            return;
        }
        let mut this = chain
            .get_or_insert_with(|| Rc::new(RefCell::new(Self::empty(worker, http, stream))))
            .borrow_mut();
        if let Some(set) = set {
            this.attach(set, false);
        }
        this.tell(worker, Direction::Request, Point::Backend(name));
        this.at.routed = true;
        this.tell_of(Direction::Request, Point::Begin, |link| !link.front);
    }

    fn attach(&mut self, set: &Arc<FilterSet>, front: bool) {
        let first = self.links.len();
        self.links.extend(set.instances().map(|filter| Link { filter, front, passed: [0, 0] }));
        for (all, new) in self.order.iter_mut().zip(&set.order) {
            all.extend(new.iter().map(|i| first + i));
        }
        for link in &mut self.links[first..] {
            link.filter.at(&At { front, ..self.at }, Point::Attach);
        }
    }

    /// Tells every filter that the stream is here. What they say is for those who can wait: [`Chain::ask`].
    pub fn tell(&mut self, worker: &Worker, direction: Direction, point: Point<'_>) {
        self.look(worker, direction);
        match point {
            Point::Start | Point::Stop | Point::Backend(_) => {
                let front_only = !matches!(point, Point::Backend(_));
                for link in self.links.iter_mut().filter(|l| l.front || !front_only) {
                    link.filter.at(&At { front: link.front, ..self.at }, point);
                }
            }
            _ => self.tell_of(direction, point, |_| true),
        }
    }

    /// Tells those filters of a direction that are meant.
    fn tell_of(&mut self, direction: Direction, point: Point<'_>, meant: fn(&Link) -> bool) {
        self.at.direction = direction;
        for i in &self.order[index(direction)] {
            let link = &mut self.links[*i];
            if meant(link) {
                link.filter.at(&At { front: link.front, ..self.at }, point);
            }
        }
    }

    /// Asks the direction's filters whether the stream goes on; the first that says no decides. Those in front of it are
    /// asked again with it.
    pub fn ask(&mut self, worker: &Worker, direction: Direction, point: Point<'_>) -> Verdict {
        self.look(worker, direction);
        for i in &self.order[index(direction)] {
            let link = &mut self.links[*i];
            match link.filter.at(&At { front: link.front, ..self.at }, point) {
                Verdict::Continue => {}
                other => return other,
            }
        }
        Verdict::Continue
    }

    /// The stream is over.
    pub fn stop(&mut self, worker: &Worker) {
        for direction in [Direction::Request, Direction::Response] {
            self.tell(worker, direction, Point::Finish);
        }
        // the backend's leave first
        for front in [false, true] {
            if front {
                self.tell(worker, Direction::Request, Point::Stop);
            }
            let at = At { front, ..self.at };
            for link in self.links.iter_mut().filter(|l| l.front == front) {
                link.filter.at(&at, Point::Detach);
            }
        }
    }

    /// A rule says something to the filter that it names.
    pub fn order(&mut self, order: &Order<'_>) {
        self.links.iter_mut().for_each(|l| l.filter.order(order));
    }

    /// A direction begins anew, with nothing on its way.
    pub(super) fn reset(&mut self, direction: Direction) {
        self.links.iter_mut().for_each(|l| l.passed[index(direction)] = 0);
    }

    /// How many of these bytes go on now. They are shown again with what follows until they have gone on.
    pub(super) fn payload(&mut self, worker: &Worker, direction: Direction, bytes: &[u8]) -> Pass {
        self.look(worker, direction);
        self.filter(direction, bytes)
    }

    fn filter(&mut self, direction: Direction, bytes: &[u8]) -> Pass {
        let way = index(direction);
        let mut goes_on = bytes.len();
        let mut until = Millis::NEVER;
        for i in &self.order[way] {
            let link = &mut self.links[*i];
            let new = bytes.get(link.passed[way]..goes_on).unwrap_or_default();
            if !new.is_empty() {
                match link.filter.payload(&At { front: link.front, ..self.at }, new) {
                    Pass::Bytes(n) => link.passed[way] += n.min(new.len()),
                    Pass::Wait(at) => until = until.min(at),
                    Pass::End => return Pass::End,
                }
            }
            goes_on = link.passed[way];
        }
        if goes_on == 0 {
            return Pass::Wait(until);
        }
        self.order[way].iter().for_each(|i| self.links[*i].passed[way] -= goes_on);
        Pass::Bytes(goes_on)
    }

    fn look(&mut self, worker: &Worker, direction: Direction) {
        (self.at.now, self.at.wall) = (worker.clock.now(), worker.clock.wall());
        self.at.direction = direction;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Lets so many bytes pass at a time, and nothing once its number is used up.
    struct Most(usize, usize);

    impl Filter for Most {
        fn payload(&mut self, _: &At, bytes: &[u8]) -> Pass {
            let n = bytes.len().min(self.0).min(self.1);
            self.1 -= n;
            match n {
                0 if self.0 == 0 => Pass::End,
                0 => Pass::Wait(Millis(7)),
                n => Pass::Bytes(n),
            }
        }
    }

    fn chain(filters: Vec<Box<dyn Filter>>) -> Chain {
        let n = filters.len();
        let link = |filter| Link { filter, front: true, passed: [0, 0] };
        Chain {
            links: filters.into_iter().map(link).collect(),
            order: [(0..n).collect(), Vec::new()],
            at: At {
                direction: Direction::Request,
                http: false,
                routed: true,
                front: true,
                now: Millis(0),
                wall: Duration::ZERO,
                stream: (0, 0),
            },
        }
    }

    #[test]
    fn no_filter_sees_a_byte_twice() {
        let mut c = chain(vec![Box::new(Most(10, 30)), Box::new(Most(4, 100))]);
        assert_eq!(c.filter(Direction::Request, &[0; 20]), Pass::Bytes(4));
        // the first has let six pass already that the second held, and now ten more
        assert_eq!(c.filter(Direction::Request, &[0; 16]), Pass::Bytes(4));
        let mut left = 12;
        while let Pass::Bytes(n) = c.filter(Direction::Request, &vec![0; left]) {
            left -= n;
        }
        assert_eq!(left, 0);
    }

    #[test]
    fn a_filter_holds_bytes_back_and_ends_streams() {
        let mut c = chain(vec![Box::new(Most(10, 10))]);
        assert_eq!(c.filter(Direction::Request, &[0; 20]), Pass::Bytes(10));
        assert_eq!(c.filter(Direction::Request, &[0; 10]), Pass::Wait(Millis(7)));
        // the other direction has none
        assert_eq!(c.filter(Direction::Response, &[0; 10]), Pass::Bytes(10));
        assert_eq!(chain(vec![Box::new(Most(0, 0))]).filter(Direction::Request, &[0; 3]), Pass::End);
    }
}
