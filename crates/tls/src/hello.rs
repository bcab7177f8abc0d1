//! The ClientHello, read before a connection is made of it: its server name decides what the connection is made with.

/// What can be said of bytes that may be incomplete.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is there.
    There(T),
    /// It is none.
    Not,
    /// More is needed.
    Short,
}

/// What is looked at in a ClientHello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// `server_name`, as it was sent.
    pub sni: Option<Box<str>>,
    /// Can it verify ECDSA signatures, and speak a suite with them?
    pub ecdsa: bool,
    /// The same for RSA.
    pub rsa: bool,
    /// The same for Ed25519.
    pub ed25519: bool,
    /// It asks for an OCSP response (`status_request`).
    pub status: bool,
    /// The protocols that it offers (`application_layer_protocol_negotiation`), as they stand there.
    pub alpn: Box<[u8]>,
    /// The client's random number.
    pub random: Option<[u8; 32]>,
    /// The body of the message (without its header).
    pub body: Box<[u8]>,
}

impl Hello {
    /// What an extension says.
    fn extension(&self, wanted: u16) -> Option<&[u8]> {
        let mut r = Reader(&self.body);
        r.take(34)?;
        r.counted(1)?;
        r.counted(2)?;
        r.counted(1)?;
        let mut all = Reader(r.counted(2)?);
        let mut next = || Some((all.number(2)?, all.counted(2)?));
        std::iter::from_fn(&mut next).find(|(id, _)| *id == usize::from(wanted)).map(|(_, content)| content)
    }
    /// The bytes of the server name.
    #[must_use]
    pub fn server_name(&self) -> Option<&[u8]> {
        server_name(self.extension(0)?)
    }
    /// The groups of the key exchange that it knows (`supported_groups`), in its order.
    #[must_use]
    pub fn groups(&self) -> Vec<u16> {
        let list = self.extension(10).and_then(|e| Reader(e).counted(2));
        list.map(|list| pairs(list).collect()).unwrap_or_default()
    }
    /// The groups that it has sent a share for (`key_share`), in its order.
    #[must_use]
    pub fn key_shares(&self) -> Vec<u16> {
        let Some(list) = self.extension(51).and_then(|e| Reader(e).counted(2)) else { return Vec::new() };
        let mut list = Reader(list);
        let mut next = || {
            let group = list.number(2)?;
            list.counted(2)?;
            u16::try_from(group).ok()
        };
        std::iter::from_fn(&mut next).collect()
    }
    /// Does it name this version (`supported_versions`)?
    #[must_use]
    pub fn speaks(&self, version: u16) -> bool {
        let list = self.extension(43).and_then(|e| Reader(e).counted(1));
        list.is_some_and(|list| pairs(list).any(|v| v == version))
    }
    /// The newest version that it offers, as far as it goes.
    #[must_use]
    pub fn newest(&self) -> u16 {
        let list = self.extension(43).and_then(|e| Reader(e).counted(1));
        // some that stand there are none (RFC 8701)
        let said = list.and_then(|list| pairs(list).filter(|v| v >> 8 == 3).max());
        said.unwrap_or_else(|| pairs(&self.body).next().unwrap_or_default())
    }
    /// Does it offer this protocol?
    #[must_use]
    pub fn offers(&self, protocol: &[u8]) -> bool {
        let mut list = Reader(&self.alpn);
        std::iter::from_fn(|| list.counted(1)).any(|p| p == protocol)
    }
}

/// Extensions that are lists, in the order in which their lists are kept: the number, and how many bytes tell the length.
const LISTS: [(u16, usize); 4] = [(10, 2), (11, 1), (43, 1), (13, 2)];

