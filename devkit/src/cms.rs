//! CiphertextForRecipient as AWS KMS writes it: CMS EnvelopedData (RFC 5652 §6) in BER with
//! indefinite lengths, read strictly.

/// The parts of an EnvelopedData for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopedData {
    /// subjectKeyIdentifier: SHA-256 of the recipient's SubjectPublicKeyInfo.
    pub key_identifier: Vec<u8>,
    /// The content key under RSAES-OAEP with SHA-256.
    pub encrypted_key: Vec<u8>,
    /// The initialization vector of AES-256-CBC.
    pub iv: [u8; 16],
    /// The encrypted content, its chunks joined.
    pub ciphertext: Vec<u8>,
}

/// The bytes are not what AWS KMS writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a CiphertextForRecipient: {0}")]
pub struct NotEnveloped(pub &'static str);

type Result<T> = std::result::Result<T, NotEnveloped>;

const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_0_PRIMITIVE: u8 = 0x80;
const OCTET_STRING: u8 = 0x04;

/// id-envelopedData, 1.2.840.113549.1.7.3
const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
/// id-data, 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// id-aes256-CBC, 2.16.840.1.101.3.4.1.42
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
/// id-RSAES-OAEP, 1.2.840.113549.1.1.7
const RSAES_OAEP: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07];
/// id-mgf1, 1.2.840.113549.1.1.8
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
/// id-sha256, 2.16.840.1.101.3.4.2.1
const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

impl EnvelopedData {
    /// Reads a complete ContentInfo; nothing may follow it.
    ///
    /// # Errors
    /// [`NotEnveloped`] names what differs from what AWS KMS writes.
    pub fn decode(ber: &[u8]) -> Result<Self> {
        let mut input = Ber(ber);
        let mut content_info = input.expect(SEQUENCE, "ContentInfo")?;
        input.finish("bytes after ContentInfo")?;
        if content_info.expect(OID, "content type")?.0 != ENVELOPED_DATA {
            return Err(NotEnveloped("content type is not envelopedData"));
        }
        let mut content = content_info.expect(CONTEXT_0, "content")?;
        content_info.finish("bytes after content")?;
        let mut enveloped = content.expect(SEQUENCE, "EnvelopedData")?;
        content.finish("bytes after EnvelopedData")?;

        enveloped.version("EnvelopedData version")?;
        let mut recipients = enveloped.expect(SET, "recipientInfos")?;
        let mut recipient = recipients.expect(SEQUENCE, "KeyTransRecipientInfo")?;
        recipients.finish("more than one recipient")?;
        recipient.version("recipient version")?;
        let key_identifier = recipient.expect(CONTEXT_0_PRIMITIVE, "subjectKeyIdentifier")?.0;
        check_oaep(recipient.expect(SEQUENCE, "key encryption algorithm")?)?;
        let encrypted_key = recipient.expect(OCTET_STRING, "encrypted key")?.0;
        recipient.finish("bytes after the encrypted key")?;

        let mut encrypted = enveloped.expect(SEQUENCE, "EncryptedContentInfo")?;
        enveloped.finish("bytes after EncryptedContentInfo")?;
        if encrypted.expect(OID, "encrypted content type")?.0 != DATA {
            return Err(NotEnveloped("encrypted content type is not data"));
        }
        let mut algorithm = encrypted.expect(SEQUENCE, "content encryption algorithm")?;
        if algorithm.expect(OID, "content encryption algorithm")?.0 != AES_256_CBC {
            return Err(NotEnveloped("content encryption is not AES-256-CBC"));
        }
        let iv = algorithm.expect(OCTET_STRING, "initialization vector")?.0;
        algorithm.finish("bytes after the initialization vector")?;
        let ciphertext = encrypted.content()?;
        encrypted.finish("bytes after the encrypted content")?;
        Ok(Self {
            key_identifier: key_identifier.to_vec(),
            encrypted_key: encrypted_key.to_vec(),
            iv: iv.try_into().map_err(|_| NotEnveloped("initialization vector's length"))?,
            ciphertext,
        })
    }
}

