#![no_main]

use libfuzzer_sys::fuzz_target;
use rwsgi::config::format::Format;
use rwsgi::config::load_text;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = load_text(Format::Ini, text, &[]) {
        assert!(!error.message.is_empty());
    }
});
