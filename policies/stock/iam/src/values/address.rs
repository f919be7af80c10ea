//! IP addresses and ranges of them in CIDR notation (RFC 4632, RFC 4291).

use core::net::IpAddr;

/// Octets of an address, of either family.
enum Octets {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Octets {
    fn as_slice(&self) -> &[u8] {
        match self {
            Octets::V4(octets) => octets,
            Octets::V6(octets) => octets,
        }
    }
}

/// Reads a range, or a single address, as the state keeps it: the bits of the prefix and
/// the octets of the address, four or sixteen.
pub(crate) fn parse_range(text: &str) -> Option<Vec<u8>> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let octets = match address.parse().ok()? {
        IpAddr::V4(address) => Octets::V4(address.octets()),
        IpAddr::V6(address) => Octets::V6(address.octets()),
    };
    let all = u8::try_from(octets.as_slice().len().checked_mul(8)?).ok()?;
    let bits = match prefix {
        None => all,
        Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => prefix.parse().ok()?,
        Some(_) => return None,
    };
    (bits <= all).then(|| [&[bits], octets.as_slice()].concat())
}

/// Whether the encoded range has the address. One of another family, or no address, is in
/// no range; an IPv4 address in IPv6's clothes (`::ffff:192.0.2.1`) is an IPv4 address.
pub(crate) fn contains(range: &[u8], address: &[u8]) -> bool {
    let parsed = core::str::from_utf8(address).ok().and_then(|text| text.parse::<IpAddr>().ok());
    let octets = match parsed.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => Octets::V4(address.octets()),
        Some(IpAddr::V6(address)) => Octets::V6(address.octets()),
        None => return false,
    };
    let Some((bits, network)) = range.split_first() else {
        return false;
    };
    let octets = octets.as_slice();
    network.len() == octets.len() && same_prefix(network, octets, *bits)
}

fn same_prefix(a: &[u8], b: &[u8], mut bits: u8) -> bool {
    for (a, b) in a.iter().zip(b) {
        let differ = a ^ b;
        match bits {
            8.. if differ != 0 => return false,
            8.. => bits = bits.saturating_sub(8),
            0 => return true,
            1..8 => return differ.leading_zeros() >= u32::from(bits),
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, address, inside) in [
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.99/24", "192.0.2.1", true),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("192.0.2.128/25", "192.0.2.128", true),
            ("10.0.0.0/7", "11.255.0.1", true),
            ("10.0.0.0/7", "12.0.0.0", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.9", false),
            ("2001:DB8:1234:5678::/64", "2001:db8:1234:5678::9", true),
            ("2001:db8::/33", "2001:db8:8000::", false),
            ("192.0.2.0/24", "::ffff:192.0.2.1", true),
            ("192.0.2.0/24", "192.0.2", false),
            ("192.0.2.0/24", "", false),
        ] {
            let encoded = parse_range(range).unwrap();
            assert_eq!(contains(&encoded, address.as_bytes()), inside, "{address} in {range}");
        }
    }

    #[test]
    fn what_is_no_range() {
        for text in ["", "/", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/", "::/129", "x"]
        {
            assert_eq!(parse_range(text), None, "{text}");
        }
    }
}
