//! A PROXY header and TLS on a `stats socket` (manual section 3.1: all options of `bind`).

use crate::session;
use crate::socket::CliConfig;
use portcullis_config::rows::check_threads;
use portcullis_config::{Diagnostics, Model, Severity};
use portcullis_tls::acceptor::{self, Acceptor};
use portcullis_tls::settings::{BindTls, GlobalTls};
use portcullis_tls::stream::Stream;
use portcullis_transport::{Buffer, Conn};
use portcullis_wire::proxy_protocol::{self, Parsed};
use rustix::fd::OwnedFd;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// Most bytes that are read at once.
const READ: usize = 4096;

/// Makes the TLS of the sockets that have some, once all of `global` was read.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    if diags.has_bad_lines() {
        return;
    }
    let mut global = model.global.ext.get::<GlobalTls>().cloned().unwrap_or_default();
    // sessions are resumed by tickets: those who are asked rarely need not remember any
    global.cache_size = Some(0);
    let cache = acceptor::cache(&global);
    let Some(config) = model.global.ext.get::<CliConfig>() else { return };
    let mut made = Vec::new();
    for (number, bind) in config.sockets.iter().enumerate() {
        check_threads::of_bind(&model.global, bind, "frontend 'GLOBAL'", diags);
        let tls = bind.ext.get::<BindTls>().filter(|t| t.ssl);
        let file = diags.files.get(bind.place.file.0 as usize).cloned().unwrap_or_default();
        let here = format!("bind '{}' at [{file}:{}]", bind.text, bind.place.line);
        let tell = |text: &str| format!("Proxy 'GLOBAL': {}", text.replace("{}", &here));
        let acceptor = tls.map(|tls| {
            acceptor::compile(&global, tls, &cache, (&format!("GLOBAL {number}"), false), &mut |text| {
                diags.add(Severity::Warning, None, tell(&text));
            })
        });
        match acceptor.transpose() {
            Ok(acceptor) => made.push(acceptor.map(Arc::new)),
            Err(text) => {
                diags.add(Severity::Alert, None, tell(&text));
            }
        }
    }
    model.global.ext.entry::<CliConfig>().tls = made;
}

/// A connection that begins with a handshake, for those who read and write as Tokio has it.
pub struct Secure {
    conn: Conn,
    /// Decrypted bytes on their way.
    buffer: Buffer,
}

impl Secure {
    /// Takes a PROXY header off, if there must be one, and shakes hands with a client, if there is TLS. None: it cannot be
    /// done, or takes longer than `limit`.
    pub async fn accept(
        fd: OwnedFd,
        proxied: bool,
        acceptor: Option<&Arc<Acceptor>>,
        limit: Duration,
    ) -> Option<Self> {
        let mut shaken = Self { conn: Conn::new(fd), buffer: Buffer::with_capacity(READ) };
        let shakes = async {
            if proxied {
                shaken.proxy_header().await?;
            }
            if let Some(acceptor) = acceptor {
                let first = std::mem::replace(&mut shaken.buffer, Buffer::with_capacity(READ));
                shaken.conn.begin_tls(Stream::accept(acceptor, first.data()));
                poll_fn(|cx| shaken.conn.poll_handshake(cx)).await.ok()?;
            }
            Some(())
        };
        timeout(limit, shakes).await.ok()??;
        Some(shaken)
    }
    /// What does not begin with one is reset.
    async fn proxy_header(&mut self) -> Option<()> {
        let Self { conn, buffer } = self;
        loop {
            match proxy_protocol::parse(buffer.data()) {
                Ok(Parsed::Complete(header)) => {
                    let length = header.len;
                    buffer.consume(length);
                    return Some(());
                }
                Ok(Parsed::Partial) if !buffer.is_full() => {}
                _ => {
                    conn.reset_on_close();
                    return None;
                }
            }
            match poll_fn(|cx| conn.poll_recv(cx, buffer)).await {
                Ok(n) if n > 0 => {}
                _ => return None,
            }
        }
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.conn.say_goodbye();
    }
}

impl session::Stream for Secure {}

impl AsyncRead for Secure {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { conn, buffer } = self.get_mut();
        if buffer.is_empty() {
            buffer.clear();
            match conn.poll_recv(cx, buffer) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let n = buffer.len().min(into.remaining());
        into.put_slice(buffer.data().get(..n).unwrap_or_default());
        buffer.consume(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Secure {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.conn.poll_send(cx, &[IoSlice::new(bytes)], false)
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.conn.say_goodbye();
        self.conn.finish();
        Poll::Ready(Ok(()))
    }
}
