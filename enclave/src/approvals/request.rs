//! What is asked for, by whom, and who has agreed.

use crate::api::{ApiError, Facts, Operation};
use crate::secret::fill_random;
use sekisho_policy_engine::Approvals as Needed;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Groups that one operation may wait for.
const MAX_GROUPS: usize = 8;
/// Parameters that approvers are shown; an operation has far fewer, tags apart.
const MAX_SHOWN: usize = 64;

const LABEL: &[u8] = b"sekisho v1 approval request";

/// The operation as it was asked for.
pub(crate) struct Asked<'a> {
    pub(crate) principal: &'a str,
    pub(crate) operation: Operation,
    pub(crate) region: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) facts: &'a Facts<'a>,
    /// The key's ARN, or what of the account's it is about.
    pub(crate) resource: Option<String>,
    /// Milliseconds since 1970.
    pub(crate) time: u64,
}

/// A request for approvals, as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ApprovalRequest {
    /// `<place>-<8 random hex digits>`: the same operation, asked for again later, has another id.
    pub(crate) id: String,
    pub(crate) principal: String,
    /// AWS's name.
    pub(crate) operation: String,
    pub(crate) resource: Option<String>,
    /// What policies see of the request, the encryption context with `EncryptionContext:` before it.
    pub(crate) parameters: Vec<(String, String)>,
    /// SHA-256 of the body, lower-case hex.
    pub(crate) body_sha256: String,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    /// Milliseconds since 1970; from then on it is as if it had never been.
    pub(crate) expires: u64,
    pub(crate) groups: Vec<Group>,
    /// ARNs, in the order of their approvals.
    pub(crate) approved: Vec<String>,
    /// Who denied it.
    pub(crate) denied: Option<String>,
}

/// Whose approval is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// ARNs.
    pub(crate) members: Vec<String>,
    pub(crate) needed: u8,
}

impl ApprovalRequest {
    /// What the policies demand now, not approved by anybody.
    pub(crate) fn new(asked: &Asked<'_>, needed: &[Needed]) -> Result<Self, ApiError> {
        let mut groups: Vec<Group> = Vec::new();
        for Needed { group, members, needed, .. } in needed {
            let group = Group { name: group.clone(), members: members.clone(), needed: *needed };
            // Two policies may ask for the same.
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        if groups.len() > MAX_GROUPS {
            return Err(ApiError::LimitExceeded(format!(
                "The policies ask for approvals of more than {MAX_GROUPS} groups."
            )));
        }
        // The shortest time that a policy gives.
        let within = needed.iter().map(|needed| needed.within).min().unwrap_or(0);
        let body_sha256 = hex::encode(Sha256::digest(asked.body));
        let mut random = [0; 4];
        fill_random(&mut random)?;
        let context = asked.facts.encryption_context.into_iter().flat_map(|context| context.iter());
        let context =
            context.map(|(name, value)| (format!("EncryptionContext:{name}"), value.to_owned()));
        let parameters = asked.facts.parameters.iter();
        let parameters =
            parameters.map(|(name, value)| (name.to_string(), value.clone())).chain(context);
        Ok(Self {
            id: format!("{}-{}", place(asked, &body_sha256), hex::encode(random)),
            principal: asked.principal.to_owned(),
            operation: asked.operation.name().to_owned(),
            resource: asked.resource.clone(),
            parameters: parameters.take(MAX_SHOWN).collect(),
            body_sha256,
            created: asked.time,
            expires: asked.time.saturating_add(u64::from(within).saturating_mul(1000)),
            groups,
            approved: Vec::new(),
            denied: None,
        })
    }

    /// Where it stands: the same for the same principal, operation, Region and body.
    pub(crate) fn place(&self) -> &str {
        place_of(&self.id).unwrap_or_default()
    }

    /// Whether `principal` is one of those who are asked. Nobody approves what they asked for.
    pub(crate) fn may_be_answered_by(&self, principal: &str) -> bool {
        self.principal != principal
            && self.groups.iter().any(|group| group.members.iter().any(|one| one == principal))
    }

    /// Whether `groups`, which the policies demand now, have agreed.
    pub(crate) fn satisfies(&self, groups: &[Group]) -> bool {
        groups.iter().all(|group| self.count(group) >= usize::from(group.needed))
    }

    /// How many of a group have approved. Each is in the list once.
    pub(crate) fn count(&self, group: &Group) -> usize {
        let counts = |arn: &&String| **arn != self.principal && group.members.contains(arn);
        self.approved.iter().filter(counts).count()
    }

    /// `2 approvals of the group "custodians" (1 there)`
    pub(crate) fn still_needed(&self) -> String {
        let groups = self.groups.iter().map(|group| {
            let (needed, found) = (group.needed, self.count(group));
            let approvals = if needed == 1 { "approval" } else { "approvals" };
            format!("{needed} {approvals} of the group {:?} ({found} there)", group.name)
        });
        groups.collect::<Vec<_>>().join(" and ")
    }

    /// When it ends, for people.
    pub(crate) fn ends(&self) -> String {
        let seconds = i64::try_from(self.expires / 1000).unwrap_or(i64::MAX);
        let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
        time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
    }
}

/// The part of an id that names the place; none where it is no id.
pub(crate) fn place_of(id: &str) -> Option<&str> {
    let (place, random) = id.split_once('-')?;
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (place.len() == 32 && random.len() == 8 && hex(place) && hex(random)).then_some(place)
}

fn place(asked: &Asked<'_>, body_sha256: &str) -> String {
    let mut hash = Sha256::new_with_prefix(LABEL);
    for part in [asked.principal, asked.operation.iam_action(), asked.region, body_sha256] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize()).chars().take(32).collect()
}
