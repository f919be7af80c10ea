//! The sekisho command: run a development service, verify attestations, write policies.

fn main() {}
