//! One TLS connection without its socket: who owns it brings the network's bytes and takes them away.
//!
//! A connection that rests holds what rustls keeps of it and nothing else: bytes are worked on in buffers that belong to
//! the thread, and only what cannot go on yet stays with the connection.

mod forward;
mod handed;
mod outgoing;
mod parted;
mod refusal;
mod updates;

pub use parted::Parted;

use crate::acceptor::{Acceptor, Choice, set_chosen};
use crate::ahead;
use crate::connector::{Connector, Offer};
use crate::ecdsa;
use crate::errors;
use crate::hello::{Seen, look};
use crate::info::Info;
use crate::kernel::Kernel;
use crate::names;
use crate::odd_name::{self, Name};
use crate::secrets::{self, SessionId};
use crate::verify::{set_expected, take_refused, take_verdict};
use outgoing::Outgoing;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, ReadEarlyData, TransmitTlsData,
    UnbufferedStatus,
};
use rustls::{CommonState, Error, HandshakeKind, PeerIncompatible};
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;
use updates::Updates;

/// Most payload of a record.
const RECORD: usize = 16384;
/// Records that are made at once.
const AT_ONCE: usize = 4;
/// A client that sends more before its ClientHello is complete sends none.
const MAX_HELLO: usize = 70_000;

enum Side {
    /// No ClientHello yet.
    Listening(Arc<Acceptor>),
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
    /// The kernel makes its records.
    Kernel(Box<Kernel>),
    /// The library gave it up on its way to the kernel.
    Lost,
}

/// Where a handshake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is done.
    Done,
    /// More is needed of the peer.
    More,
}

/// What became of bytes that were brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is left to be done with them.
    More,
    /// There is plaintext.
    Data,
    /// There is plaintext that came before the handshake was done.
    Early,
    /// More is needed of the peer, and early data may be sent.
    Ahead,
    /// The peer has said that it sends no more.
    Closed,
}

/// A TLS connection.
pub struct Stream {
    side: Side,
    /// What the server shows while it shakes hands.
    choice: Option<Box<Choice>>,
    /// Bytes of the network that were not worked on yet, or not completely.
    incoming: Vec<u8>,
    /// `incoming` may hold complete records.
    unread: bool,
    /// Plaintext that nobody took yet, from `plain_at` on.
    plain: Vec<u8>,
    plain_at: usize,
    /// Bytes for the network.
    out: Outgoing,
    /// Records in `out`: where each ends, and how much payload it holds.
    records: [(u32, u32); AT_ONCE],
    record_count: u8,
    ended: bool,
    failed: bool,
    close_sent: bool,
    /// `ktls on`, and the kernel was not asked yet.
    to_kernel: bool,
    info: Option<Rc<Info>>,
    records_limit: Records,
    /// Early data came, and the handshake is not done yet.
    early: Option<Arc<AtomicBool>>,
    /// Early data may be sent, or was, and the server has not said what it thinks of it.
    ahead: Option<Arc<ahead::Shared>>,
    /// Payload that was sent since something came last.
    burst: u32,
    /// The peer's key updates, once there was one.
    updates: Option<Box<Updates>>,
}

/// How large records may be, and how often a peer may change their keys; 0: as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// `tune.ssl.maxrecord`
    pub start: usize,
    /// `tune.ssl.hard-maxrecord`
    pub hard: usize,
    /// `tune.ssl.keyupdate-rate-limit`, a second
    pub updates: u32,
}

/// So much is sent in small records before larger ones come.
const BURST: u32 = 65_536;

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({:?})", self.info)
    }
}

/// What one look at incoming bytes came to.
struct Turn {
    discard: usize,
    /// Records with data that look like key updates from outside.
    alike: u32,
    /// What is to be sent has the end of early data in it: the server has taken that.
    early_over: bool,
    step: Result<Option<Step>, Error>,
}

/// What differs between the two sides of a connection.
trait Role: Sized {
    /// Takes early data, which only a server is sent.
    fn early(_: ReadEarlyData<'_, '_, Self>, _: &mut Vec<u8>) {}
    /// May early data be sent, which only a client can?
    fn may_send_early(_: &mut TransmitTlsData<'_, Self>) -> bool {
        false
    }
}

