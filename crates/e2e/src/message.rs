//! Just enough HTTP/1 to find where a message ends.
use crate::conn::Conn;

/// One request or response as it was received.
#[derive(Debug, Default, Clone)]
pub struct Message {
    /// Start line and fields with the empty line.
    pub head: Vec<u8>,
    /// The body, chunks put together.
    pub body: Vec<u8>,
    /// Whether the body came in chunks.
    pub chunked: bool,
    /// Trailer lines, as received.
    pub trailers: Vec<u8>,
    /// Whether the message's end was seen.
    pub complete: bool,
}

impl Message {
    /// The first line.
    pub fn start_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.head).into_owned();
        text.lines().next().unwrap_or("").to_string()
    }

    /// The status of a response; 0 when there is none.
    pub fn status(&self) -> u16 {
        self.start_line().split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    /// The value of the first field of that name.
    pub fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

fn field(head: &[u8], name: &str) -> Option<String> {
    String::from_utf8_lossy(head)
        .lines()
        .skip(1)
        .filter_map(|l| l.split_once(':'))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.trim().to_string())
}

/// Reads up to and with the first empty line; `None` when the peer ends before.
pub fn read_head(conn: &mut Conn) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = conn.buffered().windows(4).position(|w| w == b"\r\n\r\n") {
            return Some(conn.take(at + 4));
        }
        if !conn.fill() {
            return None;
        }
    }
}

/// Reads a request; `None` when the connection ends before a whole head.
pub fn read_request(conn: &mut Conn) -> Option<Message> {
    let head = read_head(conn)?;
    let mut m = Message { head, ..Message::default() };
    let upgrade = m.field("upgrade").is_some() && m.field("content-length").is_none();
    if !upgrade && !m.head.starts_with(b"CONNECT ") {
        read_body(conn, &mut m, false);
    } else {
        m.complete = true;
    }
    Some(m)
}

/// Reads a response to `method`, interim ones included: each call gives one.
pub fn read_response(conn: &mut Conn, method: &str) -> Message {
    let Some(head) = read_head(conn) else {
        let rest = conn.take(usize::MAX);
        return Message { head: rest, ..Message::default() };
    };
    let mut m = Message { head, ..Message::default() };
    let status = m.status();
    if method == "HEAD"
        || (100..200).contains(&status)
        || [204, 304].contains(&status)
        || (method == "CONNECT" && status < 300)
    {
        m.complete = true;
    } else {
        read_body(conn, &mut m, true);
    }
    m
}

fn read_body(conn: &mut Conn, m: &mut Message, until_close: bool) {
    if m.field("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().contains("chunked")) {
        m.chunked = true;
        m.complete = read_chunks(conn, m).is_some();
    } else if let Some(length) = m.field("content-length").and_then(|v| v.parse::<usize>().ok()) {
        while conn.buffered().len() < length && conn.fill() {}
        m.body = conn.take(length);
        m.complete = m.body.len() == length;
    } else if until_close {
        while conn.fill() {}
        m.body = conn.take(usize::MAX);
        m.complete = conn.end() == Some(crate::End::Fin);
    } else {
        m.complete = true;
    }
}

fn read_chunks(conn: &mut Conn, m: &mut Message) -> Option<()> {
    loop {
        let line = read_line(conn)?;
        let digits: Vec<u8> = line.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        while conn.buffered().len() < size + 2 {
            if !conn.fill() {
                let part = conn.take(size);
                m.body.extend_from_slice(&part);
                return None;
            }
        }
        let data = conn.take(size);
        m.body.extend_from_slice(&data);
        conn.take(2);
    }
    loop {
        let line = read_line(conn)?;
        if line == b"\r\n" || line == b"\n" {
            return Some(());
        }
        m.trailers.extend_from_slice(&line);
    }
}

fn read_line(conn: &mut Conn) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = conn.buffered().iter().position(|b| *b == b'\n') {
            return Some(conn.take(at + 1));
        }
        if !conn.fill() {
            return None;
        }
    }
}
