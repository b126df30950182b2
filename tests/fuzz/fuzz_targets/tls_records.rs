//! What comes on a TLS connection that was handed over: sound records, forged ones and noise. How the bytes are cut, and
//! whether the session moves on between two pieces, never shows in the outcome; what was sealed comes out, and what was not
//! does not.
#![no_main]

use rwsgi::worker::tls::channel::{Channel, Trouble};
use rwsgi::worker::tls::moved::Moved;
use rwsgi::worker::tls::records::{Keys, PACKED};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// The keys of both sides: version and cipher are the input's to choose.
fn keys(choice: u8) -> Keys {
    let mut packed = [7; PACKED];
    (packed[0], packed[1]) = (choice & 1, (choice >> 1) % 3);
    packed[PACKED - 8..].copy_from_slice(&1000u64.to_ne_bytes());
    Keys::unpack(&packed).unwrap()
}

fn fresh(choice: u8) -> Moved {
    Moved::new(keys(choice), keys(choice), b"certificate".to_vec(), Vec::new(), Vec::new())
}

/// The stream that an input describes, and the text that is in it before anything is wrong.
fn stream(choice: u8, mut script: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut client, mut out, mut text, mut is_sound) = (keys(choice), Vec::new(), Vec::new(), true);
    while let Some((&[step, length], rest)) = script.split_first_chunk::<2>() {
        let (body, rest) = rest.split_at(rest.len().min(length.into()));
        script = rest;
        let start = out.len();
        if step & 8 != 0 {
            out.extend_from_slice(body);
        } else {
            let kind = 20 + (step & 3);
            client.seal(kind.into(), [body, &[]], &mut out).unwrap();
            if step & 4 == 0 && kind == 23 && is_sound {
                text.extend_from_slice(body);
                continue;
            }
        }
        is_sound = false;
        if step & 4 != 0 && out.len() > start {
            let at = start + usize::from(length) % (out.len() - start);
            out[at] ^= 1 << (step >> 5);
        }
    }
    (out, text)
}

/// The text that came out, and how it ended.
fn outcome<'a>(choice: u8, pieces: impl IntoIterator<Item = &'a [u8]>, moves: bool) -> (Vec<u8>, String) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let (mut session, mut text) = (fresh(choice), Vec::new());
    for piece in pieces {
        theirs.write_all(piece).unwrap();
        loop {
            match session.recv(ours.as_fd(), 100, &mut |bytes| text.extend_from_slice(bytes)) {
                Ok(0) => return (text, "closed".to_owned()),
                Ok(_) => {}
                Err(Trouble::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(Trouble::Io(error)) => return (text, error.to_string()),
                Err(Trouble::Failure(failure)) => return (text, failure.to_string()),
            }
        }
        assert!(!session.holds());
        if moves && session.can_move() {
            let mut letter = Vec::new();
            session.pack(&mut letter);
            session = Moved::unpack(&letter).unwrap();
        }
    }
    (text, "waits".to_owned())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&choice, script)) = data.split_first() else { return };
    let (bytes, sound) = stream(choice, &script[..script.len().min(1 << 13)]);
    let whole = outcome(choice, [&bytes[..]], false);
    assert!(whole.0.starts_with(&sound) || whole.1 != "waits");
    assert!(sound.starts_with(&whole.0[..whole.0.len().min(sound.len())]));
    for size in [1, 7, 500] {
        assert_eq!(outcome(choice, bytes.chunks(size), true), whole);
    }
});
