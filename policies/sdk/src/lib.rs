//! Write a Sekisho key policy in Rust.
//!
//! A policy is one type with two functions:
//!
//! ```
//! use sekisho_policy::{Answer, ConfigurationError, Policy, Request, allow, deny};
//!
//! /// Lets nobody but the root principals in.
//! struct RootOnly;
//!
//! impl Policy for RootOnly {
//!     type State = ();
//!
//!     fn configure(configuration: &[u8]) -> Result<(), ConfigurationError> {
//!         Ok(())
//!     }
//!
//!     fn evaluate(_: &(), request: &Request) -> Answer {
//!         if request.principal.arn.ends_with(":root") {
//!             allow()
//!         } else {
//!             deny("not a root principal")
//!         }
//!     }
//! }
//!
//! sekisho_policy::export!(RootOnly);
//! ```
//!
//! `configure` reads what the owner of a key wrote, once, when the key gets the
//! policy; what it makes of it, the state, is handed to every `evaluate`. Each
//! evaluation runs in a fresh instance: nothing else is remembered.
//!
//! For `wasm32-unknown-unknown` this crate brings an allocator that keeps an
//! evaluation within the memory the instance starts with ([`allocator`]). For every
//! other target it is an ordinary library, so that a policy's tests are ordinary
//! tests.

pub mod allocator;
mod answers;
mod bindings;
pub mod bytes;
pub mod json;
#[cfg(feature = "snapshot")]
pub mod snapshot;
pub mod state;

pub use answers::{allow, annotate, delegate_to_account, deny, log, no_opinion, require_approvals};
pub use bindings::exports::sekisho::policy::policy::{
    Answer, Approvals, Attestation, AttestationKind, ConfigurationError, Decision, Grant, Key,
    Obligation, Pair, Pcr, Principal, Request,
};
pub use state::State;

/// A key policy.
pub trait Policy {
    /// What `configure` makes of a configuration and `evaluate` reads.
    type State: State;

    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// The place in the configuration that is wrong, and why. The caller of
    /// `PutKeyPolicy` sees it.
    fn configure(configuration: &[u8]) -> Result<Self::State, ConfigurationError>;

    /// Decides on one request.
    fn evaluate(state: &Self::State, request: &Request) -> Answer;
}

/// Makes a [`Policy`] the component's export. Does nothing on targets other than
/// `wasm32`.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(
            unsafe_code,
            missing_docs,
            reason = "the export glue of the component model; it runs in the sandbox"
        )]
        const _: () = {
            #[doc(hidden)]
            pub struct Export;

            impl $crate::__export::Guest for Export {
                fn configure(
                    configuration: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, $crate::ConfigurationError>
                {
                    $crate::__export::configure::<$policy>(&configuration)
                }

                fn evaluate(
                    state: ::std::vec::Vec<u8>,
                    request: $crate::Request,
                ) -> $crate::Answer {
                    $crate::__export::evaluate::<$policy>(state, request)
                }
            }

    $crate::__export::export_bindings!(Export with_types_in $crate::__export);
        };
    };
}

/// What [`export!`] expands to; not for use by name.
#[doc(hidden)]
pub mod __export {
    #[cfg(target_arch = "wasm32")]
    pub use crate::bindings::export_bindings;
    pub use crate::bindings::exports;
    pub use crate::bindings::exports::sekisho::policy::policy::Guest;

    use crate::{Answer, ConfigurationError, Policy, Request, State, deny};
    use core::mem::ManuallyDrop;

    pub fn configure<P: Policy>(configuration: &[u8]) -> Result<Vec<u8>, ConfigurationError> {
        P::configure(configuration).map(State::encode)
    }

    /// The instance ends with the answer, and its allocator frees nothing: taking the
    /// state and the request apart would be work for nothing.
    pub fn evaluate<P: Policy>(state: Vec<u8>, request: Request) -> Answer {
        let request = ManuallyDrop::new(request);
        match P::State::decode(state).map(ManuallyDrop::new) {
            Some(state) => P::evaluate(&state, &request),
            None => deny("the policy cannot read its own state"),
        }
    }
}
