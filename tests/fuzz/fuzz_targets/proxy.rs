//! The PROXY header at the start of a connection, and what comes behind it: found after as many bytes as it has, however
//! they were cut.
#![no_main]

#[allow(dead_code)]
#[path = "../drive.rs"]
mod drive;

use rwsgi::proto::proxy::{self, MAX_V2};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = proxy::parse(data);
    if let Ok(Some(header)) = whole {
        assert!(header.len <= data.len().min(MAX_V2));
        assert_eq!(proxy::parse(&data[..header.len]), whole);
        assert_eq!(proxy::parse(&data[..header.len - 1]), Ok(None));
    }
    assert_eq!(drive::proxy(&mut drive::single(&data[..data.len().min(MAX_V2)])), whole);
});
