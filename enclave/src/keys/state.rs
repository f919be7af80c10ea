//! The states of a key, and what each forbids (AWS KMS Developer Guide, "Key states of AWS KMS keys").

use crate::api::{ApiError, NeededState};
use serde::{Deserialize, Serialize};

/// AWS KMS `KeyState`, as far as this version has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyState {
    Enabled,
    Disabled,
    /// Material that was imported or is to be imported is not there.
    PendingImport,
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
            Self::PendingImport => "PendingImport",
            Self::PendingDeletion { .. } => "PendingDeletion",
            Self::PendingReplicaDeletion { .. } => "PendingReplicaDeletion",
        }
    }

    /// Refuses what the state forbids, in AWS's words.
    pub(crate) fn check(self, needed: NeededState, arn: &str) -> Result<(), ApiError> {
        use NeededState::{
            Any, Enabled, EnabledOrPendingImport, NotPending, NotPendingDeletion, PendingDeletion,
        };
        let invalid = |what| Err(ApiError::InvalidState(format!("{arn} is {what}.")));
        match (needed, self) {
            (Any, _)
            | (Enabled | EnabledOrPendingImport | NotPending | NotPendingDeletion, Self::Enabled)
            | (NotPending | NotPendingDeletion, Self::Disabled)
            | (EnabledOrPendingImport | NotPendingDeletion, Self::PendingImport)
            | (
                PendingDeletion,
                Self::PendingDeletion { .. } | Self::PendingReplicaDeletion { .. },
            ) => Ok(()),
            (PendingDeletion, _) => invalid("not pending deletion"),
            (_, Self::PendingDeletion { .. }) => invalid("pending deletion"),
            (_, Self::PendingReplicaDeletion { .. }) => invalid("pending replica deletion"),
            (Enabled | NotPending, Self::PendingImport) => invalid("pending import"),
            (Enabled | EnabledOrPendingImport, Self::Disabled) => {
                Err(ApiError::Disabled(arn.to_owned()))
            }
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
        const NO_MATERIAL: KeyState = KeyState::PendingImport;
        use NeededState::{
            Any, Enabled, EnabledOrPendingImport, NotPending, NotPendingDeletion, PendingDeletion,
        };
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
            (Any, NO_MATERIAL, None),
            (Enabled, NO_MATERIAL, Some("KMSInvalidStateException")),
            (NotPendingDeletion, NO_MATERIAL, None),
            (PendingDeletion, NO_MATERIAL, Some("KMSInvalidStateException")),
            (NotPending, KeyState::Enabled, None),
            (NotPending, KeyState::Disabled, None),
            (NotPending, GONE_SOON, Some("KMSInvalidStateException")),
            (NotPending, NO_MATERIAL, Some("KMSInvalidStateException")),
            (EnabledOrPendingImport, KeyState::Enabled, None),
            (EnabledOrPendingImport, KeyState::Disabled, Some("DisabledException")),
            (EnabledOrPendingImport, GONE_SOON, Some("KMSInvalidStateException")),
            (EnabledOrPendingImport, NO_MATERIAL, None),
        ] {
            let error = state.check(needed, "arn").err();
            assert_eq!(error.map(|error| error.code()), code, "{needed:?} {state:?}");
        }
    }
}