/// RSAES-OAEP-params (RFC 8017 §A.2.1): SHA-256, and MGF1 with SHA-256; no label.
fn check_oaep(mut algorithm: Ber<'_>) -> Result<()> {
    if algorithm.expect(OID, "key encryption algorithm")?.0 != RSAES_OAEP {
        return Err(NotEnveloped("key encryption is not RSAES-OAEP"));
    }
    let mut parameters = algorithm.expect(SEQUENCE, "OAEP parameters")?;
    algorithm.finish("bytes after the OAEP parameters")?;
    let mut hash = parameters.expect(CONTEXT_0, "OAEP hash")?;
    check_sha_256(hash.expect(SEQUENCE, "OAEP hash")?)?;
    hash.finish("bytes after the OAEP hash")?;
    let mut mask = parameters.expect(0xa1, "OAEP mask generation")?;
    let mut function = mask.expect(SEQUENCE, "OAEP mask generation")?;
    mask.finish("bytes after the OAEP mask generation")?;
    if function.expect(OID, "OAEP mask generation")?.0 != MGF1 {
        return Err(NotEnveloped("OAEP mask generation is not MGF1"));
    }
    check_sha_256(function.expect(SEQUENCE, "MGF1 hash")?)?;
    function.finish("bytes after the MGF1 hash")?;
    parameters.finish("bytes after the OAEP parameters")
}

/// Parameters may be absent or NULL (RFC 5754 §2).
fn check_sha_256(mut algorithm: Ber<'_>) -> Result<()> {
    if algorithm.expect(OID, "hash")?.0 != SHA_256 {
        return Err(NotEnveloped("a hash is not SHA-256"));
    }
    if algorithm.0 == [0x05, 0x00] { Ok(()) } else { algorithm.finish("hash parameters") }
}

/// What is left of some BER.
struct Ber<'b>(&'b [u8]);

impl<'b> Ber<'b> {
    /// The content of the next element, which has the tag `tag`. An indefinite length's end is
    /// found and taken off.
    fn expect(&mut self, tag: u8, what: &'static str) -> Result<Ber<'b>> {
        let (found, content) = self.element(MAX_DEPTH).ok_or(NotEnveloped(what))?;
        if found == tag { Ok(Ber(content)) } else { Err(NotEnveloped(what)) }
    }

    fn version(&mut self, what: &'static str) -> Result<()> {
        if self.expect(0x02, what)?.0 == [2] { Ok(()) } else { Err(NotEnveloped(what)) }
    }

    fn finish(&self, what: &'static str) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(NotEnveloped(what)) }
    }

    /// `[0] IMPLICIT OCTET STRING`, in one piece or in chunks.
    fn content(&mut self) -> Result<Vec<u8>> {
        const WHAT: NotEnveloped = NotEnveloped("encrypted content");
        let (tag, content) = self.element(MAX_DEPTH).ok_or(WHAT)?;
        match tag {
            CONTEXT_0_PRIMITIVE => Ok(content.to_vec()),
            CONTEXT_0 => {
                let mut chunks = Ber(content);
                let mut joined = Vec::new();
                while !chunks.0.is_empty() {
                    joined.extend(chunks.expect(OCTET_STRING, "encrypted content's chunk")?.0);
                }
                Ok(joined)
            }
            _ => Err(WHAT),
        }
    }

    /// Tag and content of the next element. Elements nest no deeper than `depth`.
    fn element(&mut self, depth: u8) -> Option<(u8, &'b [u8])> {
        let depth = depth.checked_sub(1)?;
        let [tag, length, rest @ ..] = self.0 else { return None };
        let (length, rest) = match *length {
            short @ 0..0x80 => (usize::from(short), rest),
            0x80 => return self.indefinite(*tag, rest, depth),
            0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
            0x82 => {
                let (bytes, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*bytes)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// An element that runs until two zero bytes at its own level.
    fn indefinite(&mut self, tag: u8, body: &'b [u8], depth: u8) -> Option<(u8, &'b [u8])> {
        const CONSTRUCTED: u8 = 0x20;
        if tag & CONSTRUCTED == 0 {
            return None;
        }
        let mut inner = Ber(body);
        loop {
            if let [0, 0, rest @ ..] = inner.0 {
                let content = body.get(..body.len().checked_sub(inner.0.len())?)?;
                self.0 = rest;
                return Some((tag, content));
            }
            inner.element(depth)?;
        }
    }
}

/// EncryptedContentInfo's chunks are the fifth level.
const MAX_DEPTH: u8 = 8;