impl Hello {
    /// What samples show of the message, as a body of a ClientHello: the cipher suites, the numbers of the extensions and their
    /// lists, of which no more than `room` bytes are kept (`tune.ssl.capture-buffer-size`).
    #[must_use]
    pub fn kept(&self, mut room: usize) -> Option<Box<[u8]>> {
        if self.body.len() <= room {
            return Some(self.body.clone());
        }
        let mut r = Reader(&self.body);
        let mut out = r.take(34)?.to_vec();
        r.counted(1)?;
        let ciphers = cut(r.counted(2)?, &mut room);
        r.counted(1)?;
        let mut all = Reader(if r.0.is_empty() { &[] } else { r.counted(2)? });
        let mut extensions = Vec::new();
        while room >= 2
            && let (Some(id), Some(content)) = (all.number(2), all.counted(2))
        {
            room -= 2;
            extensions.push((id as u16, content));
        }
        let lists = LISTS.map(|(id, width)| {
            let (_, content) = extensions.iter().find(|e| e.0 == id)?;
            let mut list = Vec::new();
            counted(width, cut(Reader(content).counted(width)?, &mut room), &mut list);
            Some((id, list))
        });
        let mut kept = Vec::new();
        for (id, _) in &extensions {
            let list = lists.iter().flatten().find(|l| l.0 == *id).map_or(&[][..], |l| &l.1);
            kept.extend(id.to_be_bytes());
            counted(2, list, &mut kept);
        }
        out.push(0);
        counted(2, ciphers, &mut out);
        out.extend([1, 0]);
        counted(2, &kept, &mut out);
        Some(out.into())
    }
}

/// As much of it as there is room for.
fn cut<'a>(list: &'a [u8], room: &mut usize) -> &'a [u8] {
    let list = list.get(..*room).unwrap_or(list);
    *room -= list.len();
    list
}

/// Writes a length of so many bytes, and what is that long.
fn counted(width: usize, content: &[u8], out: &mut Vec<u8>) {
    out.extend(content.len().to_be_bytes().iter().skip(size_of::<usize>() - width));
    out.extend_from_slice(content);
}

/// A ClientHello is not larger than this.
const MAX: usize = 65536;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }
    fn number(&mut self, n: usize) -> Option<usize> {
        Some(self.take(n)?.iter().fold(0, |v, b| v << 8 | usize::from(*b)))
    }
    fn counted(&mut self, n: usize) -> Option<&'a [u8]> {
        let len = self.number(n)?;
        self.take(len)
    }
}

/// Looks for a ClientHello at the front of what a client sent.
#[must_use]
pub fn look(bytes: &[u8]) -> Seen<Hello> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(record) = bytes.get(at..at + 5) else {
            return if bytes.get(at).is_none_or(|t| *t == 22) { Seen::Short } else { Seen::Not };
        };
        let len = usize::from(record[3]) << 8 | usize::from(record[4]);
        if record[0] != 22 || record[1] != 3 || len == 0 || len > 16384 + 256 || at > MAX {
            return Seen::Not;
        }
        let Some(part) = bytes.get(at + 5..at + 5 + len) else { return Seen::Short };
        body.extend_from_slice(part);
        if body.first() != Some(&1) {
            return Seen::Not;
        }
        if let Some(head) = body.get(..4) {
            let size = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
            if size > MAX {
                return Seen::Not;
            }
            if let Some(message) = body.get(4..4 + size) {
                return parse(message).map_or(Seen::Not, Seen::There);
            }
        }
        at += 5 + len;
    }
}

fn pairs(list: &[u8]) -> impl Iterator<Item = u16> {
    list.chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]]))
}

