//! HPACK: a block is decoded alike whatever comes of its fields; what is made of a request is taken as HTTP/1 and means
//! the same; a table never grows above its size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_message::{Head, Version};
use portcullis_wire::h1::{self, Limits, Parsed};
use portcullis_wire::h2::hpack::{Decoder, Line, Sink, write_field};
use portcullis_wire::h2::response;

#[derive(Default)]
struct All(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

impl Sink for All {
    fn arena(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
    fn take(&mut self, line: Line) {
        assert_eq!(&self.0[line.end - 2..line.end], b"\r\n");
        self.1.push((self.0[line.name()].to_vec(), self.0[line.value()].to_vec()));
    }
}

struct Nothing;

impl Sink for Nothing {
    fn arena(&mut self) -> Option<&mut Vec<u8>> {
        None
    }
    fn take(&mut self, _: Line) {
        panic!("it has no room");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, raw)) = data.split_first() else { return };
    let limit = u32::from(size) * 64;
    let (mut kept, mut dropped) = (Decoder::new(limit), Decoder::new(limit));
    for block in raw.split(|b| *b == 0xfd) {
        let mut all = All::default();
        let decoded = kept.decode(block, &mut all);
        assert_eq!(decoded, dropped.decode(block, &mut Nothing));
        assert!(kept.size() <= limit as usize && kept.size() == dropped.size());
        if decoded.is_err() {
            return;
        }
        // what is written is read again
        let mut out = Vec::new();
        all.1.iter().for_each(|(name, value)| write_field(name, value, &mut out));
        let mut again = All::default();
        assert_eq!(Decoder::new(limit).decode(&out, &mut again), Ok(()));
        assert_eq!(all.1, again.1);
        // a response's head that HTTP/1 would take
        let mut head = Head::default();
        head.set_response(Version::HTTP_11, 200, b"OK");
        all.1.iter().for_each(|(name, value)| head.push(name, value));
        let (mut text, mut parsed) = (Vec::new(), Head::default());
        h1::encode::response(&head, None, &mut text);
        let limits = Limits { max_fields: 101, relaxed: false, any_method_payload: false };
        if let Ok(Parsed::Complete(..)) =
            h1::parse_response(&text, &limits, &mut parsed, portcullis_message::Method::Get)
        {
            let mut block = Vec::new();
            response::write(&parsed, &mut block);
            assert_eq!(Decoder::new(limit).decode(&block, &mut All::default()), Ok(()));
        }
    }
});
