//! As much of HTTP as one answer takes: the request says HTTP/1.0, so the body comes as it is (RFC 9112 §7).

/// What a server has answered.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

pub fn request(host: &str, path: &str) -> Vec<u8> {
    let accept = "application/json, */*;q=0.1";
    format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

pub fn is_answer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/")
}

/// Is the whole body there, as far as the head says how long it is?
pub fn is_whole(bytes: &[u8]) -> bool {
    let Some((head, body)) = split(bytes) else { return false };
    length(head).is_some_and(|length| body.len() >= length)
}

/// The answer whose bytes these are, up to the end of the connection.
pub fn parse(bytes: &[u8]) -> Result<Answer, String> {
    let cut_off = || format!("the answer ends after {} bytes, within its head", bytes.len());
    let (head, body) = split(bytes).ok_or_else(cut_off)?;
    let status = head.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or("it answers with a status line that is none")?;
    match length(head) {
        Some(length) if body.len() < length => {
            Err(format!("the answer ends after {} of {length} bytes", body.len()))
        }
        length => Ok(Answer { status, body: body[..length.unwrap_or(body.len())].to_vec() }),
    }
}

fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((std::str::from_utf8(&bytes[..at]).ok()?, &bytes[at + 4..]))
}

fn length(head: &str) -> Option<usize> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_end() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}more";
        assert!(is_whole(bytes) && !is_whole(&bytes[..bytes.len() - 5]));
        let answer = parse(bytes).unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
        assert_eq!(parse(b"HTTP/1.0 404 x\r\n\r\nno").unwrap().body, b"no");
    }

    #[test]
    fn what_is_cut_off_is_said_to_be() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nConte").err().unwrap().contains("within its head"));
        let cut = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"a\":").err().unwrap();
        assert!(cut.contains("5 of 20 bytes"), "{cut}");
        assert!(parse(b"HTTP/1.1\r\n\r\n").is_err());
    }
}
