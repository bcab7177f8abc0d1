//! Early data to a server: sent behind the ClientHello, before anything is known of the server but an earlier session.

use super::{RECORD, Side, Stream};
use crate::ahead::{Ahead, OVERHEAD, Shared};
use crate::connector::{Connector, Offer};
use rustls::Error;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;

impl Stream {
    /// The client's side, with early data if there is a session that allows it. Such a connection never becomes the kernel's.
    ///
    /// # Errors
    /// When the library cannot make one.
    pub fn connect_early(connector: &Connector, name: Option<&str>, offer: Offer) -> Result<Self, Error> {
        Ok(Self::client(connector, name, connector.connect_early(name, offer)?))
    }

    /// Has the server not said yet what it thinks of early data?
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Likewise, and no more early data may be sent: what is to be sent has to wait for the server.
    #[must_use]
    pub fn waits_for_server(&self) -> bool {
        self.pending() == 0 && self.ahead.as_ref().is_some_and(|a| a.get() == Ahead::Full)
    }

    /// The library waits for the server, and takes early data meanwhile.
    pub(super) fn go_ahead(&mut self) {
        if self.ahead.is_none() {
            let ahead = Arc::new(Shared::new());
            Rc::make_mut(self.info.get_or_insert_default()).ahead = Some(ahead.clone());
            self.ahead = Some(ahead);
        }
    }

    /// The server has answered: it takes early data, or not.
    ///
    /// # Errors
    /// It does not. What was sent is lost, and the connection with it: its user has to know.
    pub(super) fn answered(&mut self, taken: bool) -> Result<(), Error> {
        let Some(ahead) = self.ahead.take() else { return Ok(()) };
        if taken {
            ahead.set(Ahead::Taken);
            self.remember();
            return Ok(());
        }
        ahead.set(Ahead::Refused);
        (self.failed, self.unread) = (true, true);
        self.plain.clear();
        Err(Error::General("early data was refused".to_owned()))
    }

    /// Makes a record of early data of what is to be sent, or of as much as the session allows.
    pub(super) fn seal_ahead(&mut self, slices: &[IoSlice<'_>], staging: &mut Vec<u8>) -> Result<(), Error> {
        let Side::Client(client) = &mut self.side else { return Err(Error::HandshakeNotComplete) };
        staging.clear();
        for slice in slices {
            staging.extend_from_slice(slice.get(..slice.len().min(RECORD - staging.len())).unwrap_or(slice));
        }
        // the library remembers where in them messages are: it has to see the same bytes
        let UnbufferedStatus { state, discard } = client.process_tls_records(&mut self.incoming);
        let Ok(ConnectionState::TransmitTlsData(mut data)) = state else {
            return Err(Error::HandshakeNotComplete);
        };
        let Some(mut early) = data.may_encrypt_early_data() else { return Err(Error::HandshakeNotComplete) };
        let room = self.out.room(staging.len() + 64);
        let written = early.encrypt(staging, room).map_err(|_| Error::EncryptError)?;
        self.out.wrote(written);
        self.incoming.drain(..discard.min(self.incoming.len()));
        let payload = written.saturating_sub(OVERHEAD);
        if payload > 0 {
            self.sealed(payload);
        }
        if payload < staging.len()
            && let Some(ahead) = &self.ahead
        {
            ahead.set(Ahead::Full);
        }
        Ok(())
    }
}
