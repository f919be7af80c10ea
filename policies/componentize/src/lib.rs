//! Builds a policy crate into a WebAssembly component.
//!
//! A policy crate compiles to a core module for `wasm32-unknown-unknown` that
//! carries its contract in a custom section; [`componentize`] wraps it into the
//! component that the engine takes. [`Builder`] does both, so that the same source
//! gives the same bytes in every folder, and [`stock`] does it for the policies that
//! come with Sekisho.

mod builder;
mod c;
pub mod stock;

pub use builder::{BuildError, Builder, Layout, workspace_of};
pub use c::componentize_for;

/// A core module that does not make a component.
#[derive(Debug, thiserror::Error)]
#[error("the module does not make a component: {reason}")]
pub struct ComponentizeError {
    reason: String,
}

/// Wraps a core module, built with the SDK's bindings or another `wit-bindgen`, into
/// a component.
///
/// What the component imports is not looked at here; the engine refuses any import
/// at admission.
///
/// # Errors
///
/// The module carries no contract, or does not export what its contract says.
pub fn componentize(core_module: &[u8]) -> Result<Vec<u8>, ComponentizeError> {
    let encode =
        || wit_component::ComponentEncoder::default().validate(true).module(core_module)?.encode();
    encode().map_err(|error| ComponentizeError { reason: format!("{error:#}") })
}

#[cfg(test)]
mod tests {
    use super::componentize;

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(componentize(b"").is_err());
        assert!(componentize(b"\0asm\x01\0\0").is_err());
    }
}
