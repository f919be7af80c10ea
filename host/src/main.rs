//! The untrusted host of Sekisho: relays bytes and keeps sealed blobs.

fn main() {}
