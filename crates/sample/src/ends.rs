//! Where and how the ways of a stream ended: `term_events` (manual section 7.3.3). The manual says what the seven layers are and
//! leaves the rest open; what stands here is what 3.5 was seen to print.
//!
//! Nothing is recorded while a stream runs. At its end the kernel is asked how each peer has left, if a format wants to
//! know, and the events of each layer follow from that and from the termination state. An event is a letter for its
//! place, small on the client's side, and a digit for its kind.

use crate::facts::Facts;

/// How the peer of a connection has left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gone {
    /// It is there, or nobody has asked.
    #[default]
    No,
    /// It has finished sending.
    Finished,
    /// It has reset the connection.
    Reset,
}

/// What is noted when a stream ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The stream is over: before, nothing has ended.
    pub over: bool,
    /// The client.
    pub client: Gone,
    /// The client's connection stays.
    pub client_stays: bool,
    /// The server's connection stays.
    pub server_stays: bool,
    /// The request had come in part when it ended.
    pub cut: bool,
    /// In a relay: the server ended first.
    pub server_first: bool,
}

/// Kinds of events.
mod kind {
    /// Closed by us, or by what is above.
    pub const CLOSE: u8 = b'1';
    /// The peer has finished.
    pub const END: u8 = b'2';
    /// The peer has reset it.
    pub const RESET: u8 = b'3';
    /// The peer has finished too early.
    pub const SHORT: u8 = b'5';
    /// The peer has reset it too early.
    pub const SHORT_RESET: u8 = b'6';
    /// Too late; of a connection: refused.
    pub const LATE: u8 = b'7';
    /// Ended by a rule; of a stream of HTTP/2: cancelled.
    pub const RULED: u8 = b'8';
    /// Malformed.
    pub const WRONG: u8 = b'9';
}

/// The events of one layer, four at most.
#[derive(Default)]
struct Layer(Vec<u8>);

impl Layer {
    fn add(&mut self, place: u8, kind: u8) -> &mut Self {
        if self.0.len() < 8 {
            self.0.extend([place, kind]);
        }
        self
    }
    fn all(&mut self, place: u8, kinds: &[u8]) -> &mut Self {
        kinds.iter().fold(self, |layer, kind| layer.add(place, *kind))
    }
}

/// The seven layers; `None` where there is none.
type Layers = [Option<Layer>; 7];

/// The events as text.
#[must_use]
pub fn text(facts: &Facts<'_>) -> Vec<u8> {
    let layers = match (facts.stream, facts.http) {
        (true, _) if !facts.ends.over => [true, true, true, true, true, attempted(facts), attempted(facts)]
            .map(|there| there.then(Layer::default)),
        (true, true) if facts.status == 101 => tunnel(facts),
        (true, true) => http(facts),
        (true, false) => tcp(facts),
        (false, true) => malformed(facts),
        (false, false) => [Some(Layer::default()), None, None, None, None, None, None],
    };
    let shown = layers.map(|layer| layer.map_or_else(|| b"-".to_vec(), |l| l.0));
    [b"{", &*shown.join(&b","[..]), b"}"].concat()
}

/// Was a connection to a server tried?
fn attempted(f: &Facts<'_>) -> bool {
    f.server_link.error.is_some()
}

fn connected(f: &Facts<'_>) -> bool {
    attempted(f) && f.timers.connect >= 0
}

/// What ended a stream: on which side (the client's or not), and of what kind.
fn cause(f: &Facts<'_>) -> (bool, &'static [u8]) {
    const CLOSE: &[u8] = &[kind::CLOSE];
    let ends = &f.ends;
    match [f.termination[0], f.termination[1]] {
        [b'C', _] => match (ends.cut, ends.client) {
            (true, _) => (true, &[kind::SHORT]),
            // the stream of a connection that is gone has ended for it
            (false, Gone::Reset) if f.client_link.stream == 0 => (true, &[kind::RESET]),
            (false, _) => (true, &[kind::END]),
        },
        [b'c', b'R' | b'T'] | [b'P' | b'L', b'R' | b'T'] => (true, &[kind::RULED]),
        [b'c', _] => (true, &[kind::LATE]),
        [b's', b'H' | b'D' | b'L'] => (false, &[kind::LATE]),
        [b'S', b'H' | b'D' | b'L'] => (false, &[kind::SHORT]),
        [b'P' | b'L', b'H' | b'D'] if f.server_link.status != 0 || !f.http => (false, &[kind::RULED]),
        [b'P', b'H'] if f.server_link.gone == Gone::Finished => (false, &[kind::SHORT, kind::WRONG]),
        [b'P', b'H'] => (false, &[kind::SHORT_RESET, kind::CLOSE, kind::WRONG]),
        [b'-', _] if f.server_link.gone == Gone::Finished => (false, &[kind::END]),
        [b'-', _] => (true, CLOSE),
        _ => (false, CLOSE),
    }
}