impl Role for ServerConnectionData {
    fn early(mut data: ReadEarlyData<'_, '_, Self>, plain: &mut Vec<u8>) {
        while let Some(Ok(record)) = data.next_record() {
            plain.extend_from_slice(record.payload);
        }
    }
}

impl Role for ClientConnectionData {
    fn may_send_early(data: &mut TransmitTlsData<'_, Self>) -> bool {
        data.may_encrypt_early_data().is_some()
    }
}

/// One state of rustls: what is to be sent goes to `out`, what was received to `plain`.
fn turn<D: Role>(status: UnbufferedStatus<'_, '_, D>, (out, plain): (&mut Outgoing, &mut Vec<u8>)) -> Turn {
    let UnbufferedStatus { discard, state } = status;
    let (mut alike, mut early_over) = (0, false);
    let step = match state {
        Err(e) => Err(e),
        Ok(ConnectionState::ReadEarlyData(data)) => {
            D::early(data, plain);
            Ok(if plain.is_empty() { None } else { Some(Step::Early) })
        }
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            while let Some(Ok(record)) = traffic.next_record() {
                alike += u32::from(record.payload.len() == updates::ALIKE);
                plain.extend_from_slice(record.payload);
            }
            Ok(if plain.is_empty() { None } else { Some(Step::Data) })
        }
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
                data.encode(&mut [])
            {
                let room = out.room(required_size);
                if let Ok(written) = data.encode(room) {
                    early_over = ahead::is_over(room.get(..written).unwrap_or(&[]));
                    out.wrote(written);
                }
            }
            Ok(None)
        }
        Ok(ConnectionState::TransmitTlsData(mut data)) => {
            // the library waits here as long as early data may follow
            if D::may_send_early(&mut data) {
                Ok(Some(Step::Ahead))
            } else {
                data.done();
                Ok(None)
            }
        }
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Some(Step::Closed)),
        Ok(_) => Ok(Some(Step::More)),
    };
    Turn { discard, alike, early_over, step }
}

impl Stream {
    fn new(side: Side) -> Self {
        Self {
            side,
            choice: None,
            incoming: Vec::new(),
            unread: false,
            plain: Vec::new(),
            plain_at: 0,
            out: Outgoing::default(),
            records: [(0, 0); AT_ONCE],
            record_count: 0,
            ended: false,
            failed: false,
            close_sent: false,
            to_kernel: false,
            info: None,
            records_limit: Records::default(),
            early: None,
            ahead: None,
            burst: 0,
            updates: None,
        }
    }

    /// The server's side of a connection whose first bytes may have come already.
    #[must_use]
    pub fn accept(acceptor: &Arc<Acceptor>, first: &[u8]) -> Self {
        let mut new = Self::new(Side::Listening(acceptor.clone()));
        new.info = Some(Rc::default());
        new.records_limit = acceptor.records;
        new.incoming.extend_from_slice(first);
        new.unread = !first.is_empty();
        new
    }

    /// The client's side.
    ///
    /// # Errors
    /// The library's.
    pub fn connect(connector: &Connector, name: Option<&str>) -> Result<Self, Error> {
        Self::connect_offering(connector, name, Offer::All)
    }

    /// Likewise, with another offer of protocols.
    ///
    /// # Errors
    /// When the library cannot make one.
    pub fn connect_offering(connector: &Connector, name: Option<&str>, offer: Offer) -> Result<Self, Error> {
        let mut new = Self::client(connector, name, connector.connect(name, offer)?);
        new.to_kernel = connector.to_kernel;
        Ok(new)
    }

    fn client(connector: &Connector, name: Option<&str>, connection: UnbufferedClientConnection) -> Self {
        let mut new = Self::new(Side::Client(Box::new(connection)));
        new.info = Some(Rc::new(Info { sni: name.map(Into::into), ..Info::default() }));
        new.records_limit = connector.records;
        new.unread = true;
        new
    }

    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> Option<&Rc<Info>> {
        self.info.as_ref()
    }

    fn common(&self) -> Option<&CommonState> {
        match &self.side {
            Side::Listening(_) | Side::Kernel(_) | Side::Lost => None,
            Side::Server(c) => Some(c),
            Side::Client(c) => Some(c),
        }
    }

