//! The protection of single records with keys that a handshake has made elsewhere: AEAD ciphers of TLS 1.3 (RFC 8446 §5.2)
//! and TLS 1.2 (RFC 5246 §6.2.3.3). No sockets, no buffers, and nothing but the two versions and three ciphers that the
//! handshake can end with.

use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::{AlertDescription, ConnectionTrafficSecrets, ContentType, ProtocolVersion};
use std::ops::Range;
use zeroize::Zeroizing;

/// Type, version, and the length of what follows.
pub const HEADER: usize = 5;
/// Bytes of the application in one record (RFC 8446 §5.1).
pub const MOST_PLAIN: usize = 1 << 14;
/// What encryption adds to them at most, here: an explicit nonce of 8 bytes or the inner type, and the tag.
pub const MOST_ADDED: usize = HEADER + 8 + TAG;
const TAG: usize = 16;
const IV: usize = 12;
/// The longest key.
const KEY: usize = 32;
/// Both kinds of AES-GCM: so many records with one key, as rustls has it (`confidentiality_limit`).
const MOST_GCM: u64 = 1 << 24;
/// Keys, numbers and cipher of one direction, as bytes.
pub const PACKED: usize = 2 + KEY + IV + 8;

pub type Refused = AlertDescription;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Tls12,
    Tls13,
}

impl Version {
    pub fn of(version: ProtocolVersion) -> Option<Version> {
        match version {
            ProtocolVersion::TLSv1_2 => Some(Version::Tls12),
            ProtocolVersion::TLSv1_3 => Some(Version::Tls13),
            _ => None,
        }
    }