/// A stream of HTTP.
fn http(f: &Facts<'_>) -> Layers {
    let (ends, h2) = (&f.ends, f.client_link.stream != 0);
    let (by_client, kinds) = cause(f);
    let [mut conn, mut mux, mut end, mut stream, mut back, mut back_mux, mut back_conn] =
        [const { Layer(Vec::new()) }; 7];
    // the client
    let aborted = f.termination[0] == b'C';
    match ends.client {
        Gone::Finished => {
            let kind = if ends.cut && aborted { kind::SHORT } else { kind::END };
            conn.add(b'f', kind::END);
            mux.add(b'm', if h2 { kind::SHORT } else { kind });
            end.add(b'e', kind);
        }
        Gone::Reset => {
            conn.add(b'f', kind::RESET);
            if f.frontend_tls.is_some() {
                conn.add(b'x', kind::RESET);
            }
            if h2 || ends.cut {
                mux.add(b'm', kind::SHORT_RESET);
                end.add(b'e', if ends.cut { kind::SHORT_RESET } else { kind::RESET });
            }
        }
        Gone::No if aborted && h2 => {
            end.all(b'e', &[kind::RULED, if ends.cut { kind::SHORT } else { kind::END }]);
        }
        Gone::No => {}
    }
    end.add(b'e', kind::CLOSE);
    if !ends.client_stays && !h2 {
        mux.add(b'm', kind::CLOSE);
        if ends.client != Gone::Reset {
            goodbye(f, &mut conn);
        }
    }
    if f.server_name.starts_with('<') && f.server_name != "<NOSRV>" && !aborted {
        // an applet says that it has done
        stream.add(b'S', kind::END).add(b'S', kind::CLOSE).add(b's', kind::CLOSE);
        back.add(b'E', kind::END).add(b'E', kind::CLOSE);
        return layers([conn, mux, end, stream, back, back_mux, back_conn], f);
    }
    // the stream
    if ends.client == Gone::Finished && !aborted {
        stream.add(b's', kind::END);
    }
    match (by_client, kinds) {
        (true, [kind::END]) if !h2 || ends.client == Gone::Finished => {
            stream.add(b's', kind::END).add(b'S', kind::CLOSE).add(b's', kind::CLOSE);
        }
        (true, [first @ (kind::LATE | kind::RULED)]) => {
            stream.add(b's', *first).add(b'S', kind::CLOSE).add(b's', kind::CLOSE);
        }
        (true, [kind::CLOSE]) => {
            stream.add(b's', kind::CLOSE).add(b'S', kind::CLOSE);
        }
        (true, first) => {
            stream.all(b's', first).add(b's', kind::CLOSE).add(b'S', kind::CLOSE);
        }
        (false, [first @ (kind::LATE | kind::RULED)]) => {
            stream.add(b'S', *first).add(b'S', kind::CLOSE).add(b's', kind::CLOSE);
        }
        (false, first) => {
            stream.all(b'S', first).add(b's', kind::CLOSE);
        }
    }
    // the server
    if connected(f) {
        let short = !by_client && kinds.first().is_some_and(|k| *k != kind::END);
        match f.server_link.gone {
            Gone::Finished => {
                let kind = if short { kind::SHORT } else { kind::END };
                back.add(b'E', kind);
                back_mux.add(b'M', kind);
                back_conn.add(b'F', kind::END);
            }
            Gone::Reset => {
                back.add(b'E', kind::SHORT_RESET);
                back_mux.add(b'M', kind::SHORT_RESET);
                back_conn.add(b'F', kind::RESET);
            }
            Gone::No if kinds.contains(&kind::WRONG) => {
                back.add(b'E', kind::WRONG);
            }
            Gone::No => {}
        }
        back.add(b'E', kind::CLOSE);
        if !ends.server_stays {
            back_mux.add(b'M', kind::CLOSE);
            if f.server_link.gone != Gone::Reset {
                back_conn.add(b'F', kind::CLOSE);
            }
        }
    } else {
        refused(f, &mut back_conn);
    }
    layers([conn, mux, end, stream, back, back_mux, back_conn], f)
}

