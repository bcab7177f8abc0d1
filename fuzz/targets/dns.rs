//! DNS answers: nothing panics, what is read has bounds, and what a question says is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::dns::{Data, Kind, MAX_NAME, MAX_RECORDS, Message, fold, query};

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::parse(bytes) else { return };
    assert!(message.answers.len() + message.additional.len() <= MAX_RECORDS);
    for record in message.answers.iter().chain(&message.additional) {
        assert!(record.name.len() <= MAX_NAME && fold(&record.name) == record.name);
        if let Data::Service { target, .. } | Data::Alias(target) = &record.data {
            assert!(target.len() <= MAX_NAME);
        }
    }
    for kind in [Kind::A, Kind::Aaaa, Kind::Srv, Kind::Txt] {
        let Some((name, _)) = &message.question else { continue };
        let asked = message.answers(message.id, name, kind);
        if let Ok(found) = message.settle(name, kind) {
            assert!(!found.is_empty());
        }
        let _ = message.address_of(name, |ip| asked.then_some(u8::from(ip.is_ipv4())));
        // a name that was read can be asked for
        if let Some(question) = query(message.id, name, kind, 512) {
            let read = Message::parse(&question).expect("a question");
            assert_eq!(read.question.map(|q| q.0).as_deref(), Some(name.as_str()));
        }
    }
});
