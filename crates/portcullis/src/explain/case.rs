//! One request, and the listener that it comes by.

use portcullis_config::Mode;
use portcullis_config::addr::{Host, Ports};
use portcullis_proxy::explain::{Canned, Question};
use portcullis_proxy::plan::{ListenerPlan, Plan};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A request as a user writes it.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// Its name, in a file of cases.
    pub name: String,
    /// Its method; empty: GET, or POST with a body.
    pub method: String,
    /// Its URL, or a path.
    pub url: String,
    /// Its fields beside Host and Content-Length.
    pub fields: Vec<(String, String)>,
    /// Its body; in TCP mode, what the client sends.
    pub body: Vec<u8>,
    /// The client's address.
    pub source: Option<SocketAddr>,
    /// The address that it connects to.
    pub destination: Option<SocketAddr>,
    /// The frontend that it comes by.
    pub frontend: Option<String>,
    /// What the server answers.
    pub canned: Canned,
}

/// What a URL says.
struct Url<'u> {
    scheme: &'u str,
    authority: &'u str,
    target: &'u str,
}

impl<'u> Url<'u> {
    fn read(text: &'u str) -> Self {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if !text.starts_with('/') => (scheme, rest),
            _ => return Self { scheme: "", authority: "", target: text },
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        Self { scheme, authority, target: if target.is_empty() { "/" } else { target } }
    }
    fn host(&self) -> &'u str {
        let bare = self.authority.rsplit_once('@').map_or(self.authority, |a| a.1);
        match bare.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => bare,
        }
    }
    fn port(&self) -> Option<u16> {
        let written = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        written.or(match self.scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        })
    }
}

impl Case {
    /// Takes `[METHOD] URL`.
    pub fn set_request(&mut self, text: &str) {
        match text.trim().split_once(char::is_whitespace) {
            Some((method, url)) => (self.method, self.url) = (method.to_owned(), url.trim().to_owned()),
            None => self.url = text.trim().to_owned(),
        }
    }

    /// For a session of this plan.
    ///
    /// # Errors
    /// Why there is no listener for it.
    pub fn question(&self, plan: &Plan) -> Result<Question, String> {
        let url = Url::read(&self.url);
        let listener = self.listener(plan, &url)?;
        let http = listener.proxy.mode == Mode::Http;
        if http {
            self.check(&url)?;
        }
        let secure = listener.tls.is_some() || (!http && url.scheme == "https");
        let at = listener_address(&listener);
        Ok(Question {
            source: self.source.unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 50_000)),
            destination: match self.destination {
                Some(to) if to.port() == 0 => SocketAddr::new(to.ip(), at.port()),
                Some(to) => to,
                None => at,
            },
            tls: secure.then(|| url.host().to_owned()),
            bytes: if http { self.http(&url)? } else { self.body.clone() },
            canned: self.canned.clone(),
            listener,
        })
    }

    /// Can a request of HTTP be made of this?
    fn check(&self, url: &Url<'_>) -> Result<(), String> {
        match url.scheme {
            "http" | "https" => Ok(()),
            "" if url.target.starts_with(['/', '*']) || self.method == "CONNECT" => Ok(()),
            "" => Err(format!("'{}' is neither a URL nor a path.", url.target)),
            other => Err(format!("'{other}' is not a scheme of HTTP.")),
        }
    }

    /// The request's bytes.
    fn http(&self, url: &Url<'_>) -> Result<Vec<u8>, String> {
        let method = match (&*self.method, self.body.is_empty()) {
            ("", true) => "GET",
            ("", false) => "POST",
            (method, _) => method,
        };
        let bad = |t: &str| t.bytes().any(|b| b < b' ' || b == 0x7f);
        if bad(url.target) || url.target.contains(' ') || self.fields.iter().any(|(n, v)| bad(n) || bad(v)) {
            return Err("there are blanks or control characters where a request can have none.".into());
        }
        let has = |name: &str| self.fields.iter().any(|f| f.0.eq_ignore_ascii_case(name));
        let mut out = format!("{method} {} HTTP/1.1\r\n", url.target);
        if !has("host") && !url.authority.is_empty() {
            out.push_str(&format!("Host: {}\r\n", url.authority));
        }
        self.fields.iter().for_each(|(n, v)| out.push_str(&format!("{n}: {v}\r\n")));
        if !self.body.is_empty() && !has("content-length") && !has("transfer-encoding") {
            out.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        out.push_str("\r\n");
        let mut bytes = out.into_bytes();
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }

    /// The listener: of the frontend that is named; of its port, if one is; of those, one that speaks TLS if the URL does.
    fn listener(&self, plan: &Plan, url: &Url<'_>) -> Result<Arc<ListenerPlan>, String> {
        let named = |l: &&Arc<ListenerPlan>| self.frontend.as_ref().is_none_or(|f| **f == *l.frontend_name);
        let all: Vec<&Arc<ListenerPlan>> =
            plan.listeners.iter().filter(|l| l.enabled).filter(named).collect();
        let wanted = self.destination.map(|d| d.port()).filter(|p| *p != 0).or(url.port());
        let secure = url.scheme == "https";
        let fitness = |l: &ListenerPlan| {
            let at_port = wanted.is_some_and(|p| listener_address(l).port() == p);
            let tls = l.tls.is_some() || l.proxy.mode != Mode::Http;
            u8::from(at_port) * 2 + u8::from(url.scheme.is_empty() || secure == tls)
        };
        let Some(best) = all.iter().map(|l| fitness(l)).max() else {
            return Err(match &self.frontend {
                Some(name) => format!("there is no frontend '{name}' that listens."),
                None => "no frontend listens.".into(),
            });
        };
        let mut fit = all.into_iter().filter(|l| fitness(l) == best);
        let first = fit.next().ok_or("no frontend listens.")?;
        if let Some(other) = fit.find(|l| l.frontend_name != first.frontend_name) {
            return Err(format!(
                "the request could come by frontend '{}' or '{}': say which (frontend), or a port.",
                first.frontend_name, other.frontend_name
            ));
        }
        Ok(first.clone())
    }
}

