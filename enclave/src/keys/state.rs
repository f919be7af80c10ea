//! The states of a key, and what each forbids (AWS KMS Developer Guide, "Key states of AWS KMS keys").

use crate::api::{ApiError, NeededState};
use serde::{Deserialize, Serialize};

/// AWS KMS `KeyState`, as far as this version has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyState {
    Enabled,
    Disabled,
    PendingDeletion {
        /// From then on it is gone; milliseconds since 1970.
        deletion: u64,
    },
    /// Of a multi-Region primary key: its pending window begins when its last replica is gone.
    PendingReplicaDeletion {
        /// Days.
        window: u32,
    },
}

impl KeyState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion { .. } => "PendingDeletion",
            Self::PendingReplicaDeletion { .. } => "PendingReplicaDeletion",
        }
    }

    /// Refuses what the state forbids, in AWS's words.
    pub(crate) fn check(self, needed: NeededState, arn: &str) -> Result<(), ApiError> {
        let invalid = |what| Err(ApiError::InvalidState(format!("{arn} is {what}.")));
        match (needed, self) {
            (NeededState::Any, _)
            | (NeededState::Enabled, Self::Enabled)
            | (NeededState::NotPendingDeletion, Self::Enabled | Self::Disabled)
            | (
                NeededState::PendingDeletion,
                Self::PendingDeletion { .. } | Self::PendingReplicaDeletion { .. },
            ) => Ok(()),
            (NeededState::Enabled, Self::Disabled) => Err(ApiError::Disabled(arn.to_owned())),
            (NeededState::PendingDeletion, Self::Enabled | Self::Disabled) => {
                invalid("not pending deletion")
            }
            (
                NeededState::Enabled | NeededState::NotPendingDeletion,
                Self::PendingDeletion { .. },
            ) => invalid("pending deletion"),
            (
                NeededState::Enabled | NeededState::NotPendingDeletion,
                Self::PendingReplicaDeletion { .. },
            ) => invalid("pending replica deletion"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_forbids_what_awss_table_says() {
        const GONE_SOON: KeyState = KeyState::PendingDeletion { deletion: 7 };
        const GONE_LATER: KeyState = KeyState::PendingReplicaDeletion { window: 7 };
        use NeededState::{Any, Enabled, NotPendingDeletion, PendingDeletion};
        for (needed, state, code) in [
            (Any, KeyState::Disabled, None),
            (Any, GONE_SOON, None),
            (Enabled, KeyState::Enabled, None),
            (Enabled, KeyState::Disabled, Some("DisabledException")),
            (Enabled, GONE_SOON, Some("KMSInvalidStateException")),
            (NotPendingDeletion, KeyState::Enabled, None),
            (NotPendingDeletion, KeyState::Disabled, None),
            (NotPendingDeletion, GONE_SOON, Some("KMSInvalidStateException")),
            (PendingDeletion, KeyState::Enabled, Some("KMSInvalidStateException")),
            (PendingDeletion, KeyState::Disabled, Some("KMSInvalidStateException")),
            (PendingDeletion, GONE_SOON, None),
            (Any, GONE_LATER, None),
            (Enabled, GONE_LATER, Some("KMSInvalidStateException")),
            (NotPendingDeletion, GONE_LATER, Some("KMSInvalidStateException")),
            (PendingDeletion, GONE_LATER, None),
        ] {
            let error = state.check(needed, "arn").err();
            assert_eq!(error.map(|error| error.code()), code, "{needed:?} {state:?}");
        }
    }
}
