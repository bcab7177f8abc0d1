//! A TLS connection on its way to the kernel, and what is left of it here.

use super::{Side, Stream, turn};
use crate::errors;
use crate::kernel::{Kernel, Keys, Kind};
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{Error, ExtractedSecrets};

impl Stream {
    /// What the kernel has to know to get this connection, at a moment when it can be had: the handshake is done, and no byte of
    /// the network waits here.
    #[must_use]
    pub fn for_kernel(&mut self) -> Option<Kind> {
        let begun = !self.to_kernel || self.is_handshaking() || self.early.is_some() || self.choice.is_some();
        if begun || self.is_over() || self.close_sent || !self.incoming.is_empty() || self.pending() > 0 {
            return None;
        }
        // tickets that wait in the library come out
        while self.out.is_empty() {
            let ready = match &mut self.side {
                Side::Server(c) => settle(c.process_tls_records(&mut []), |s| {
                    turn(s, (&mut self.out, &mut self.plain)).step.is_ok_and(|s| s.is_none())
                }),
                Side::Client(c) => settle(c.process_tls_records(&mut []), |s| {
                    turn(s, (&mut self.out, &mut self.plain)).step.is_ok_and(|s| s.is_none())
                }),
                _ => return None,
            };
            match ready {
                Settled::Ready => {
                    let kind = self.common().and_then(Kind::of);
                    self.to_kernel = kind.is_some();
                    return kind;
                }
                Settled::Turned => {}
                Settled::Never => return None,
            }
        }
        None
    }

    /// It stays here.
    pub fn keep_from_kernel(&mut self) {
        self.to_kernel = false;
    }

    /// Is it to be, or is it, the kernel's?
    #[must_use]
    pub fn may_be_kernels(&self) -> bool {
        self.to_kernel || self.is_kernels()
    }

    /// Does the kernel make its records?
    #[must_use]
    pub fn is_kernels(&self) -> bool {
        matches!(self.side, Side::Kernel(_))
    }

    /// Shall it be the kernel's as soon as it can?
    #[must_use]
    pub fn waits_for_kernel(&self) -> bool {
        self.to_kernel
    }

    /// Gives the connection away after [`Stream::for_kernel`]: the keys of what is sent, and of what is received.
    ///
    /// # Errors
    /// The library does not give them; the connection is lost.
    pub fn hand_over(&mut self, kind: Kind) -> Result<[Keys; 2], Error> {
        self.to_kernel = false;
        let suite =
            self.common().and_then(|c| c.negotiated_cipher_suite()).ok_or(Error::HandshakeNotComplete)?;
        let given = match std::mem::replace(&mut self.side, Side::Lost) {
            Side::Server(c) => c.dangerous_into_kernel_connection().map(without_tickets),
            Side::Client(c) => c.dangerous_into_kernel_connection().map(|(s, c)| (s, Some(c))),
            _ => Err(Error::HandshakeNotComplete),
        };
        let made = given.and_then(|(ExtractedSecrets { tx, rx }, tickets)| {
            let unknown = || Error::General("a cipher that the kernel does not know".to_owned());
            let keys = [kind.keys(tx, true).ok_or_else(unknown)?, kind.keys(rx, false).ok_or_else(unknown)?];
            Ok((keys, tickets))
        });
        match made {
            Ok((keys, tickets)) => {
                self.side = Side::Kernel(Box::new(Kernel::new(suite, tickets)));
                self.unread = false;
                Ok(keys)
            }
            Err(e) => {
                self.lose();
                Err(e)
            }
        }
    }

    /// The kernel did not take it.
    pub fn lose(&mut self) {
        (self.side, self.failed) = (Side::Lost, true);
    }

    /// The kernel took so much. False: its key is used up, and nothing more may be sent.
    pub fn spend(&mut self, bytes: usize) -> bool {
        let Side::Kernel(k) = &mut self.side else { return false };
        k.unconfirmed += bytes;
        k.spend(bytes)
    }

    /// What the kernel took, and nobody has been told that it is sent.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        match &self.side {
            Side::Kernel(k) => k.unconfirmed,
            _ => 0,
        }
    }

    /// That is sent now: how much it was.
    pub fn confirm(&mut self) -> usize {
        match &mut self.side {
            Side::Kernel(k) => std::mem::take(&mut k.unconfirmed),
            _ => 0,
        }
    }

    /// The kernel has a record that is none of data.
    ///
    /// # Errors
    /// The connection is over.
    pub fn control(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Error> {
        let Side::Kernel(k) = &mut self.side else { return Err(Error::HandshakeNotComplete) };
        match k.control(kind, bytes) {
            Ok(closed) => {
                self.ended |= closed;
                Ok(())
            }
            Err(e) => {
                self.failed = true;
                self.note_error(errors::number(&e));
                Err(e)
            }
        }
    }

    /// Is the kernel to send the alert that ends the connection? Once only.
    pub fn begin_close(&mut self) -> bool {
        self.is_kernels() && !self.failed && !std::mem::replace(&mut self.close_sent, true)
    }
}

/// How a connection stands that is to be given away.
enum Settled {
    Ready,
    /// Something was done first.
    Turned,
    Never,
}

fn settle<D>(
    status: UnbufferedStatus<'_, '_, D>,
    turn: impl FnOnce(UnbufferedStatus<'_, '_, D>) -> bool,
) -> Settled {
    match status.state {
        Ok(ConnectionState::WriteTraffic(_)) => Settled::Ready,
        _ if turn(status) => Settled::Turned,
        _ => Settled::Never,
    }
}

type Given<D> = (ExtractedSecrets, KernelConnection<D>);

/// A server is sent no tickets.
fn without_tickets(
    (secrets, _): Given<ServerConnectionData>,
) -> (ExtractedSecrets, Option<KernelConnection<ClientConnectionData>>) {
    (secrets, None)
}