/// We close the client's connection.
fn goodbye(f: &Facts<'_>, conn: &mut Layer) {
    if f.frontend_tls.is_some() {
        conn.add(b'x', kind::CLOSE);
    }
    conn.add(b'f', kind::CLOSE);
}

fn refused(f: &Facts<'_>, conn: &mut Layer) {
    /// ECONNREFUSED as `bc_err` numbers it.
    const REFUSED: u8 = 47;
    if f.server_link.error == Some(REFUSED) {
        conn.add(b'F', kind::LATE);
    }
}

fn layers(all: [Layer; 7], f: &Facts<'_>) -> Layers {
    let mut layers = all.map(Some);
    if !attempted(f) {
        for layer in &mut layers[5..] {
            *layer = None;
        }
    }
    layers
}

/// A connection that was upgraded: as one of TCP, which the layers of HTTP hear of.
fn tunnel(f: &Facts<'_>) -> Layers {
    const LAST: [u8; 2] = [kind::CLOSE, kind::END];
    const FIRST: [u8; 2] = [kind::END, kind::CLOSE];
    const RESET: [u8; 2] = [kind::RESET, kind::CLOSE];
    let mut layers = tcp(f);
    let [.., end, stream, back, _, _] = &mut layers;
    let mut hear = |client: &[u8], server: &[u8]| {
        for (layer, place, kinds) in [(&mut *end, b'e', client), (&mut *back, b'E', server)] {
            let mut heard = Layer::default();
            heard.all(place, kinds);
            *layer = Some(heard);
        }
    };
    match (f.termination[0], f.ends.client, f.server_link.gone) {
        (b'-', ..) if f.ends.server_first => hear(&LAST, &FIRST),
        (b'-', ..) => hear(&FIRST, &LAST),
        (_, Gone::Reset, _) => hear(&RESET, &[kind::CLOSE]),
        (_, _, Gone::Reset) => hear(&[kind::CLOSE], &RESET),
        _ => {}
    }
    // for a stream of HTTP that is an end like others
    for event in stream.iter_mut().flat_map(|s| s.0.iter_mut()).filter(|b| **b == kind::SHORT) {
        *event = kind::END;
    }
    layers
}

/// A stream of TCP.
fn tcp(f: &Facts<'_>) -> Layers {
    let ends = &f.ends;
    let (by_client, kinds) = cause(f);
    let [mut conn, mut mux, mut end, mut stream, mut back, mut back_mux, mut back_conn] =
        [const { Layer(Vec::new()) }; 7];
    let in_order = f.termination[0] == b'-';
    end.add(b'e', kind::CLOSE);
    if connected(f) {
        back.add(b'E', kind::CLOSE);
    }
    match (in_order, ends.client) {
        (true, _) if ends.server_first => {
            conn.add(b'f', kind::CLOSE).add(b'f', kind::END);
            mux.add(b'm', kind::CLOSE).add(b'm', kind::END).add(b'm', kind::CLOSE);
            stream.add(b'S', kind::END).add(b's', kind::CLOSE).add(b's', kind::END).add(b'S', kind::CLOSE);
            back_mux.add(b'M', kind::END).add(b'M', kind::CLOSE);
            back_conn.add(b'F', kind::END).add(b'F', kind::CLOSE);
        }
        (true, _) => {
            conn.add(b'f', kind::END).add(b'f', kind::CLOSE);
            mux.add(b'm', kind::END).add(b'm', kind::CLOSE);
            stream.add(b's', kind::END).add(b'S', kind::CLOSE).add(b'S', kind::END).add(b's', kind::CLOSE);
            back_mux.add(b'M', kind::CLOSE).add(b'M', kind::END).add(b'M', kind::CLOSE);
            back_conn.add(b'F', kind::CLOSE).add(b'F', kind::END);
        }
        (false, Gone::Reset) => {
            conn.add(b'f', kind::RESET);
            mux.add(b'm', kind::RESET).add(b'm', kind::CLOSE);
            stream.add(b's', kind::SHORT).add(b's', kind::CLOSE).add(b'S', kind::CLOSE);
            broken(f, &mut back_mux, &mut back_conn);
        }
        (false, gone) => {
            if gone == Gone::Finished {
                conn.add(b'f', kind::END);
                mux.add(b'm', kind::END);
                stream.add(b's', kind::END);
            }
            goodbye(f, &mut conn);
            mux.add(b'm', kind::CLOSE);
            // the server is told of a client's end at once
            let told = gone == Gone::Finished && attempted(f);
            if told {
                stream.add(b'S', kind::CLOSE);
            }
            let known = (by_client && kinds == [kind::END]) || (told && kinds == [kind::CLOSE]);
            if !known {
                stream.all(if by_client { b's' } else { b'S' }, kinds);
            }
            if !told && kinds != [kind::CLOSE] {
                stream.add(b'S', kind::CLOSE);
            }
            stream.add(b's', kind::CLOSE);
            broken(f, &mut back_mux, &mut back_conn);
        }
    }
    layers([conn, mux, end, stream, back, back_mux, back_conn], f)
}

