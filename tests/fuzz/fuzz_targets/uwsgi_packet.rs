//! A uwsgi packet. What is accepted is written again and must come out as the same bytes.
#![no_main]

#[allow(dead_code)]
#[path = "../drive.rs"]
mod drive;

use rwsgi::proto::uwsgi;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = drive::uwsgi([data]);
    assert_eq!(drive::uwsgi(drive::single(data)), whole);
    if let Ok(Some(packet)) = whole {
        let mut bytes = packet.head.to_bytes().to_vec();
        for (key, value) in &packet.vars {
            uwsgi::push_var(&mut bytes, key, value).unwrap();
        }
        bytes.extend_from_slice(&packet.body);
        assert_eq!(bytes, data);
    }
});
