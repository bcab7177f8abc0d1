//! An HTTP/1.1 client (manual section 3.12, `httpclient.*`): one request a connection, or one behind the other for who keeps it;
//! answers of bounded size.

use crate::url::Url;
use portcullis_config::Model;
use portcullis_message::{Head, Method};
use portcullis_proxy::dns;
use portcullis_proxy::process::Process;
use portcullis_tls::connector::Connector;
use portcullis_tls::stream::Stream;
use portcullis_transport::connect::{self, ConnectOptions, Marks, Target};
use portcullis_transport::{Buffer, Conn};
use portcullis_wire::h1::{Limits, Response};
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Longest time between two signs of life of a server.
const SILENCE: Duration = Duration::from_secs(60);
/// How long after a failed connection the next one is tried.
const PAUSE: Duration = Duration::from_secs(1);
/// Largest answer.
const MOST: usize = 1 << 20;
/// Bytes that are read at once.
const READ: usize = 16 * 1024;

/// What `global` says of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `httpclient.resolvers.disabled`
    pub no_names: bool,
    /// `httpclient.resolvers.id`
    pub resolvers: Option<String>,
    /// `httpclient.resolvers.prefer`
    pub prefer_v4: bool,
    /// `httpclient.retries`
    pub retries: u32,
    /// `httpclient.timeout.connect`
    pub connect: Duration,
    /// `httpclient.ssl.verify none`
    pub no_verify: bool,
    /// `httpclient.ssl.ca-file`; none: the system's.
    pub ca: Option<portcullis_tls::store::Authorities>,
}

impl Default for Settings {
    fn default() -> Self {
        let connect = Duration::from_secs(5);
        Self {
            no_names: false,
            resolvers: None,
            prefer_v4: false,
            retries: 3,
            connect,
            no_verify: false,
            ca: None,
        }
    }
}

/// The client.
pub struct Client {
    /// What is shared by all workers.
    pub process: Arc<Process>,
    /// What `global` says of it.
    pub settings: Settings,
    /// TLS to servers; none: it cannot be spoken.
    pub connector: Option<Connector>,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// What is asked for.
    pub url: &'a str,
    /// Fields beside those of every request.
    pub fields: &'a [(&'a str, &'a str)],
    /// Its body.
    pub body: &'a [u8],
    /// A proxy that is asked instead of the server; `http` only.
    pub proxy: Option<SocketAddr>,
    /// The server's address, where it was looked up before.
    pub address: Option<SocketAddr>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
    /// How it came.
    pub course: Course,
}

impl Answer {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let value = self.head.named(name.as_bytes()).next()?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// Why there is no answer; the first letters of a termination state and the status that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is no URL that can be asked for.
    Url,
    /// The host has no address.
    Name,
    /// Nobody can be connected to.
    Connect,
    /// TLS failed.
    Tls,
    /// The server did not answer in time.
    Silence,
    /// It closed the connection, or what it sends is no answer.
    Broken,
}

impl Cause {
    /// In words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Url => "the URL cannot be asked for",
            Self::Name => "the host has no address",
            Self::Connect => "no connection",
            Self::Tls => "the TLS handshake failed",
            Self::Silence => "no answer in time",
            Self::Broken => "the connection broke, or what came is no answer",
        }
    }
    /// Termination state and status of the log line.
    #[must_use]
    pub fn shown(self) -> (&'static str, u16) {
        match self {
            Self::Url | Self::Name => ("LR", 503),
            Self::Connect | Self::Tls => ("SC", 503),
            Self::Silence => ("sH", 504),
            Self::Broken => ("SH", 502),
        }
    }
}

/// How a request went, as far as it came.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// When it began, since the epoch.
    pub began: Duration,
    /// Milliseconds until a connection was there.
    pub connected: Option<u128>,
    /// Milliseconds in all.
    pub total: u128,
    /// Connections that were tried again.
    pub retries: u32,
    /// Bytes that came.
    pub bytes: usize,
}

/// A request that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Why.
    pub cause: Cause,
    /// How far it had come.
    pub course: Course,
}

/// A request on its way.
struct Run<'c> {
    client: &'c Client,
    started: Instant,
    connected: Option<u128>,
    retries: u32,
}

/// Can this be asked for: a method that is known, and a URL?
#[must_use]
pub fn is_known(method: &str, url: &str) -> bool {
    Method::of(method.as_bytes()) != Method::Other && Url::parse(url).is_some()
}

