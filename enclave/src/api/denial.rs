//! Which policy a caller is without leave for: AWS's words (IAM User Guide, "Troubleshoot access
//! denied error messages"). They tell the kind of policy; its own reason goes to the audit log alone.

/// Why a request is denied, as far as the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// The guardrail denies, which stands where AWS has an organization's service control policies.
    ByGuardrail,
    /// The key's policy denies.
    ByResourcePolicy,
    /// A policy of the principal denies.
    ByIdentityPolicy,
    /// The key's policy does not allow it, and leaves it to nobody.
    NoResourcePolicy,
    /// The key's policy leaves it to the policies of the principal, and none of them allows it; or
    /// it is about no key.
    NoIdentityPolicy,
    /// The key is not here.
    NotInRegion,
    /// A new key would have tags, which they may not give.
    Tagging,
}

impl Denial {
    /// What the caller is told, who asked for `action` on a resource; on the key of a ciphertext where
    /// there is none.
    pub(crate) fn sentence(self, principal: &str, action: &str, resource: Option<&str>) -> String {
        let clause = match self {
            Self::Tagging => {
                return "You don't have the kms:TagResource permission that is required to add tags \
                        during key creation."
                    .into();
            }
            Self::NotInRegion => "because the resource does not exist in this Region, no \
                                  resource-based policies allow access, or a resource-based policy \
                                  explicitly denies access"
                .into(),
            Self::ByGuardrail => "with an explicit deny in a service control policy".into(),
            Self::ByResourcePolicy => "with an explicit deny in a resource-based policy".into(),
            Self::ByIdentityPolicy => "with an explicit deny in an identity-based policy".into(),
            Self::NoResourcePolicy => {
                format!("because no resource-based policy allows the {action} action")
            }
            Self::NoIdentityPolicy => {
                format!("because no identity-based policy allows the {action} action")
            }
        };
        let resource = resource.map_or_else(
            || "the resource associated with this ciphertext".into(),
            |resource| format!("resource: {resource}"),
        );
        format!("User: {principal} is not authorized to perform: {action} on {resource} {clause}")
    }
}
