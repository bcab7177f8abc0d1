//! A server over TLS that is read by hand: what log servers and collectors are.
use portcullis_e2e::World;
use portcullis_e2e::process::{PATIENCE, wait_for};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// A connection whose handshake is done.
pub type Stream = StreamOwned<ServerConnection, TcpStream>;

/// Listens, and asks for certificates of clients if it has an authority for them.
pub struct TlsSink {
    listener: TcpListener,
    config: Arc<ServerConfig>,
}

impl TlsSink {
    /// With the certificate and key in `NAME.pem` of the scenario's folder.
    pub fn start(w: &mut World, port: &str, name: &str, authority: Option<&str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", w.port(port))).unwrap();
        listener.set_nonblocking(true).unwrap();
        let certificates = |file: &Path| -> Vec<CertificateDer<'static>> {
            CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect()
        };
        let pem = w.dir().join(format!("{name}.pem"));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match authority {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates(&w.dir().join(file)));
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::from_pem_file(&pem).unwrap();
        Self { listener, config: Arc::new(builder.with_single_cert(certificates(&pem), key).unwrap()) }
    }

    /// The next connection.
    ///
    /// # Errors
    /// Its handshake fails, or nobody comes.
    pub fn accept(&self) -> io::Result<Stream> {
        let came = wait_for(PATIENCE, || self.listener.accept().ok());
        let (mut socket, _) = came.ok_or(io::ErrorKind::TimedOut)?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut connection = ServerConnection::new(self.config.clone()).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(StreamOwned::new(connection, socket))
    }
}

/// What comes up to this, or up to the end.
pub fn until(stream: &mut Stream, end: &str) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(end.as_bytes()) && matches!(io::Read::read(stream, &mut byte), Ok(1)) {
        text.extend(byte);
    }
    String::from_utf8_lossy(&text).into_owned()
}