impl Client {
    /// As `global` says, for requests to this URL.
    ///
    /// # Errors
    /// TLS would need the system's authorities, which nobody has read when the process started.
    pub fn of(model: &Model, process: &Arc<Process>, url: &str) -> Result<Self, String> {
        let settings = model.global.ext.get::<Settings>().cloned().unwrap_or_default();
        let secure = Url::parse(url).is_some_and(|url| url.secure);
        if secure && settings.ca.is_none() && !settings.no_verify {
            let why = "no authorities are there to verify servers with ('httpclient.ssl.ca-file', 'httpclient.ssl.verify')";
            return Err(why.into());
        }
        let connector = if secure { Some(crate::serve::connector(model, &settings)?) } else { None };
        Ok(Self { process: process.clone(), settings, connector })
    }

    /// Sends a request and waits for its answer, whatever its status is.
    ///
    /// # Errors
    /// There is none.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, Failed> {
        self.send_over(request, None).await
    }

    /// Sends a request over a connection that an earlier one has left to the same server, and leaves it for the next one.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send_over(
        &self,
        request: Request<'_>,
        kept: Option<&mut Option<Conn>>,
    ) -> Result<Answer, Failed> {
        let began = self.process.clock.wall();
        let mut run = Run { client: self, started: Instant::now(), connected: None, retries: 0 };
        let done = run.all(request, kept).await;
        let bytes = done.as_ref().map_or(0, |answer| answer.course.bytes);
        let total = run.started.elapsed().as_millis();
        let course = Course { began, connected: run.connected, total, retries: run.retries, bytes };
        match done {
            Ok(answer) => Ok(Answer { course, ..answer }),
            Err(cause) => Err(Failed { cause, course }),
        }
    }

    /// An address of a host.
    async fn resolve(&self, host: &str) -> Option<IpAddr> {
        if self.settings.no_names {
            return None;
        }
        let plan = self.process.newest()?;
        let section = self.settings.resolvers.as_deref().unwrap_or("default");
        let section = plan.resolvers.iter().position(|r| *r.name == *section)?;
        dns::look_up(&self.process, section, host.to_owned(), self.settings.prefer_v4).await.ok()?
    }
}

impl Client {
    /// The texts of a name, as the `default` section's name servers have them; none: they give no good answer.
    pub async fn texts(&self, name: &str) -> Option<Vec<Vec<u8>>> {
        let plan = self.process.newest()?;
        let section = plan.resolvers.iter().position(|r| *r.name == *"default")?;
        dns::texts(&self.process, section, name.to_owned()).await.ok()?
    }
}

