//! CBOR for tests: the shortest heads, and whatever else a test puts together.

pub(crate) fn head(major: u8, argument: u64) -> Vec<u8> {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..=23 => vec![major | bytes[7]],
        24..=0xff => vec![major | 24, bytes[7]],
        0x100..=0xffff => [&[major | 25], &bytes[6..]].concat(),
        0x1_0000..=0xffff_ffff => [&[major | 26], &bytes[4..]].concat(),
        _ => [&[major | 27], &bytes[..]].concat(),
    }
}

pub(crate) fn unsigned(value: u64) -> Vec<u8> {
    head(0, value)
}

pub(crate) fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len() as u64), value.to_vec()].concat()
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    [head(3, value.len() as u64), value.as_bytes().to_vec()].concat()
}

pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

pub(crate) fn map(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let pairs_bytes: Vec<u8> = pairs.iter().flat_map(|(k, v)| [&k[..], v].concat()).collect();
    [head(5, pairs.len() as u64), pairs_bytes].concat()
}

pub(crate) const NULL: [u8; 1] = [0xf6];
pub(crate) const UNDEFINED: [u8; 1] = [0xf7];
pub(crate) const BREAK: [u8; 1] = [0xff];