fn parse(body: &[u8]) -> Option<Hello> {
    let mut r = Reader(body);
    r.take(34)?;
    r.counted(1)?;
    let ciphers = r.counted(2)?;
    r.counted(1)?;
    let mut extensions = Reader(if r.0.is_empty() { &[] } else { r.counted(2)? });
    let random = body.get(2..34).and_then(|r| r.try_into().ok());
    let mut hello = Hello { body: body.into(), random, ..Hello::default() };
    let (mut schemes, mut v13) = (None, false);
    while let (Some(id), Some(content)) = (extensions.number(2), extensions.counted(2)) {
        match id {
            0 => hello.sni = server_name(content).and_then(|n| std::str::from_utf8(n).ok()).map(Into::into),
            5 => hello.status = content.first() == Some(&1),
            13 => schemes = Some(Reader(content).counted(2)?),
            16 => hello.alpn = Reader(content).counted(2)?.into(),
            43 => v13 = pairs(Reader(content).counted(1)?).any(|v| v == 0x0304),
            _ => {}
        }
    }
    // TLS 1.3 suites say nothing of signatures
    let any = v13 && pairs(ciphers).any(|c| (0x1301..=0x1305).contains(&c));
    let ecdsa = any
        || pairs(ciphers).any(|c| matches!(c, 0xc02b | 0xc02c | 0xcca9 | 0xc009 | 0xc00a | 0xc023 | 0xc024));
    match schemes {
        None => (hello.rsa, hello.ecdsa) = (true, ecdsa),
        Some(list) => {
            for s in pairs(list) {
                hello.ecdsa |= ecdsa && matches!(s, 0x0403 | 0x0503 | 0x0603 | 0x0203);
                hello.rsa |= matches!(s, 0x0401 | 0x0501 | 0x0601 | 0x0804..=0x0806 | 0x0201);
                hello.ed25519 |= s == 0x0807;
            }
        }
    }
    Some(hello)
}

fn server_name(content: &[u8]) -> Option<&[u8]> {
    let mut list = Reader(Reader(content).counted(2)?);
    let mut next = || Some((list.number(1)?, list.counted(2)?));
    std::iter::from_fn(&mut next).find(|(kind, _)| *kind == 0).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(sni: &str) -> Vec<u8> {
        let mut ext = vec![0, 0, 0, (sni.len() + 5) as u8, 0, (sni.len() + 3) as u8, 0, 0, sni.len() as u8];
        ext.extend_from_slice(sni.as_bytes());
        ext.extend_from_slice(&[0, 13, 0, 4, 0, 2, 4, 3]);
        let mut body = vec![3, 3];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[0, 0, 2, 0xc0, 0x2b, 1, 0, 0, ext.len() as u8]);
        body.extend_from_slice(&ext);
        let mut message = vec![1, 0, 0, body.len() as u8];
        message.extend_from_slice(&body);
        let mut record = vec![22, 3, 1, 0, message.len() as u8];
        record.extend_from_slice(&message);
        record
    }

    #[test]
    fn names_and_signatures() {
        let bytes = hello("Example.COM");
        let Seen::There(h) = look(&bytes) else { panic!() };
        assert_eq!(h.sni.as_deref(), Some("Example.COM"));
        assert!(h.ecdsa && !h.rsa);
        for n in 0..bytes.len() {
            assert_eq!(look(&bytes[..n]), Seen::Short, "{n}");
        }
        assert_eq!(look(b"GET / HTTP/1.1\r\n\r\n"), Seen::Not);
    }

    /// The suites come first, then numbers of extensions, then the lists in them.
    #[test]
    fn kept_in_little_room() {
        let Seen::There(h) = look(&hello("a.example")) else { panic!() };
        assert_eq!(h.kept(1000), Some(h.body.clone()));
        let begins = [&[3, 3][..], &[7; 32], &[0]].concat();
        for (room, rest) in [
            (0, &[0, 0, 1, 0, 0, 0][..]),
            (3, &[0, 2, 0xc0, 0x2b, 1, 0, 0, 0]),
            (4, &[0, 2, 0xc0, 0x2b, 1, 0, 0, 4, 0, 0, 0, 0]),
            (7, &[0, 2, 0xc0, 0x2b, 1, 0, 0, 11, 0, 0, 0, 0, 0, 13, 0, 3, 0, 1, 4]),
            (8, &[0, 2, 0xc0, 0x2b, 1, 0, 0, 12, 0, 0, 0, 0, 0, 13, 0, 4, 0, 2, 4, 3]),
        ] {
            assert_eq!(h.kept(room).as_deref(), Some(&[&begins[..], rest].concat()[..]), "{room}");
        }
    }
}
