//! Addresses of resources that this process fetches (RFC 3986): `http` and `https` with an authority.

use std::net::IpAddr;

/// A URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `https`
    pub secure: bool,
    /// The host's name or address, without brackets.
    pub host: String,
    /// The port, said or not.
    pub port: u16,
    /// Host and port as they were written: the Host field.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl Url {
    /// Takes a URL apart. `None`: it is none that can be fetched.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let rest = rest.split('#').next()?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').or(port.is_empty().then_some(""))?),
            None => authority.rsplit_once(':').unwrap_or((authority, "")),
        };
        let default = if secure { 443 } else { 80 };
        let port = if port.is_empty() { default } else { port.parse().ok()? };
        if host.is_empty() || authority.contains('@') {
            return None;
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(Self {
            secure,
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            path: format!("{slash}{path}"),
        })
    }

    /// The host, if it is an address.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Bytes as they stand in a path segment (RFC 3986 section 2.1).
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    for b in bytes {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(*b)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url = Url::parse("http://ocsp.example:8080/a/b?c#d").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("ocsp.example", 8080, "/a/b?c"));
        let url = Url::parse("HTTPS://[::1]").unwrap();
        assert_eq!((url.secure, url.port, url.path.as_str()), (true, 443, "/"));
        assert_eq!(url.address(), Some(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])));
        assert_eq!(Url::parse("http://h?q").unwrap().path, "/?q");
        for bad in
            ["", "ldap://h/", "http://", "http://h:x/", "http://u@h/", "http://h/a b", "http://[::1]x/"]
        {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn escaped() {
        assert_eq!(escape(b"a+/=~"), "a%2B%2F%3D~");
    }
}
