//! Write a Sekisho key policy in Rust.