    /// Is the handshake not done yet?
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Kernel(_) | Side::Lost => false,
            _ => self.common().is_none_or(CommonState::is_handshaking),
        }
    }

    /// Has the peer ended, or the connection failed?
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended || self.failed
    }

    /// The network's end has come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Bytes that came, behind those that are here already. They are worked on in `bytes`; what is left stays.
    ///
    /// # Errors
    /// The peer did something that cannot be answered; an alert for it waits to be sent.
    pub fn bring(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let result = self.work(bytes);
        self.incoming = if bytes.is_empty() { Vec::new() } else { bytes.as_slice().to_vec() };
        result
    }

    /// Takes what is left of earlier bytes to the front of `bytes`, which is empty.
    pub fn take_left(&mut self, bytes: &mut Vec<u8>) {
        bytes.append(&mut self.incoming);
        self.incoming = Vec::new();
    }

    /// Puts it back: nothing came.
    pub fn put_back(&mut self, bytes: &mut Vec<u8>) {
        self.incoming = if bytes.is_empty() { Vec::new() } else { bytes.as_slice().to_vec() };
        bytes.clear();
    }

    /// May what is here already be enough to go on?
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.unread
    }

    fn work(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        if self.failed {
            // the library must not see a connection again that it has given up; it does not look like one that has ended
            bytes.clear();
            return Err(Error::DecryptError);
        }
        if let Side::Listening(acceptor) = &self.side {
            let hello = match look(bytes) {
                Seen::There(hello) => hello,
                Seen::Short if bytes.len() <= MAX_HELLO => {
                    self.unread = false;
                    return Ok(());
                }
                _ => {
                    self.failed = true;
                    let (alert, number) = refusal::no_hello(bytes);
                    alert.inspect(|record| self.out.replace(record));
                    self.note_error(number);
                    return Err(Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
                }
            };
            let choice = acceptor.choose(&hello);
            let kept = Some(acceptor.capture).filter(|room| *room > 0).and_then(|room| hello.kept(room));
            let random = hello.random;
            let refused = match Name::of(&hello) {
                Name::Bad => Some(refusal::no_name()),
                _ => refusal::too_old(hello.newest()).filter(|_| choice.certificate.is_some()),
            };
            self.info = Some(Rc::new(Info {
                sni: hello.sni,
                hello: kept,
                randoms: [random, None],
                ..Info::default()
            }));
            if let Some((record, number)) = refused {
                self.failed = true;
                self.out.replace(&record);
                self.note_error(number);
                return Err(PeerIncompatible::Tls12NotOffered.into());
            }
            self.to_kernel = choice.config.enable_secret_extraction;
            self.side = Side::Server(Box::new(UnbufferedServerConnection::new(choice.config.clone())?));
            self.choice = Some(Box::new(choice));
        }
        if let Some(choice) = &self.choice {
            set_chosen(choice);
            odd_name::set(choice.odd.as_deref());
            if let Some(odd) = &choice.odd {
                odd.show(bytes);
            }
        } else if let Side::Client(client) = &self.side
            && client.is_handshaking()
        {
            let known = client.protocol_version().map(|v| v == rustls::ProtocolVersion::TLSv1_3);
            ecdsa::set_v13(known.unwrap_or_else(|| secrets::is_v13(bytes)));
            set_expected(self.info.as_ref().and_then(|i| i.sni.as_deref()));
        }
        let (established, mut alike) = (!self.is_handshaking(), 0);
        let (mut waits_ahead, mut taken) = (false, false);
        let mut at = 0;
        let mut result = loop {
            let rest = bytes.get_mut(at..).unwrap_or(&mut []);
            let Turn { discard, alike: data, early_over, step } = match &mut self.side {
                Side::Server(c) => turn(c.process_tls_records(rest), (&mut self.out, &mut self.plain)),
                Side::Client(c) => turn(c.process_tls_records(rest), (&mut self.out, &mut self.plain)),
                Side::Listening(_) | Side::Kernel(_) | Side::Lost => break Ok(()),
            };
            at += discard;
            alike += data;
            taken |= early_over;
            match step {
                Ok(None) => {}
                Ok(Some(step @ (Step::Data | Step::Early))) => {
                    if step == Step::Early && self.early.is_none() {
                        let early = Arc::new(AtomicBool::new(true));
                        self.early = Some(early.clone());
                        Rc::make_mut(self.info.get_or_insert_default()).early = Some(early);
                    }
                    self.unread = true;
                    break Ok(());
                }
                Ok(Some(step)) => {
                    self.ended |= step == Step::Closed;
                    waits_ahead = step == Step::Ahead;
                    self.unread = false;
                    break Ok(());
                }
                Err(e) => {
                    (self.failed, self.unread) = (true, true);
                    let nobody = self.choice.as_ref().is_some_and(|c| c.certificate.is_none());
                    self.note_error(match &e {
                        Error::PeerIncompatible(_) if nobody => errors::LIBRARY | errors::CALLBACK_FAILED,
                        e => errors::number(e),
                    });
                    self.alert(bytes.get_mut(at..).unwrap_or(&mut []));
                    self.refuse(&e);
                    // a handshake that was done first is told of first
                    break if established || self.is_handshaking() { Err(e) } else { Ok(()) };
                }
            }
        };
        if self.early.is_some() && !self.is_handshaking() {
            // whoever has looked at it sees it too
            self.early.take().inspect(|early| early.store(false, Relaxed));
        }
        self.note_randoms(bytes);
        if established {
            let taken = updates::alike(bytes.get(..at).unwrap_or(bytes));
            if taken > alike && self.updated(taken - alike) && result.is_ok() {
                (self.failed, self.unread) = (true, true);
                self.plain.clear();
                self.info.get_or_insert_default().flooded.set(true);
                result = Err(Error::General("too many key updates".to_owned()));
            }
        }
        bytes.drain(..at.min(bytes.len()));
        let logged = secrets::take();
        if !logged.is_empty() {
            Rc::make_mut(self.info.get_or_insert_default()).secrets.extend(logged);
        }
        if let Some(verdict) = take_verdict() {
            let info = Rc::make_mut(self.info.get_or_insert_default());
            info.verdict = verdict;
            info.peer = take_refused();
        }
        match waits_ahead {
            true => self.go_ahead(),
            false if self.ahead.is_some() => result = result.and(self.answered(taken)),
            false => {}
        }
        result
    }

    /// This ends it.
    fn note_error(&mut self, number: u32) {
        self.info.get_or_insert_default().error.set(number);
    }

    /// So many records came that may be key updates. Were there too many?
    fn updated(&mut self, records: u32) -> bool {
        let limit = self.records_limit.updates;
        let v13 =
            self.common().and_then(CommonState::protocol_version) == Some(rustls::ProtocolVersion::TLSv1_3);
        if limit == 0 || !v13 {
            return false;
        }
        let now = Instant::now();
        self.updates.get_or_insert_with(|| Box::new(Updates::new(now))).add(records, limit, now)
    }

    /// Keeps the random numbers of hellos that have just come, or are about to be sent.
    fn note_randoms(&mut self, incoming: &[u8]) {
        let Some(info) = self.info.as_ref().filter(|i| i.randoms[1].is_none()) else { return };
        let found = match &self.side {
            Side::Listening(_) | Side::Kernel(_) | Side::Lost => return,
            Side::Server(_) => [info.randoms[0], secrets::random(self.waiting(), 2)],
            Side::Client(_) => {
                [info.randoms[0].or_else(|| secrets::random(self.waiting(), 1)), secrets::random(incoming, 2)]
            }
        };
        if found == info.randoms {
            return;
        }
        let session = match &self.side {
            Side::Server(_) => SessionId::of(self.waiting()),
            _ => SessionId::of(incoming),
        };
        let info = Rc::make_mut(self.info.get_or_insert_default());
        info.randoms = found;
        if found[1].is_some() {
            info.session = session;
        }
    }

    /// An alert that the library wants to be sent. The library remembers where in `rest` messages are that it has not
    /// looked at: it has to see the same bytes.
    fn alert(&mut self, rest: &mut [u8]) {
        let mut at = 0;
        for _ in 0..4 {
            let rest = rest.get_mut(at..).unwrap_or(&mut []);
            let Turn { step, discard, .. } = match &mut self.side {
                Side::Server(c) => turn(c.process_tls_records(rest), (&mut self.out, &mut self.plain)),
                Side::Client(c) => turn(c.process_tls_records(rest), (&mut self.out, &mut self.plain)),
                Side::Listening(_) | Side::Kernel(_) | Side::Lost => return,
            };
            at += discard;
            // one alert is all that comes after an error
            if !matches!(step, Ok(None)) || !self.out.is_empty() {
                return;
            }
        }
    }

    /// Puts the alert there that HAProxy's clients know, where that is another one.
    fn refuse(&mut self, error: &Error) {
        let Side::Server(server) = &self.side else { return };
        let nobody = self.choice.as_ref().is_some_and(|c| c.certificate.is_none());
        if server.is_handshaking()
            && let Some(record) = refusal::instead(error, server.protocol_version(), nobody)
        {
            self.out.replace(&record);
        }
    }

    /// Is there plaintext to be taken?
    #[must_use]
    pub fn has_plain(&self) -> bool {
        self.plain_at < self.plain.len()
    }

    /// Moves plaintext to where it is wanted, up to `room` bytes.
    pub fn take_plain(&mut self, into: &mut Vec<u8>, room: usize) -> usize {
        self.burst = 0;
        let waiting = self.plain.get(self.plain_at..).unwrap_or(&[]);
        let part = waiting.get(..room.min(waiting.len())).unwrap_or(waiting);
        into.extend_from_slice(part);
        let n = part.len();
        self.plain_at += n;
        if self.plain_at == self.plain.len() {
            self.plain.clear();
            self.plain_at = 0;
        }
        n
    }

    /// Lends a buffer for plaintext, so that no memory is asked for where all of it is taken at once.
    pub fn lend_plain(&mut self, buffer: Vec<u8>) {
        if self.plain.is_empty() {
            self.plain = buffer;
        }
    }

    /// Takes the buffer back; what nobody took stays here in memory of its own.
    pub fn plain_back(&mut self) -> Vec<u8> {
        let left = self.plain.get(self.plain_at..).unwrap_or(&[]).to_vec();
        self.plain_at = 0;
        let mut buffer = std::mem::replace(&mut self.plain, left);
        buffer.clear();
        buffer
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> &[u8] {
        self.out.waiting()
    }

    /// So many of them were sent.
    pub fn sent(&mut self, n: usize) {
        if self.out.sent(n) {
            for r in &mut self.records {
                r.0 = 0;
            }
        }
    }

    /// Lends a buffer to make records in.
    pub fn lend_out(&mut self, buffer: Vec<u8>) {
        self.out.lend(buffer);
    }

    /// Takes the buffer back, if all of it was sent; what was not stays here in memory of its own.
    pub fn out_back(&mut self) -> Vec<u8> {
        let gone = self.out.gone() as u32;
        if !self.out.is_empty() {
            for r in self.records.iter_mut() {
                r.0 = r.0.saturating_sub(gone);
            }
        }
        self.out.back()
    }

    /// Payload of records that were sent completely since the last call.
    pub fn confirmed(&mut self) -> usize {
        let sent = if self.out.is_empty() { u32::MAX } else { self.out.gone() as u32 };
        let count = usize::from(self.record_count);
        let records = self.records.get(..count).unwrap_or(&[]);
        let done = records.iter().take_while(|(end, _)| *end <= sent).count();
        let bytes: u32 = records.iter().take(done).map(|(_, len)| *len).sum();
        self.records.rotate_left(done);
        self.record_count -= done as u8;
        bytes as usize
    }

    /// Most payload of the next record.
    fn record(&self) -> usize {
        match self.records_limit {
            Records { start, .. } if start > 0 && self.burst < BURST => start.min(RECORD),
            Records { hard, .. } if hard > 0 => hard.min(RECORD),
            _ => RECORD,
        }
    }

    /// Payload that was made records of and is not confirmed yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        let count = usize::from(self.record_count);
        self.records.iter().take(count).map(|(_, len)| *len as usize).sum()
    }

    /// Makes records of what is to be sent, up to four. They wait to be sent then.
    ///
    /// # Errors
    /// The connection is closed, or its keys are used up.
    pub fn seal(&mut self, slices: &[IoSlice<'_>], staging: &mut Vec<u8>) -> Result<(), Error> {
        if self.ahead.is_some() {
            return self.seal_ahead(slices, staging);
        }
        let mut at = (0, 0);
        while usize::from(self.record_count) < AT_ONCE {
            let Some(first) = slices.get(at.0) else { break };
            let rest = first.get(at.1..).unwrap_or(&[]);
            let record = self.record();
            if rest.len() >= record || (at.0 + 1 == slices.len() && !rest.is_empty()) {
                let part = rest.get(..record).unwrap_or(rest);
                self.seal_one(part)?;
                at.1 += part.len();
                continue;
            }
            staging.clear();
            while let Some(slice) = slices.get(at.0)
                && staging.len() < record
            {
                let rest = slice.get(at.1..).unwrap_or(&[]);
                let part = rest.get(..record - staging.len()).unwrap_or(rest);
                staging.extend_from_slice(part);
                at.1 += part.len();
                if at.1 >= slice.len() {
                    at = (at.0 + 1, 0);
                }
            }
            if staging.is_empty() {
                break;
            }
            self.seal_one(staging)?;
        }
        Ok(())
    }

    fn seal_one(&mut self, part: &[u8]) -> Result<(), Error> {
        self.write(part.len() + 64, |traffic, room| traffic(room, Some(part)))?;
        self.sealed(part.len());
        Ok(())
    }

    /// A record with so much payload stands at the end of what waits.
    fn sealed(&mut self, payload: usize) {
        if let Some(r) = self.records.get_mut(usize::from(self.record_count)) {
            *r = (self.out.end() as u32, payload as u32);
            self.record_count += 1;
            self.burst = self.burst.saturating_add(payload as u32);
        }
    }

    /// Tells the peer that nothing more comes; the alert waits to be sent.
    pub fn close(&mut self) {
        let established = !self.is_handshaking() || self.early.is_some();
        let kernels = matches!(self.side, Side::Kernel(_));
        if !kernels && !std::mem::replace(&mut self.close_sent, true) && established && !self.failed {
            let _ = self.write(64, |traffic, room| traffic(room, None));
        }
    }

    /// Writes something of the application's at the end of `out`: `call` is given the way to do it and the room.
    fn write(
        &mut self,
        need: usize,
        mut call: impl FnMut(
            &mut dyn FnMut(&mut [u8], Option<&[u8]>) -> Result<usize, EncryptError>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), Error> {
        let mut need = need;
        if self.failed {
            return Err(Error::HandshakeNotComplete);
        }
        // tickets and answers to key updates come first
        for _ in 0..64 {
            // the library remembers where in them messages are: it has to see the same bytes
            let mut incoming = std::mem::take(&mut self.incoming);
            let mut done = None;
            macro_rules! side {
                ($conn:expr) => {{
                    let UnbufferedStatus { state, discard } = $conn.process_tls_records(&mut incoming);
                    match state {
                        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                            let room = self.out.room(need);
                            let written = call(
                                &mut |room, data| match data {
                                    Some(data) => traffic.encrypt(data, room),
                                    None => traffic.queue_close_notify(room),
                                },
                                room,
                            );
                            match written {
                                Ok(n) => {
                                    self.out.wrote(n);
                                    done = Some(Ok(()));
                                }
                                Err(EncryptError::InsufficientSize(InsufficientSizeError {
                                    required_size,
                                })) => need = required_size,
                                Err(_) => done = Some(Err(Error::EncryptError)),
                            }
                        }
                        other => {
                            let status = UnbufferedStatus { discard, state: other };
                            let step = turn(status, (&mut self.out, &mut self.plain)).step;
                            match step {
                                Ok(step) => self.ended |= step == Some(Step::Closed),
                                Err(e) => {
                                    (self.failed, self.unread) = (true, true);
                                    done = Some(Err(e));
                                }
                            }
                            incoming.drain(..discard.min(incoming.len()));
                        }
                    }
                }};
            }
            match &mut self.side {
                Side::Server(c) => side!(c),
                Side::Client(c) => side!(c),
                Side::Listening(_) | Side::Kernel(_) | Side::Lost => return Err(Error::HandshakeNotComplete),
            }
            self.incoming = incoming;
            if let Some(result) = done {
                return result;
            }
        }
        Err(Error::HandshakeNotComplete)
    }

    /// Where the handshake stands; once it is done, what is known of the connection is written down. A client that may send early
    /// data is done with its first flight.
    pub fn progress(&mut self) -> Progress {
        if self.ahead.is_some() {
            return Progress::Done;
        }
        // a request may come before the handshake is done, if its protocol is known
        let early = self.early.is_some()
            && self.has_plain()
            && self.common().is_some_and(|c| c.alpn_protocol().is_some());
        if self.is_handshaking() && !early {
            return Progress::More;
        }
        self.remember();
        self.choice = None;
        Progress::Done
    }

    /// Writes down what a handshake has come to, whether it is done or not.
    pub fn remember(&mut self) {
        let mut info = self.info.take().unwrap_or_default();
        let i = Rc::make_mut(&mut info);
        if let Some(choice) = &self.choice {
            i.own = choice.certificate.as_ref().map(|c| c.answers().clone());
            i.own_name.clone_from(&choice.name);
            i.stapled = choice.status && i.own.as_ref().is_some_and(|own| own.ocsp.is_some());
        }
        let clients = self.choice.as_ref().and_then(|c| c.clients.as_ref());
        if let Some(c) = self.common() {
            i.version = match c.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "",
            };
            if let Some(suite) = c.negotiated_cipher_suite() {
                (i.cipher, i.key_size) = names::cipher(suite.suite());
            }
            i.group = c.negotiated_key_exchange_group().map_or("", |g| names::group(g.name()));
            i.alpn = c.alpn_protocol().map(Into::into);
            i.resumed = c.handshake_kind() == Some(HandshakeKind::Resumed);
            if let Some(peer) = c.peer_certificates() {
                i.peer = peer.to_vec();
            }
            i.complete = !c.is_handshaking() || i.early.is_some();
            if !i.complete && i.version != "TLSv1.3" {
                // its keys are not in use
                (i.cipher, i.key_size) = ("(NONE)", 0);
            }
            i.peer_shown = !i.resumed && !i.peer.is_empty();
            i.stapled &= !i.resumed;
            if let Some(clients) = clients.filter(|_| i.resumed && !i.peer.is_empty()) {
                // the certificate of the session is looked at again: it may have expired or been revoked
                i.verdict = clients.judge_again(&i.peer);
            }
        }
        self.info = Some(info);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{BindTls, Entry, GlobalTls, ServerTls, Verify};
    use crate::store::{Parts, Store, build};
    use crate::{acceptor, connector};

    const PEM: &[u8] = include_bytes!("../tests/self_signed.pem");

    fn pair() -> (Stream, Stream) {
        let (client, server, _) = shaken(&GlobalTls::default(), PEM);
        (client, server)
    }

    /// Two ends that have shaken hands, and how many bytes the server has sent for it.
    fn shaken(global: &GlobalTls, pem: &[u8]) -> (Stream, Stream, usize) {
        let certificate =
            build("x", &Parts { pem: pem.to_vec(), ..Parts::default() }, &mut Default::default()).unwrap();
        let slot = Store::default().insert("x", certificate);
        let entry = Entry { slot, filters: Vec::new(), conf: None, default: true, origin: None };
        let bind = BindTls { ssl: true, entries: vec![entry], ..BindTls::default() };
        let cache = acceptor::cache(global);
        let acceptor = acceptor::compile(global, &bind, &cache, ("x", true), &mut |_| {}).unwrap();
        let mut server = ServerTls { ssl: true, ..ServerTls::default() };
        server.conf.verify = Some(Verify::None);
        let to = connector::compile(global, &server).unwrap();
        let mut client = Stream::connect(&to, Some("x")).unwrap();
        let mut server = Stream::accept(&Arc::new(acceptor), &[]);
        bring(&mut client, &[]).unwrap();
        let mut sent = 0;
        for _ in 0..4 {
            pass(&mut client, &mut server).unwrap();
            sent += server.waiting().len();
            pass(&mut server, &mut client).unwrap();
        }
        assert_eq!((client.progress(), server.progress()), (Progress::Done, Progress::Done));
        (client, server, sent)
    }

    /// A peer may change its keys so often, and no more; small records of data are none of them.
    #[test]
    fn key_updates_are_counted() {
        let global = GlobalTls { key_updates: Some(5), ..GlobalTls::default() };
        let (mut client, mut server, _) = shaken(&global, PEM);
        let mut plain = Vec::new();
        let mut send = |client: &mut Stream, server: &mut Stream, update: bool| {
            if update {
                let Side::Client(c) = &mut client.side else { panic!("no client") };
                let UnbufferedStatus { state, .. } = c.process_tls_records(&mut []);
                let Ok(ConnectionState::WriteTraffic(traffic)) = state else { panic!("cannot write") };
                traffic.refresh_traffic_keys().unwrap();
            }
            client.seal(&[IoSlice::new(b"12345")], &mut Vec::new()).unwrap();
            let done = pass(client, server);
            server.take_plain(&mut plain, 100);
            done
        };
        for _ in 0..20 {
            send(&mut client, &mut server, false).unwrap();
        }
        for _ in 0..5 {
            send(&mut client, &mut server, true).unwrap();
        }
        assert!(!server.is_over());
        assert!(send(&mut client, &mut server, true).is_err());
        assert!(server.is_over() && server.info().is_some_and(|i| i.flooded.get()));
    }

    /// A chain that can be compressed is, unless the configuration says no, and comes as it is (RFC 8879).
    #[test]
    fn certificates_are_compressed() {
        let pem = PEM.repeat(4);
        let off = GlobalTls { no_compression: true, ..GlobalTls::default() };
        let (client, _, plain) = shaken(&off, &pem);
        assert_eq!(client.info().unwrap().peer.len(), 4);
        for _ in 0..2 {
            let (client, _, short) = shaken(&GlobalTls::default(), &pem);
            assert_eq!(client.info().unwrap().peer.len(), 4);
            assert!(short + 500 < plain, "{short} of {plain}");
        }
    }

    fn bring(to: &mut Stream, bytes: &[u8]) -> Result<(), Error> {
        let mut buffer = Vec::new();
        to.take_left(&mut buffer);
        buffer.extend_from_slice(bytes);
        to.bring(&mut buffer)?;
        while to.is_unread() && !to.has_plain() {
            let mut buffer = Vec::new();
            to.take_left(&mut buffer);
            to.bring(&mut buffer)?;
        }
        Ok(())
    }

    fn pass(from: &mut Stream, to: &mut Stream) -> Result<(), Error> {
        let bytes = from.waiting().to_vec();
        from.sent(bytes.len());
        from.confirmed();
        bring(to, &bytes)
    }

    /// What comes behind a record that is not the peer's is not looked at, and the connection does not look ended.
    #[test]
    fn a_failed_connection_stays_so() {
        let (mut client, mut server) = pair();
        client.seal(&[IoSlice::new(b"good")], &mut Vec::new()).unwrap();
        let mut bytes = client.waiting().to_vec();
        bytes.extend([23, 3, 3, 0, 19]);
        bytes.extend([7; 19]);
        bytes.extend([7; 100]);
        let mut plain = Vec::new();
        bring(&mut server, &bytes).unwrap();
        server.take_plain(&mut plain, 100);
        assert_eq!(plain, b"good");
        // who has looked before sees it
        let seen = server.info().cloned().unwrap();
        assert_eq!(seen.error.get(), 0);
        for _ in 0..3 {
            assert!(server.is_unread());
            assert!(bring(&mut server, &[7; 100]).is_err());
        }
        assert_eq!(
            errors::text(seen.error.get()),
            "error:0A000119:SSL routines::decryption failed or bad record mac"
        );
        assert!(server.seal(&[IoSlice::new(b"x")], &mut Vec::new()).is_err());
        assert!(!server.has_plain() && server.is_over());
        assert!(server.incoming.is_empty());
    }
}
