//! The PROXY header at the start of a connection, and what comes behind it. It is found after as many bytes as it has,
//! never sooner and never later, however they were cut.
#![no_main]

use rwsgi::proto::proxy::{self, MAX_V2};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = proxy::parse(data);
    if let Ok(Some(header)) = whole {
        assert!(header.len <= data.len().min(MAX_V2));
        assert_eq!(proxy::parse(&data[..header.len]), whole);
    }
    for end in 0..data.len().min(MAX_V2) {
        match proxy::parse(&data[..end]) {
            Ok(None) => {}
            found => return assert_eq!(found, whole),
        }
    }
});
