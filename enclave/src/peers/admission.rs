//! Whom the root key is given to, and from whom it is taken: the part of the boot configuration that
//! says so, and the check. Both sides check in the same way.

use super::measurement::Measurement;
use super::statement::{InvalidStatement, SignedStatement, UpgradeStatement};
use crate::hpke::HpkeKey;
use sekisho_attestation::backend::AwsLc;
use sekisho_attestation::{
    Expectation, InvalidAnchors, Rejection, Timestamp, TrustAnchors, VerifiedDocument, Verifier,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use thiserror::Error;

/// Measurements, and operators, at the most.
const MAX_LISTED: usize = 16;
/// Statements that are looked at for one join.
const MAX_STATEMENTS: usize = 4;
/// A document is made for the nonce that it holds, within one exchange.
const MAX_AGE: Duration = Duration::from_secs(60);
/// How far the clocks of two instances may differ.
const MAX_SKEW: Duration = Duration::from_secs(60);

/// Which workers may have the root key from one another. All of it is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Root certificates (DER) that their documents may chain to. Never empty.
    #[serde(with = "crate::configuration::certificates")]
    pub roots: Vec<Vec<u8>>,
    /// What they may run.
    pub measurements: Vec<Measurement>,
    /// Public keys (P-384, DER SubjectPublicKeyInfo) of those who may allow others by a statement.
    #[serde(with = "crate::configuration::certificates")]
    pub operators: Vec<Vec<u8>>,
    /// How many of them it takes; 0 where there are none.
    pub operators_needed: u8,
}

/// Proof that a peer may have the root key; only [`Admission::admit`] makes one.
#[derive(Debug)]
pub(crate) struct Admitted {
    document: VerifiedDocument,
    statement: Option<UpgradeStatement>,
}

impl Admitted {
    pub(crate) fn document(&self) -> &VerifiedDocument {
        &self.document
    }

    /// The id of the statement that allows it, where the configuration does not.
    pub(crate) fn statement_id(&self) -> Option<[u8; 16]> {
        self.statement.as_ref().map(|statement| statement.id)
    }

    /// Whether operators have allowed also its configuration.
    pub(crate) fn has_allowed_configuration(&self) -> bool {
        let statement = self.statement.as_ref();
        statement.is_some_and(|statement| statement.measurement.names_configuration())
    }
}

/// Checks peers' documents.
pub(crate) struct Admission {
    peers: Peers,
    account: String,
    verifier: Verifier<AwsLc>,
}

impl Peers {
    /// Checks what the types do not.
    pub(crate) fn check(&self) -> Result<(), InvalidPeers> {
        let Self { roots, measurements, operators, operators_needed } = self;
        if [roots.len(), measurements.len(), operators.len()].iter().any(|it| *it > MAX_LISTED) {
            return Err(InvalidPeers::TooMany);
        }
        if roots.is_empty() {
            return Err(InvalidPeers::NoRoots);
        }
        TrustAnchors::from_der(roots)?;
        for (at, operator) in operators.iter().enumerate() {
            HpkeKey::from_spki(operator).map_err(|_| InvalidPeers::Operator)?;
            if operators.iter().take(at).any(|before| before == operator) {
                return Err(InvalidPeers::SameOperator);
            }
        }
        let needed = usize::from(*operators_needed);
        if needed > operators.len() || (needed == 0) != operators.is_empty() {
            return Err(InvalidPeers::OperatorsNeeded);
        }
        if measurements.is_empty() && operators.is_empty() {
            return Err(InvalidPeers::Nobody);
        }
        Ok(())
    }
}

impl Admission {
    pub(crate) fn new(peers: Peers, account: String) -> Result<Self, InvalidPeers> {
        peers.check()?;
        let verifier = Verifier::with_backend(TrustAnchors::from_der(&peers.roots)?, AwsLc);
        Ok(Self { peers, account, verifier })
    }

