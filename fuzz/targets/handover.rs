//! Names of listening sockets on their way from another process.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_transport::handover::{Given, parse};
use std::fs::File;
use std::sync::{Arc, LazyLock};

static FD: LazyLock<Arc<std::os::fd::OwnedFd>> =
    LazyLock::new(|| Arc::new(File::open("/dev/null").unwrap().into()));

fuzz_target!(|bytes: &[u8]| {
    let mut text = bytes;
    while let Some(([namespace, interface], rest)) = parse(text) {
        let taken = text.len() - rest.len();
        assert!(taken >= 6);
        let given = Given { fd: FD.clone(), namespace: namespace.clone(), interface: interface.clone() };
        // what is not UTF-8 gets longer
        if std::str::from_utf8(&text[..taken]).is_ok() {
            assert_eq!(parse(&given.record()).map(|(names, _)| names), Some([namespace, interface]));
        }
        text = rest;
    }
});
