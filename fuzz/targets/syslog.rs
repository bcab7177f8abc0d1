//! Log messages from elsewhere: a stream of them is cut the same way however it comes, and taking one apart never fails.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_telemetry::log::{HostField, Message};
use portcullis_wire::syslog::{Framed, first};

fuzz_target!(|bytes: &[u8]| {
    for transparent in [false, true] {
        let mut rest = bytes;
        while let Framed::Message(message, used) = first(rest, transparent, 1000) {
            assert!(used > message.len() && used <= rest.len());
            for short in 0..used {
                assert!(
                    !matches!(first(&rest[..short], transparent, 1000), Framed::Message(..)),
                    "taken too soon"
                );
            }
            rest = &rest[used..];
        }
    }
    let message = Message::parse(bytes);
    let _ = (message.level(), message.host(HostField::Append, Some("10.1.1.1")));
});
