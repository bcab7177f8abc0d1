//! A response that is put together from pieces.

use super::{Chunked, Framing, Info, Limits, Parsed, parse_response};
use portcullis_message::{Head, Method};

/// A response as far as it has come.
#[derive(Debug)]
pub struct Response {
    /// Its head, once it is there.
    pub head: Option<Head>,
    /// Its body so far.
    pub body: Vec<u8>,
    /// All of it is there.
    pub complete: bool,
    /// It is no response.
    pub broken: bool,
    info: Info,
    chunked: Chunked,
    limits: Limits,
    method: Method,
}

impl Response {
    /// Nothing yet of the answer to a request with this method.
    #[must_use]
    pub fn new(method: &[u8], limits: Limits) -> Self {
        Self {
            head: None,
            body: Vec::new(),
            complete: false,
            broken: false,
            info: Info::default(),
            chunked: Chunked::new(limits),
            limits,
            method: Method::of(method),
        }
    }

    /// Can the connection be used for another request behind it?
    #[must_use]
    pub fn keeps(&self) -> bool {
        let framed = matches!(self.info.framing, Framing::None | Framing::Length(_) | Framing::Chunked);
        self.complete && !self.broken && framed && !self.info.close && self.info.keep_alive
    }

    /// Its head has come by itself.
    pub fn begin(&mut self, head: Head, info: Info) {
        (self.head, self.info) = (Some(head), info);
    }

    /// Takes what has come out of `input`; `ended`: nothing more will.
    pub fn take(&mut self, input: &mut Vec<u8>, ended: bool) {
        while self.head.is_none() && !self.broken {
            let mut head = Head::default();
            match parse_response(input, &self.limits, &mut head, self.method) {
                Ok(Parsed::Partial) => return,
                Ok(Parsed::Complete(end, info)) => {
                    input.drain(..end.min(input.len()));
                    // interim ones are not meant
                    if !(100..200).contains(&head.status) || head.status == 101 {
                        (self.head, self.info) = (Some(head), info);
                    }
                }
                Err(_) => self.broken = true,
            }
        }
        if !self.broken && !self.complete {
            self.take_body(input, ended);
        }
    }

    fn take_body(&mut self, input: &mut Vec<u8>, ended: bool) {
        match self.info.framing {
            Framing::None | Framing::Tunnel => self.complete = true,
            Framing::Length(n) => {
                let left = usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(self.body.len());
                self.body.extend(input.drain(..left.min(input.len())));
                self.complete = self.body.len() as u64 >= n;
            }
            Framing::Chunked => match self.chunked.decode(input) {
                Ok(decoded) => {
                    self.body.extend_from_slice(input.get(decoded.payload).unwrap_or_default());
                    input.drain(..decoded.consumed.min(input.len()));
                    self.complete = decoded.ended;
                }
                Err(_) => self.broken = true,
            },
            Framing::UntilClose | Framing::Pieces => self.body.append(input),
        }
        self.complete |= ended;
    }
}
