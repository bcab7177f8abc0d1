//! `_getsocks`: gives the listening sockets to the process that comes after this one ([`portcullis_transport::handover`]).

use portcullis_transport::handover::{self, Given, PATIENCE};
use std::io;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Gives all of them.
///
/// # Errors
/// The other end is gone, or does not acknowledge in time.
pub async fn give(to: &UnixStream, all: &[Given]) -> io::Result<()> {
    all_of(to, &handover::count(all), &[]).await?;
    for (bytes, fds) in handover::messages(all) {
        all_of(to, &bytes, &fds).await?;
        timeout(PATIENCE, acknowledged(to)).await??;
    }
    Ok(())
}

/// Descriptors go with the first byte.
async fn all_of(
    to: &UnixStream,
    bytes: &[u8],
    fds: &[std::sync::Arc<rustix::fd::OwnedFd>],
) -> io::Result<()> {
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|r| !r.is_empty()) {
        let fds = if sent == 0 { fds } else { &[] };
        let write = to.async_io(Interest::WRITABLE, || handover::send_message(to, rest, fds));
        sent += timeout(PATIENCE, write).await??;
    }
    Ok(())
}

/// Anything that comes is an acknowledgement.
async fn acknowledged(from: &UnixStream) -> io::Result<()> {
    let mut bytes = [0; 64];
    loop {
        from.readable().await?;
        match from.try_read(&mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            other => return other.map(drop),
        }
    }
}