    /// How long what follows a header may be (RFC 8446 §5.2, RFC 5246 §6.2.3).
    fn most(self) -> usize {
        match self {
            Version::Tls12 => MOST_PLAIN + 2048,
            Version::Tls13 => MOST_PLAIN + 256,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Cipher {
    const ALL: [Cipher; 3] = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Cipher::Aes128Gcm => &AES_128_GCM,
            Cipher::Aes256Gcm => &AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

/// One direction of a session.
pub struct Keys {
    version: Version,
    cipher: Cipher,
    /// As it travels; `key` cannot be read.
    secret: Zeroizing<[u8; KEY]>,
    key: LessSafeKey,
    iv: Zeroizing<[u8; IV]>,
    /// Of the next record.
    number: u64,
}

impl Keys {
    fn new(version: Version, cipher: Cipher, secret: &[u8], iv: &[u8], number: u64) -> Option<Keys> {
        let key = UnboundKey::new(cipher.algorithm(), secret.get(..cipher.algorithm().key_len())?).ok()?;
        let mut keys = Keys {
            version,
            cipher,
            secret: Zeroizing::new([0; KEY]),
            key: LessSafeKey::new(key),
            iv: Zeroizing::new(iv.try_into().ok()?),
            number,
        };
        keys.secret.get_mut(..secret.len())?.copy_from_slice(secret);
        Some(keys)
    }

    /// What a session of rustls hands out.
    pub fn extracted(version: Version, (number, secrets): (u64, ConnectionTrafficSecrets)) -> Option<Keys> {
        let (cipher, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Cipher::Aes128Gcm, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Cipher::Aes256Gcm, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (Cipher::ChaCha20Poly1305, key, iv),
            _ => return None,
        };
        Keys::new(version, cipher, key.as_ref(), iv.as_ref(), number)
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        out.push((self.version == Version::Tls13).into());
        out.push(self.cipher as u8);
        out.extend_from_slice(&*self.secret);
        out.extend_from_slice(&*self.iv);
        out.extend_from_slice(&self.number.to_ne_bytes());
    }

    pub fn unpack(bytes: &[u8; PACKED]) -> Option<Keys> {
        let (&[is_13, cipher], rest) = bytes.split_first_chunk::<2>()?;
        let (secret, rest) = rest.split_first_chunk::<KEY>()?;
        let (iv, number) = rest.split_first_chunk::<IV>()?;
        let version = if is_13 == 1 { Version::Tls13 } else { Version::Tls12 };
        let cipher = *Cipher::ALL.get(usize::from(cipher))?;
        let length = cipher.algorithm().key_len();
        Keys::new(version, cipher, &secret[..length], iv, u64::from_ne_bytes(number.try_into().ok()?))
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Records that may still be sealed.
    pub fn left(&self) -> u64 {
        match self.cipher {
            Cipher::ChaCha20Poly1305 => u64::MAX - self.number,
            _ => MOST_GCM.saturating_sub(self.number),
        }
    }

    /// RFC 8446 §5.3, and RFC 7905 §2 for ChaCha20 in TLS 1.2. For GCM in TLS 1.2 the first four bytes are the salt and the
    /// others anything that does not repeat itself (RFC 5288 §3): rustls goes the same way there, and this goes on with it.
    fn nonce(&self) -> [u8; IV] {
        let mut nonce = *self.iv;
        for (byte, number) in nonce[IV - 8..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }

    /// Bytes of the nonce that stand in front of the ciphertext.
    fn explicit(&self) -> usize {
        if self.version == Version::Tls12 && self.cipher != Cipher::ChaCha20Poly1305 { 8 } else { 0 }
    }

    /// RFC 5246 §6.2.3.3: number, type, version, and the length of the plaintext.
    fn data_12(&self, kind: u8, plain: usize) -> [u8; 13] {
        let mut data = [0; 13];
        data[..8].copy_from_slice(&self.number.to_be_bytes());
        data[8..11].copy_from_slice(&[kind, 3, 3]);
        data[11..].copy_from_slice(&(plain as u16).to_be_bytes());
        data
    }

    /// Appends a record with at most [`MOST_PLAIN`] bytes, which stand in two parts. `None`: the key is worn out.
    pub fn seal(&mut self, kind: ContentType, parts: [&[u8]; 2], out: &mut Vec<u8>) -> Option<()> {
        if self.left() == 0 {
            return None;
        }
        let (kind, plain) = (u8::from(kind), parts[0].len() + parts[1].len());
        let (nonce, explicit) = (self.nonce(), self.explicit());
        let is_13 = self.version == Version::Tls13;
        let inner = plain + usize::from(is_13);
        // RFC 8446 §5.2: what it is stands inside; outside is always application_data.
        let shown = if is_13 { ContentType::ApplicationData.into() } else { kind };
        let [high, low] = ((explicit + inner + TAG) as u16).to_be_bytes();
        let header = [shown, 3, 3, high, low];
        out.reserve(HEADER + explicit + inner + TAG);
        out.extend_from_slice(&header);
        out.extend_from_slice(&nonce[IV - explicit..]);
        let start = out.len();
        parts.iter().for_each(|part| out.extend_from_slice(part));
        if is_13 {
            out.push(kind);
        }
        let (nonce, text) = (Nonce::assume_unique_for_key(nonce), &mut out[start..]);
        let tag = match self.version {
            Version::Tls13 => self.key.seal_in_place_separate_tag(nonce, Aad::from(header), text),
            Version::Tls12 => {
                self.key.seal_in_place_separate_tag(nonce, Aad::from(self.data_12(kind, plain)), text)
            }
        };
        out.extend_from_slice(tag.ok()?.as_ref());
        self.number += 1;
        Some(())
    }

    /// Decrypts a whole record where it stands: what it is, and where the plaintext lies.
    pub fn open(&mut self, record: &mut [u8]) -> Result<(ContentType, Range<usize>), Refused> {
        let Some((&mut header, payload)) = record.split_first_chunk_mut::<HEADER>() else {
            return Err(AlertDescription::DecodeError);
        };
        let explicit = self.explicit();
        let plain = payload.len().checked_sub(explicit + TAG).ok_or(AlertDescription::BadRecordMac)?;
        let mut nonce = self.nonce();
        nonce[IV - explicit..].copy_from_slice(&payload[..explicit]);
        let (nonce, text) = (Nonce::assume_unique_for_key(nonce), &mut payload[explicit..]);
        let opened = match self.version {
            Version::Tls13 => self.key.open_in_place(nonce, Aad::from(header), text),
            Version::Tls12 => self.key.open_in_place(nonce, Aad::from(self.data_12(header[0], plain)), text),
        };
        let text = opened.map_err(|_| AlertDescription::BadRecordMac)?;
        // Nobody sends so many; a number must never come again.
        self.number = self.number.checked_add(1).ok_or(AlertDescription::InternalError)?;
        let (kind, length) = match self.version {
            Version::Tls12 => (header[0], text.len()),
            Version::Tls13 => inner_type(text)?,
        };
        if length > MOST_PLAIN {
            return Err(AlertDescription::RecordOverflow);
        }
        let start = HEADER + explicit;
        Ok((kind.into(), start..start + length))
    }
}

/// RFC 8446 §5.2, §5.4: the last byte that is not 0; what follows it is padding.
fn inner_type(text: &[u8]) -> Result<(u8, usize), Refused> {
    let at = text.iter().rposition(|&byte| byte != 0).ok_or(AlertDescription::UnexpectedMessage)?;
    Ok((text[at], at))
}

/// The length of the record that `bytes` begin with, its header included; `None`: the header is not whole.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<HEADER>()?;
    Some(HEADER + usize::from(u16::from_be_bytes([header[3], header[4]])))
}

/// The same for protected records; one that cannot be is refused as soon as its header is here.
pub fn checked_length(bytes: &[u8], version: Version) -> Result<Option<usize>, Refused> {
    let (Some(length), Some(&[kind, major, minor])) = (length(bytes), bytes.first_chunk::<3>()) else {
        return Ok(None);
    };
    // RFC 8446 §5: whatever comes behind the handshake is of this type. §5.1: the version counts for nothing.
    let is_known = match version {
        Version::Tls13 => kind == u8::from(ContentType::ApplicationData),
        Version::Tls12 => (20..=23).contains(&kind),
    };
    if !is_known {
        return Err(AlertDescription::UnexpectedMessage);
    }
    if version == Version::Tls12 && (major, minor) != (3, 3) {
        return Err(AlertDescription::ProtocolVersion);
    }
    if length > HEADER + version.most() {
        return Err(AlertDescription::RecordOverflow);
    }
    Ok(Some(length))
}
