//! TLS on a `stats socket` (manual section 3.1: all options of `bind`).

use crate::session;
use crate::socket::CliConfig;
use portcullis_config::{Diagnostics, Model, Severity};
use portcullis_tls::acceptor::{self, Acceptor};
use portcullis_tls::settings::{BindTls, GlobalTls};
use portcullis_tls::stream::Stream;
use portcullis_transport::{Buffer, Conn};
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

/// A connection with TLS, for those who read and write as Tokio has it.
pub struct Secure {
    conn: Conn,
    /// Decrypted bytes on their way.
    buffer: Buffer,
}

impl Secure {
    /// Shakes hands with a client. None: it cannot be done, or takes longer than `limit`.
    pub async fn accept(fd: OwnedFd, acceptor: &Arc<Acceptor>, limit: Duration) -> Option<Self> {
        let mut conn = Conn::new(fd);
        conn.begin_tls(Stream::accept(acceptor, &[]));
        timeout(limit, poll_fn(|cx| conn.poll_handshake(cx))).await.ok()?.ok()?;
        Some(Self { conn, buffer: Buffer::with_capacity(READ) })
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