/// The address of a `bind` line, as a client would connect to it.
pub fn listener_address(l: &ListenerPlan) -> SocketAddr {
    let ip: IpAddr = match l.bind.address.host {
        Host::V4(ip) if !ip.is_unspecified() => ip.into(),
        Host::V6(ip) if !ip.is_unspecified() => ip.into(),
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    let port = match l.bind.address.ports {
        Ports::One(port) => port,
        _ => 0,
    };
    SocketAddr::new(ip, port)
}

/// Reads `ip` or `ip:port`.
///
/// # Errors
/// It is none.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let ip = text.trim_matches(['[', ']']).parse::<IpAddr>();
    ip.map(|ip| SocketAddr::new(ip, 0))
        .or_else(|_| text.parse())
        .map_err(|_| format!("'{text}' is no address."))
}

/// Reads `Name: value`.
///
/// # Errors
/// It is none.
pub fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| format!("'{text}' is no field: 'Name: value'."))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Reads a status.
///
/// # Errors
/// It is none.
pub fn status(text: &str) -> Result<u16, String> {
    let status = text.parse().ok().filter(|n| (200..600).contains(n));
    status.ok_or_else(|| format!("'{text}' is no status of a final response."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let parts = |t| {
            let u = Url::read(t);
            (u.scheme.to_owned(), u.host().to_owned(), u.port(), u.target.to_owned())
        };
        let want = |s: &str, h: &str, p, t: &str| (s.to_owned(), h.to_owned(), p, t.to_owned());
        assert_eq!(parts("https://a.example/x?y=z"), want("https", "a.example", Some(443), "/x?y=z"));
        assert_eq!(parts("http://a:8080"), want("http", "a", Some(8080), "/"));
        assert_eq!(parts("http://[::1]:81?q"), want("http", "[::1]", Some(81), "?q"));
        let check = |text: &str| {
            let mut case = Case::default();
            case.set_request(text);
            case.check(&Url::read(&case.url))
        };
        assert!(check("/x").is_ok() && check("CONNECT a:443").is_ok() && check("https://a").is_ok());
        assert_eq!(check("ftp://a/"), Err("'ftp' is not a scheme of HTTP.".into()));
        assert_eq!(check("GET"), Err("'GET' is neither a URL nor a path.".into()));
        assert_eq!(parts("/a://b"), want("", "", None, "/a://b"));
    }

    #[test]
    fn a_request_has_what_it_needs() {
        let mut case = Case::default();
        case.set_request("PUT http://h.example:81/a");
        case.fields.push(("X".into(), "1".into()));
        case.body = b"abc".to_vec();
        let bytes = case.http(&Url::read(&case.url)).unwrap();
        let want = "PUT /a HTTP/1.1\r\nHost: h.example:81\r\nX: 1\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(String::from_utf8(bytes).unwrap(), want);
        case.fields.push(("Y".into(), "a\r\nb".into()));
        assert!(case.http(&Url::read(&case.url)).is_err());
        assert!(address("10.0.0.7").is_ok() && address("[::1]:80").is_ok() && address("x").is_err());
    }
}
