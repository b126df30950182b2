//! Which Content-Type a file has, by its extension.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where Debian and most others have it.
const USUAL: &str = "/etc/mime.types";

/// What a site needs where the system has no such file.
const BUILT_IN: &[(&str, &str)] = &[
    ("application/epub+zip", "epub"),
    ("application/gzip", "gz tgz"),
    ("application/json", "json map"),
    ("application/manifest+json", "webmanifest"),
    ("application/ogg", "ogx"),
    ("application/pdf", "pdf"),
    ("application/rtf", "rtf"),
    ("application/vnd.ms-fontobject", "eot"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/wasm", "wasm"),
    ("application/xhtml+xml", "xhtml"),
    ("application/xml", "xml xsl xslt"),
    ("application/zip", "zip"),
    ("application/x-7z-compressed", "7z"),
    ("application/x-bzip2", "bz2"),
    ("application/x-tar", "tar"),
    ("application/atom+xml", "atom"),
    ("application/rss+xml", "rss"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "oga ogg opus"),
    ("audio/wav", "wav"),
    ("font/otf", "otf"),
    ("font/ttf", "ttf"),
    ("font/woff", "woff"),
    ("font/woff2", "woff2"),
    ("image/avif", "avif"),
    ("image/bmp", "bmp"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg jpeg jpe"),
    ("image/png", "png apng"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tif tiff"),
    ("image/vnd.microsoft.icon", "ico"),
    ("image/webp", "webp"),
    ("text/calendar", "ics"),
    ("text/css", "css"),
    ("text/csv", "csv"),
    ("text/html", "html htm"),
    ("text/javascript", "js mjs"),
    ("text/markdown", "md"),
    ("text/plain", "txt text log"),
    ("text/vcard", "vcf"),
    ("text/vtt", "vtt"),
    ("video/mp4", "mp4 m4v"),
    ("video/mpeg", "mpeg mpg"),
    ("video/ogg", "ogv"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
];

/// Files of unknown type: a browser must not guess that they are a page.
const UNKNOWN: &[u8] = b"application/octet-stream";

#[derive(Debug, Default)]
pub struct Types(HashMap<Vec<u8>, Box<[u8]>>);

impl Types {
    /// The built-in types, and over them those of the files; `complain` hears of files that cannot be read.
    pub fn read(files: &[PathBuf], complain: impl Fn(&Path, &std::io::Error)) -> Types {
        let mut types = Types::default();
        for (name, extensions) in BUILT_IN {
            extensions.split(' ').for_each(|extension| types.set(extension, name));
        }
        let usual = [PathBuf::from(USUAL)];
        // As in uWSGI, of two lines for one extension the first counts, in the order of the files.
        let mut named = Types::default();
        for file in if files.is_empty() { &usual[..] } else { files } {
            match std::fs::read(file) {
                Ok(text) => named.add(&String::from_utf8_lossy(&text)),
                Err(_) if files.is_empty() => {}
                Err(error) => complain(file, &error),
            }
        }
        types.0.extend(named.0);
        types
    }

    /// Lines of a type and its extensions; what is no type is a comment.
    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(name) = words.next().filter(|name| is_type(name)) else { continue };
            // nginx ends its lines so.
            for extension in words.map(|word| word.trim_end_matches(';')) {
                if !self.0.contains_key(&extension.as_bytes().to_ascii_lowercase()) {
                    self.set(extension, name);
                }
            }
        }
    }

    fn set(&mut self, extension: &str, name: &str) {
        self.0.insert(extension.as_bytes().to_ascii_lowercase(), name.as_bytes().into());
    }

    /// The type of a file by the last extension of its name.
    pub fn of(&self, path: &[u8]) -> &[u8] {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else { return UNKNOWN };
        let mut extension = [0; 16];
        let Some(lower) = extension.get_mut(..name.len() - dot - 1) else { return UNKNOWN };
        lower.copy_from_slice(&name[dot + 1..]);
        lower.make_ascii_lowercase();
        self.0.get(&*lower).map_or(UNKNOWN, |name| name)
    }
}

/// Something, a slash, something, in characters that a header may have.
fn is_type(name: &str) -> bool {
    name.split_once('/').is_some_and(|(main, sub)| !main.is_empty() && !sub.is_empty())
        && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(types: &'a Types, path: &str) -> &'a str {
        std::str::from_utf8(types.of(path.as_bytes())).unwrap()
    }

    #[test]
    fn the_last_extension_counts() {
        let types = Types::read(&["/dev/null".into()], |_, _| panic!());
        for (path, expected) in [
            ("a.css", "text/css"),
            ("css/A.CSS", "text/css"),
            ("a.min.js", "text/javascript"),
            ("a.js/b", "application/octet-stream"),
            ("a", "application/octet-stream"),
            ("", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a.unheard-of", "application/octet-stream"),
            ("a.averyveryverylongextension", "application/octet-stream"),
            ("a.tar.gz", "application/gzip"),
            (".json", "application/json"),
        ] {
            assert_eq!(of(&types, path), expected, "{path}");
        }
    }

    #[test]
    fn files_go_before_what_is_built_in() {
        let path = std::env::temp_dir().join(format!("rwsgi-types-{}", std::process::id()));
        std::fs::write(
            &path,
            "# css nothing\ntext/x-css\tcss  CSS2 # and more\nno type\ntext/other css\ntext/evil\u{1} e\ntypes {\n x/y yy yyy;\n}\n",
        )
        .unwrap();
        let types = Types::read(std::slice::from_ref(&path), |_, _| panic!());
        std::fs::remove_file(&path).unwrap();
        for (name, expected) in [
            ("a.css", "text/x-css"),
            ("a.css2", "text/x-css"),
            ("a.more", "application/octet-stream"),
            ("a.type", "application/octet-stream"),
            ("a.yyy", "x/y"),
            ("a.e", "application/octet-stream"),
            ("a.js", "text/javascript"),
        ] {
            assert_eq!(of(&types, name), expected, "{name}");
        }
        let missed = std::cell::Cell::new(0);
        Types::read(&[path], |_, _| missed.set(missed.get() + 1));
        assert_eq!(missed.get(), 1);
    }
}
