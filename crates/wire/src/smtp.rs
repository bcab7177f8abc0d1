//! How one mail is handed to a mail server (RFC 5321): what to say after each of its replies.

use std::collections::VecDeque;

/// Most bytes of a reply that are kept until it is complete.
const LONGEST: usize = 8192;

/// A mail.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'a> {
    /// What this host calls itself.
    pub hello: &'a str,
    /// From whom.
    pub from: &'a str,
    /// To whom.
    pub to: &'a str,
    /// When, as RFC 5322 writes it.
    pub date: &'a str,
    /// What it is about.
    pub subject: &'a str,
    /// What it says: a line.
    pub text: &'a str,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The reply is not complete.
    Wait,
    /// This is to be sent.
    Say(Vec<u8>),
    /// The server has taken the mail, and said farewell.
    Done,
}

/// A dialogue under way.
#[derive(Debug)]
pub struct Dialogue {
    /// The code that is expected, and what is said then.
    rest: VecDeque<(&'static str, Vec<u8>)>,
    read: Vec<u8>,
}

impl Dialogue {
    /// The server speaks first.
    #[must_use]
    pub fn new(mail: &Mail<'_>) -> Self {
        let [hello, from, to, date, subject, text] =
            [mail.hello, mail.from, mail.to, mail.date, mail.subject, mail.text].map(one_line);
        let body = format!(
            "From: {from}\r\nTo: {to}\r\nDate: {date}\r\nSubject: {subject}\r\n\r\n{}{text}\r\n\r\n.\r\n",
            // a dot alone would end it
            if text.starts_with('.') { "." } else { "" }
        );
        let rest = [
            ("220", format!("HELO {hello}\r\n")),
            ("250", format!("MAIL FROM:<{from}>\r\n")),
            ("250", format!("RCPT TO:<{to}>\r\n")),
            ("250", "DATA\r\n".into()),
            ("354", body),
            ("250", "QUIT\r\n".into()),
            ("221", String::new()),
        ];
        Self { rest: rest.map(|(code, say)| (code, say.into_bytes())).into(), read: Vec::new() }
    }

    /// The server has said this.
    ///
    /// # Errors
    /// It does not want the mail: its reply.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Next, String> {
        self.read.extend_from_slice(bytes);
        while let Some(end) = self.read.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.read.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let (code, text) = line.trim_end().split_at_checked(3).unwrap_or((line.trim_end(), ""));
            // a line of several
            if text.starts_with('-') {
                continue;
            }
            return match self.rest.pop_front() {
                Some((expected, say)) if code == expected => {
                    Ok(if say.is_empty() { Next::Done } else { Next::Say(say) })
                }
                _ => Err(line.trim_end().to_owned()),
            };
        }
        if self.read.len() > LONGEST {
            return Err("endless reply".into());
        }
        Ok(Next::Wait)
    }
}

/// What would begin another line, or a command, becomes a space.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: Mail<'_> =
        Mail { hello: "me", from: "a@b", to: "c@d", date: "now", subject: "x\r\nBcc: e", text: ".dot" };

    fn say(text: &str) -> Result<Next, String> {
        Ok(Next::Say(text.as_bytes().to_vec()))
    }

    #[test]
    fn a_mail_is_taken() {
        let mut d = Dialogue::new(&MAIL);
        assert_eq!(d.receive(b"220-wel"), Ok(Next::Wait));
        assert_eq!(d.receive(b"come\r\n220 here\r\n"), say("HELO me\r\n"));
        assert_eq!(d.receive(b"250 hello\n"), say("MAIL FROM:<a@b>\r\n"));
        assert_eq!(d.receive(b"250 ok\r\n"), say("RCPT TO:<c@d>\r\n"));
        assert_eq!(d.receive(b"250 ok\r\n"), say("DATA\r\n"));
        let body = "From: a@b\r\nTo: c@d\r\nDate: now\r\nSubject: x  Bcc: e\r\n\r\n..dot\r\n\r\n.\r\n";
        assert_eq!(d.receive(b"354 go\r\n"), say(body));
        assert_eq!(d.receive(b"250 taken\r\n"), say("QUIT\r\n"));
        assert_eq!(d.receive(b"221 bye\r\n"), Ok(Next::Done));
        assert_eq!(d.receive(b"221 bye\r\n"), Err("221 bye".into()));
    }

    #[test]
    fn a_mail_is_not_wanted() {
        let mut d = Dialogue::new(&MAIL);
        assert_eq!(d.receive(b"554 go away\r\n"), Err("554 go away".into()));
        let mut d = Dialogue::new(&MAIL);
        assert_eq!(d.receive(b"\r\n"), Err(String::new()));
        let mut d = Dialogue::new(&MAIL);
        assert_eq!(d.receive(&[b'x'; LONGEST + 1]), Err("endless reply".into()));
    }
}
