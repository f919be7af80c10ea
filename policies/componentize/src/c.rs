//! Policies in C: a component of what clang makes of the bindings and the policy.

use crate::{ComponentizeError, componentize};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// The contract's world.
const WORLD: &str = "key-policy";

/// Wraps a core module that carries no contract, but exports what the one in `wit` says.
///
/// # Errors
///
/// The module does not export that.
pub fn componentize_for(core_module: &[u8], wit: &str) -> Result<Vec<u8>, ComponentizeError> {
    let (resolve, world) = world(wit)?;
    let mut module = core_module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(error)?;
    componentize(&module)
}

fn world(wit: &str) -> Result<(Resolve, WorldId), ComponentizeError> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", wit).map_err(error)?;
    let world = resolve.select_world(&[package], Some(WORLD)).map_err(error)?;
    Ok((resolve, world))
}

fn error(error: impl std::fmt::Display) -> ComponentizeError {
    ComponentizeError { reason: format!("{error:#}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIT: &str = include_str!("../../wit/policy.wit");

    #[test]
    fn what_does_not_fit_the_contract_is_refused() {
        assert!(componentize_for(b"", "package a:b;").is_err());
        let empty = b"\0asm\x01\0\0\0";
        let refused = componentize_for(empty, WIT).unwrap_err().to_string();
        assert!(refused.contains("configure"), "{refused}");
    }
}