    /// Verifies a document that has to hold `nonce`; its registers are on the list, or one of
    /// `statements` allows them.
    pub(crate) fn admit(
        &self,
        document: &[u8],
        nonce: &[u8],
        statements: &[SignedStatement],
        now: Timestamp,
    ) -> Result<Admitted, PeerRefused> {
        let expectation =
            Expectation::any_measurement().nonce(nonce).max_age(MAX_AGE).max_skew(MAX_SKEW);
        let document = self.verifier.verify(document, now, &expectation)?;
        if self.peers.measurements.iter().any(|listed| listed.is_of(&document)) {
            return Ok(Admitted { document, statement: None });
        }
        if statements.len() > MAX_STATEMENTS {
            return Err(PeerRefused::TooManyStatements);
        }
        let mut refused = PeerRefused::NotListed;
        for signed in statements {
            match self.allows(signed, &document, now) {
                Ok(statement) => return Ok(Admitted { document, statement: Some(statement) }),
                Err(reason) => refused = reason,
            }
        }
        Err(refused)
    }

    fn allows(
        &self,
        signed: &SignedStatement,
        document: &VerifiedDocument,
        now: Timestamp,
    ) -> Result<UpgradeStatement, PeerRefused> {
        let (statement, signers) = signed.verify(&self.peers.operators)?;
        let (found, needed) = (signers.len(), usize::from(self.peers.operators_needed));
        if found < needed || needed == 0 {
            return Err(PeerRefused::TooFewSignatures { found, needed });
        }
        if statement.account != self.account {
            return Err(PeerRefused::StatementOfAnotherAccount);
        }
        if now.as_millis() / 1000 >= statement.expires {
            return Err(PeerRefused::StatementExpired);
        }
        if !statement.measurement.is_of(document) {
            return Err(PeerRefused::OtherMeasurement);
        }
        Ok(statement)
    }
}

/// Peers that no worker has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidPeers {
    /// No root certificate.
    #[error("no root certificate is given for peers' attestation documents")]
    NoRoots,
    /// A root certificate.
    #[error("roots for peers' attestation documents: {0}")]
    Anchors(#[from] InvalidAnchors),
    /// More than are looked through.
    #[error("more than {MAX_LISTED} roots, measurements or operators for peers")]
    TooMany,
    /// An operator's key.
    #[error(
        "an operator's key is not a P-384 key in DER SubjectPublicKeyInfo form with a named curve \
         and an uncompressed point"
    )]
    Operator,
    /// An operator is given twice.
    #[error("an operator's key is given twice")]
    SameOperator,
    /// The number of operators.
    #[error("how many operators it takes is a number from 1 to the number of operators' keys")]
    OperatorsNeeded,
    /// Nobody could join.
    #[error("neither a measurement nor an operator is given for peers")]
    Nobody,
    /// A worker that gets its root key from a peer does not know which peers there are.
    #[error("the root key comes from a peer, and no peers are configured")]
    NotConfigured,
}

/// Why a peer is refused: the rule that failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PeerRefused {
    #[error("its document: {0}")]
    Document(#[from] Rejection),
    #[error("its measurement is not on the list, and no statement of the operators allows it")]
    NotListed,
    #[error("more than {MAX_STATEMENTS} upgrade statements")]
    TooManyStatements,
    #[error(transparent)]
    Statement(#[from] InvalidStatement),
    #[error("the upgrade statement has {found} of {needed} operators' signatures")]
    TooFewSignatures { found: usize, needed: usize },
    #[error("the upgrade statement is for another account")]
    StatementOfAnotherAccount,
    #[error("the upgrade statement has expired")]
    StatementExpired,
    #[error("the upgrade statement allows another measurement")]
    OtherMeasurement,

    // The joining worker alone.
    #[error("the nonce was used, has expired, or was never given on this connection")]
    StaleNonce,
    #[error("the document was made for another worker, or another connection")]
    MadeForAnother,
    #[error("the document has no P-384 key that the root key could be encrypted to")]
    NoKey,
    #[error("the configuration is malformed")]
    MalformedConfiguration,
    #[error("the configuration is not the one in PCR16")]
    OtherConfiguration,
    #[error("it is a worker of another account")]
    OtherAccount,
    #[error("it serves other Regions")]
    OtherRegions,
    #[error("it wants to join another service than this one")]
    OtherService,
    #[error("its configuration has other {0}")]
    Differs(&'static str),
}

impl PeerRefused {
    /// The rule that failed, as the joining worker hears and logs it.
    pub(crate) fn rule(&self) -> &'static str {
        match self {
            Self::Document(_) => "document",
            Self::NotListed => "not-listed",
            Self::TooManyStatements => "too-many-statements",
            Self::Statement(_) => "statement",
            Self::TooFewSignatures { .. } => "too-few-signatures",
            Self::StatementOfAnotherAccount => "statement-of-another-account",
            Self::StatementExpired => "statement-expired",
            Self::OtherMeasurement => "other-measurement",
            Self::StaleNonce => "stale-nonce",
            Self::MadeForAnother => "made-for-another",
            Self::NoKey => "no-key",
            Self::MalformedConfiguration => "malformed-configuration",
            Self::OtherConfiguration => "other-configuration",
            Self::OtherAccount => "other-account",
            Self::OtherRegions => "other-regions",
            Self::OtherService => "other-service",
            Self::Differs(_) => "differs",
        }
    }

    /// A rule that a giving worker names, as a word of this program's own.
    pub(crate) fn known_rule(name: &str) -> Option<&'static str> {
        RULES.iter().copied().find(|rule| *rule == name)
    }
}

