//! One chunked body, whole and cut in every way that is cheap.
#![no_main]

#[allow(dead_code)]
#[path = "../drive.rs"]
mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = drive::chunked([data]);
    if let Ok((body, Some(used))) = &whole {
        assert!(body.len() < *used && *used <= data.len());
    }
    assert_eq!(drive::chunked(drive::lines(data)), whole);
    assert_eq!(drive::chunked(drive::single(data)), whole);
    let (head, tail) = data.split_at(data.len() / 2);
    assert_eq!(drive::chunked([head, tail]), whole);
});
