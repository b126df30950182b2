//! A connection: heads, framing, CGI variables and bodies. The outcome never depends on how the bytes were cut.
#![no_main]

#[allow(dead_code)]
#[path = "../drive.rs"]
mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = drive::http([data]);
    assert_eq!(drive::http(drive::lines(data)), whole);
    if data.len() <= 4096 {
        assert_eq!(drive::http(drive::single(data)), whole);
    }
});