/// [`PeerRefused::rule`] of each.
const RULES: [&str; 17] = [
    "document",
    "not-listed",
    "too-many-statements",
    "statement",
    "too-few-signatures",
    "statement-of-another-account",
    "statement-expired",
    "other-measurement",
    "stale-nonce",
    "made-for-another",
    "no-key",
    "malformed-configuration",
    "other-configuration",
    "other-account",
    "other-regions",
    "other-service",
    "differs",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpke::HpkePair;

    #[test]
    fn peers_without_meaning_are_refused() {
        let root = TrustAnchors::aws_nitro().iter().next().unwrap().to_vec();
        let ab = "ab".repeat(48);
        let operator = || HpkePair::generate().unwrap().public_key().to_vec();
        let good = Peers {
            roots: vec![root],
            measurements: vec![format!("0={ab},1={ab},2={ab}").parse().unwrap()],
            operators: vec![operator(), operator()],
            operators_needed: 2,
        };
        let checked = |change: &dyn Fn(&mut Peers)| {
            let mut changed = good.clone();
            change(&mut changed);
            changed.check()
        };
        assert_eq!(checked(&|_| {}), Ok(()));
        assert_eq!(checked(&|peers| peers.measurements.clear()), Ok(()));
        let without_operators = |peers: &mut Peers| {
            peers.operators.clear();
            peers.operators_needed = 0;
        };
        assert_eq!(checked(&without_operators), Ok(()));
        assert_eq!(checked(&|peers| peers.roots.clear()), Err(InvalidPeers::NoRoots));
        assert!(matches!(
            checked(&|peers| peers.roots[0] = vec![1]),
            Err(InvalidPeers::Anchors(_))
        ));
        assert_eq!(checked(&|peers| peers.operators[0] = vec![1]), Err(InvalidPeers::Operator));
        let twice = |peers: &mut Peers| peers.operators[0] = peers.operators[1].clone();
        assert_eq!(checked(&twice), Err(InvalidPeers::SameOperator));
        for needed in [0, 3] {
            let changed = checked(&|peers| peers.operators_needed = needed);
            assert_eq!(changed, Err(InvalidPeers::OperatorsNeeded));
        }
        let nobody = |peers: &mut Peers| {
            without_operators(peers);
            peers.measurements.clear();
        };
        assert_eq!(checked(&nobody), Err(InvalidPeers::Nobody));
        let many = |peers: &mut Peers| peers.measurements = vec![peers.measurements[0].clone(); 17];
        assert_eq!(checked(&many), Err(InvalidPeers::TooMany));
    }

    #[test]
    fn every_rule_is_known_to_the_other_side() {
        for rule in RULES {
            assert_eq!(PeerRefused::known_rule(rule), Some(rule));
        }
        assert_eq!(PeerRefused::known_rule("MARKER"), None);
        for refused in [PeerRefused::NotListed, PeerRefused::NoKey, PeerRefused::Differs("x")] {
            assert!(RULES.contains(&refused.rule()));
        }
    }
}