impl Run<'_> {
    async fn all(
        &mut self,
        request: Request<'_>,
        mut kept: Option<&mut Option<Conn>>,
    ) -> Result<Answer, Cause> {
        let url = Url::parse(request.url).ok_or(Cause::Url)?;
        if let Some(conn) = kept.as_mut().and_then(|k| k.take()) {
            match exchange(conn, &request, &url, kept.as_deref_mut()).await {
                // the server has closed it meanwhile
                Err(Cause::Broken) => {}
                done => return done,
            }
        }
        let to = match request.proxy.filter(|_| !url.secure).or(request.address) {
            Some(proxy) => proxy,
            None => {
                let ip = match url.address() {
                    Some(ip) => Some(ip),
                    None => self.client.resolve(&url.host).await,
                };
                SocketAddr::new(ip.ok_or(Cause::Name)?, url.port)
            }
        };
        let mut conn = self.connect(to).await?;
        self.connected = Some(self.started.elapsed().as_millis());
        if url.secure {
            self.shake_hands(&mut conn, &url).await?;
        }
        exchange(conn, &request, &url, kept).await
    }

    async fn connect(&mut self, to: SocketAddr) -> Result<Conn, Cause> {
        loop {
            match self.connect_once(to).await {
                Some(conn) => return Ok(conn),
                None if self.retries >= self.client.settings.retries => return Err(Cause::Connect),
                None => {
                    self.retries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn connect_once(&self, to: SocketAddr) -> Option<Conn> {
        let target = Target::Inet { addr: to, mptcp: false };
        let conn = connect::start(&target, &ConnectOptions::default(), Marks::default()).ok()?;
        timeout(self.client.settings.connect, poll_fn(|cx| conn.poll_writable(cx))).await.ok()?;
        conn.connected().ok()?;
        Some(conn)
    }

    async fn shake_hands(&self, conn: &mut Conn, url: &Url) -> Result<(), Cause> {
        let connector = self.client.connector.as_ref().ok_or(Cause::Tls)?;
        let name = url.address().is_none().then_some(url.host.as_str());
        conn.begin_tls(Stream::connect(connector, name).map_err(|_| Cause::Tls)?);
        match timeout(SILENCE, poll_fn(|cx| conn.poll_handshake(cx))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Cause::Tls),
            Err(_) => Err(Cause::Silence),
        }
    }
}

/// A request and its answer over this connection.
async fn exchange(
    conn: Conn,
    request: &Request<'_>,
    url: &Url,
    kept: Option<&mut Option<Conn>>,
) -> Result<Answer, Cause> {
    write(&conn, &head(request, url, kept.is_some())).await?;
    write(&conn, request.body).await?;
    let (answer, keeps) = read(&conn, request.method).await?;
    if let Some(kept) = kept.filter(|_| keeps) {
        *kept = Some(conn);
    }
    Ok(answer)
}

/// The request's head. Values cannot end their lines: they are ours.
fn head(request: &Request<'_>, url: &Url, keep: bool) -> Vec<u8> {
    let mut out = match request.proxy.filter(|_| !url.secure) {
        Some(_) => format!("{} http://{}{} HTTP/1.1\r\n", request.method, url.authority, url.path),
        None => format!("{} {} HTTP/1.1\r\n", request.method, url.path),
    };
    out += &format!("host: {}\r\naccept: */*\r\nuser-agent: Portcullis\r\n", url.authority);
    if !keep {
        out += "connection: close\r\n";
    }
    for (name, value) in request.fields {
        out += &format!("{name}: {value}\r\n");
    }
    if !request.body.is_empty() || request.method == "POST" {
        out += &format!("content-length: {}\r\n", request.body.len());
    }
    (out + "\r\n").into_bytes()
}

async fn write(conn: &Conn, bytes: &[u8]) -> Result<(), Cause> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let sent = poll_fn(|cx| conn.poll_send(cx, &[IoSlice::new(rest)], false));
        match timeout(SILENCE, sent).await {
            Ok(Ok(n)) => rest = rest.get(n..).unwrap_or_default(),
            Ok(Err(_)) => return Err(Cause::Broken),
            Err(_) => return Err(Cause::Silence),
        }
    }
    Ok(())
}

/// The answer, and whether the connection can be used again.
async fn read(conn: &Conn, method: &str) -> Result<(Answer, bool), Cause> {
    let limits = Limits { max_fields: 101, relaxed: false, any_method_payload: false };
    let mut response = Response::new(method.as_bytes(), limits);
    let (mut buffer, mut input, mut bytes) = (Buffer::with_capacity(READ), Vec::new(), 0);
    loop {
        buffer.clear();
        let came = timeout(SILENCE, poll_fn(|cx| conn.poll_recv(cx, &mut buffer))).await;
        let n = match came {
            Ok(Ok(n)) => n,
            Ok(Err(_)) => return Err(Cause::Broken),
            Err(_) => return Err(Cause::Silence),
        };
        input.extend_from_slice(buffer.data());
        bytes += n;
        let headless = response.head.is_none();
        response.take(&mut input, n == 0);
        if response.broken || input.len() + response.body.len() > MOST || (n == 0 && headless) {
            return Err(Cause::Broken);
        }
        if response.complete {
            let keeps = n > 0 && input.is_empty() && response.keeps();
            let head = response.head.take().ok_or(Cause::Broken)?;
            let course = Course { bytes, ..Course::default() };
            return Ok((Answer { head, body: response.body, course }, keeps));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let url = Url::parse("http://h:8080/p").unwrap();
        let fields = [("content-type", "a/b")];
        let mut request =
            Request { method: "POST", url: "", fields: &fields, body: b"xy", proxy: None, address: None };
        let text = String::from_utf8(head(&request, &url, false)).unwrap();
        assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
        let text = String::from_utf8(head(&request, &url, true)).unwrap();
        assert!(!text.contains("connection:"), "{text}");
        assert!(text.starts_with("POST /p HTTP/1.1\r\nhost: h:8080\r\n"), "{text}");
        assert!(text.ends_with("content-type: a/b\r\ncontent-length: 2\r\n\r\n"), "{text}");
        (request.method, request.body) = ("GET", b"");
        request.proxy = Some(([127, 0, 0, 1], 80).into());
        let text = String::from_utf8(head(&request, &url, false)).unwrap();
        assert!(text.starts_with("GET http://h:8080/p HTTP/1.1\r\n") && !text.contains("content-length"));
    }
}