/// The server's connection of a relay that did not end in order.
fn broken(f: &Facts<'_>, mux: &mut Layer, conn: &mut Layer) {
    if !connected(f) {
        return refused(f, conn);
    }
    if f.server_link.gone == Gone::Reset {
        mux.add(b'M', kind::RESET);
        conn.add(b'F', kind::RESET);
    } else {
        conn.add(b'F', kind::CLOSE);
    }
    mux.add(b'M', kind::CLOSE);
}

/// There was not even a request.
fn malformed(f: &Facts<'_>) -> Layers {
    let mut conn = Layer::default();
    let mut mux = Layer::default();
    match (f.termination[0], f.ends.client, f.ends.cut) {
        (b'P', ..) if f.client_link.stream != 0 => {}
        (b'P', ..) => {
            mux.add(b'm', kind::WRONG);
        }
        (_, Gone::Finished, cut) => {
            conn.add(b'f', kind::END);
            mux.add(b'm', if cut { kind::SHORT } else { kind::END });
        }
        (_, Gone::Reset, cut) => {
            conn.add(b'f', kind::RESET);
            mux.add(b'm', if cut { kind::SHORT_RESET } else { kind::RESET });
        }
        (_, Gone::No, _) => {}
    }
    [Some(conn), Some(mux), None, None, None, None, None]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(f: &Facts<'_>) -> String {
        String::from_utf8(text(f)).unwrap()
    }

    /// As 3.5 prints them.
    #[test]
    fn events_of_streams() {
        let mut f = Facts::new();
        assert_eq!(shown(&f), "{,-,-,-,-,-,-}");
        f.stream = true;
        assert_eq!(shown(&f), "{,,,,,-,-}");
        f.http = true;
        f.ends.over = true;
        f.ends.client_stays = true;
        f.termination = *b"PR--";
        assert_eq!(shown(&f), "{,,e1,s8S1s1,,-,-}");
        (f.server_link.error, f.termination) = (Some(47), *b"SC--");
        assert_eq!(shown(&f), "{,,e1,S1s1,,,F7}");
        (f.server_link.error, f.timers.connect, f.termination) = (Some(0), 0, *b"SH--");
        f.server_link.gone = Gone::Finished;
        assert_eq!(shown(&f), "{,,e1,S5s1,E5E1,M5M1,F2F1}");
        f.server_link.gone = Gone::Reset;
        assert_eq!(shown(&f), "{,,e1,S5s1,E6E1,M6M1,F3}");
        (f.server_link.gone, f.termination) = (Gone::No, *b"CH--");
        (f.ends.client, f.ends.client_stays) = (Gone::Finished, false);
        assert_eq!(shown(&f), "{f2f1,m2m1,e2e1,s2S1s1,E1,M1,F1}");
        (f.ends.client, f.ends.cut) = (Gone::Reset, true);
        assert_eq!(shown(&f), "{f3,m6m1,e6e1,s5s1S1,E1,M1,F1}");
        (f.http, f.termination) = (false, *b"----");
        assert_eq!(shown(&f), "{f2f1,m2m1,e1,s2S1S2s1,E1,M1M2M1,F1F2}");
        f.ends.server_first = true;
        assert_eq!(shown(&f), "{f1f2,m1m2m1,e1,S2s1s2S1,E1,M2M1,F2F1}");
    }
}
