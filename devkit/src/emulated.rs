//! A Nitro Secure Module in software, with the real one's states, errors and wire.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sekisho_nsm::wire::{Digest, ErrorCode, Request, Response};
use sekisho_nsm::{AttestationRequest, MAX_REQUEST, Nsm};
use sha2::{Digest as _, Sha384};

use crate::document::{Document, PayloadForm};
use crate::pki::{Chain, DevelopmentPki, Leaf, random_key};

/// Registers of the real module.
const PCRS: usize = 32;

/// Registers that are locked when an enclave starts: 0 to 15.
const LOCKED_AT_START: usize = 16;

/// Bytes that the real module answers to GetRandom.
const RANDOM: usize = 256;

/// A leaf is replaced this long before it ends, so that a fresh document can be used for a while.
const LEAF_RESERVE: Duration = Duration::from_secs(600);

/// What an enclave's registers show when it starts (AWS Nitro Enclaves user guide,
/// "Where to get an enclave's measurements").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurements {
    /// The enclave image.
    pub pcr0: [u8; 48],
    /// Kernel and boot ramdisk.
    pub pcr1: [u8; 48],
    /// Applications.
    pub pcr2: [u8; 48],
    /// The parent instance's IAM role; zero if it has none.
    pub pcr3: [u8; 48],
    /// The parent instance's id.
    pub pcr4: [u8; 48],
    /// The certificate that signed the image; zero if it is not signed.
    pub pcr8: [u8; 48],
}

impl Measurements {
    /// Measurements that stand for some code: different for different code, the same every time.
    pub fn of(code: &[u8]) -> Self {
        let measure = |register: &str| {
            let mut hash = Sha384::new();
            hash.update(b"sekisho development measurement of ");
            hash.update(register);
            hash.update([0]);
            hash.update(code);
            hash.finalize().into()
        };
        Self {
            pcr0: measure("PCR0"),
            pcr1: measure("PCR1"),
            pcr2: measure("PCR2"),
            pcr3: [0; 48],
            pcr4: Sha384::digest(b"sekisho development instance").into(),
            pcr8: [0; 48],
        }
    }
}

/// How an [`EmulatedNsm`] behaves.
pub struct Options {
    /// In debug mode PCR0 to 2 are zero.
    pub debug: bool,
    /// How documents' payloads are written.
    pub form: PayloadForm,
    /// The module's name, `<instance>-enc<16 digits>`.
    pub module_id: String,
    /// What time it is.
    pub clock: Clock,
}

/// What time it is.
pub type Clock = Box<dyn Fn() -> SystemTime + Send + Sync>;

impl Default for Options {
    fn default() -> Self {
        Self {
            debug: false,
            form: PayloadForm::default(),
            module_id: "i-development-enc0000000000000000".to_owned(),
            clock: Box::new(SystemTime::now),
        }
    }
}

/// An emulated Nitro Secure Module. Its documents lead to a development root.
pub struct EmulatedNsm {
    pki: DevelopmentPki,
    options: Options,
    state: Mutex<State>,
}

struct State {
    pcrs: [Pcr; PCRS],
    signer: Option<(Chain, Leaf)>,
}

#[derive(Clone, Copy)]
struct Pcr {
    value: [u8; 48],
    locked: bool,
}

impl EmulatedNsm {
    /// The module of an enclave that has just started.
    pub fn new(pki: DevelopmentPki, measurements: &Measurements, options: Options) -> Self {
        let zero = [0; 48];
        let code = |value| if options.debug { zero } else { value };
        let value = |index| match index {
            0 => code(measurements.pcr0),
            1 => code(measurements.pcr1),
            2 => code(measurements.pcr2),
            3 => measurements.pcr3,
            4 => measurements.pcr4,
            8 => measurements.pcr8,
            _ => zero,
        };
        let pcr = |index| Pcr { value: value(index), locked: index < LOCKED_AT_START };
        let state = State { pcrs: std::array::from_fn(pcr), signer: None };
        Self { pki, options, state: Mutex::new(state) }
    }

    /// Answers a request in the bytes of the real device's interface: CBOR in, CBOR out.
    ///
    /// A request that is longer than [`MAX_REQUEST`] is too large, and one that is not a request
    /// is not an operation.
    pub fn process_cbor(&self, request: &[u8]) -> Vec<u8> {
        let response = if request.len() > MAX_REQUEST {
            Response::Error(ErrorCode::InputTooLarge)
        } else {
            match serde_cbor::from_slice(request) {
                Ok(request) => self.process(request),
                Err(_) => Response::Error(ErrorCode::InvalidOperation),
            }
        };
        // Responses are maps of integers and strings, which do not fail to encode.
        serde_cbor::to_vec(&response).unwrap_or_default()
    }

    /// The document that an attestation request would be answered with, not yet signed, and what
    /// signs it: for tests that spoil it first.
    pub fn document(&self, request: AttestationRequest) -> (Document, Leaf) {
        let mut state = self.state();
        let now = (self.options.clock)();
        let (chain, leaf) = self.signer(&mut state, now);
        let pcrs = state.pcrs.iter().enumerate().filter(|(_, pcr)| pcr.locked);
        let document = Document {
            module_id: self.options.module_id.clone(),
            digest: "SHA384".to_owned(),
            timestamp: now,
            pcrs_field: "pcrs".to_owned(),
            pcrs: pcrs.map(|(index, pcr)| (index as u64, pcr.value.to_vec())).collect(),
            certificate: leaf.certificate.clone(),
            cabundle: chain.cabundle(),
            public_key: request.public_key,
            user_data: request.user_data,
            nonce: request.nonce,
            form: self.options.form,
        };
        (document, leaf)
    }

    /// A document that must not be believed.
    pub fn forge(&self, request: AttestationRequest, forgery: Forgery) -> Vec<u8> {
        let (mut document, leaf) = self.document(request);
        match forgery {
            Forgery::SignedByAnotherKey => document.sign(&random_key()),
            Forgery::ChangedMeasurement => {
                let mut signed = document.sign(&leaf.key);
                let pcr0 = document.pcrs.get(&0).cloned().unwrap_or_default();
                let at = signed.windows(pcr0.len()).position(|part| part == pcr0);
                if let Some(byte) = at.and_then(|at| signed.get_mut(at)) {
                    *byte ^= 1;
                }
                signed
            }
            Forgery::OtherRoot => {
                let now = document.timestamp;
                let chain = DevelopmentPki::generate(now).chain(now);
                let leaf = chain.leaf(&document.module_id, now);
                document.certificate = leaf.certificate;
                document.cabundle = chain.cabundle();
                document.sign(&leaf.key)
            }
            Forgery::OtherChainBelowTheRoot => {
                let now = document.timestamp;
                let chain = DevelopmentPki::generate(now).chain(now);
                let leaf = chain.leaf(&document.module_id, now);
                let below = chain.cabundle().into_iter().skip(1);
                document.certificate = leaf.certificate;
                document.cabundle = document.cabundle.into_iter().take(1).chain(below).collect();
                document.sign(&leaf.key)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements: a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leaf, reused until shortly before it ends, as AWS does.
    fn signer(&self, state: &mut State, now: SystemTime) -> (Chain, Leaf) {
        let lives = |not_after: SystemTime, reserve| {
            now.checked_add(reserve).is_some_and(|later| later < not_after)
        };
        match &state.signer {
            Some((chain, leaf)) if lives(leaf.not_after, LEAF_RESERVE) => {
                (chain.clone(), leaf.clone())
            }
            _ => {
                let chain = self.pki.chain(now);
                let leaf = chain.leaf(&self.options.module_id, now);
                state.signer.insert((chain, leaf)).clone()
            }
        }
    }

    fn extend(state: &mut State, index: u16, data: &[u8]) -> Result<Response, ErrorCode> {
        let pcr = register(state, index)?;
        if pcr.locked {
            return Err(ErrorCode::ReadOnlyIndex);
        }
        let mut hash = Sha384::new();
        hash.update(pcr.value);
        hash.update(data);
        pcr.value = hash.finalize().into();
        Ok(Response::ExtendPCR { data: pcr.value.to_vec() })
    }

    fn lock(state: &mut State, index: u16) -> Result<Response, ErrorCode> {
        let pcr = register(state, index)?;
        if std::mem::replace(&mut pcr.locked, true) {
            Err(ErrorCode::ReadOnlyIndex)
        } else {
            Ok(Response::LockPCR)
        }
    }

    fn lock_range(state: &mut State, range: u16) -> Result<Response, ErrorCode> {
        let pcrs = state.pcrs.get_mut(..usize::from(range)).ok_or(ErrorCode::InvalidIndex)?;
        pcrs.iter_mut().for_each(|pcr| pcr.locked = true);
        Ok(Response::LockPCRs)
    }

    fn described(&self, state: &State) -> Response {
        let locked = state.pcrs.iter().zip(0..).filter(|(pcr, _)| pcr.locked);
        Response::DescribeNSM {
            version_major: 1,
            version_minor: 0,
            version_patch: 0,
            module_id: self.options.module_id.clone(),
            max_pcrs: PCRS as u16,
            locked_pcrs: locked.map(|(_, index)| index).collect::<BTreeSet<u16>>(),
            digest: Digest::SHA384,
        }
    }

    fn attest(&self, request: AttestationRequest) -> Result<Response, ErrorCode> {
        // As the driver has it: the request as a whole is limited, its parts are not.
        let parts = [&request.user_data, &request.nonce, &request.public_key];
        let length: usize = parts.into_iter().flatten().map(Vec::len).sum();
        if length > MAX_REQUEST {
            return Err(ErrorCode::InputTooLarge);
        }
        let (document, leaf) = self.document(request);
        Ok(Response::Attestation { document: document.sign(&leaf.key) })
    }

    fn answer(&self, request: Request) -> Result<Response, ErrorCode> {
        match request {
            Request::DescribePCR { index } => {
                let pcr = *register(&mut self.state(), index)?;
                Ok(Response::DescribePCR { lock: pcr.locked, data: pcr.value.to_vec() })
            }
            Request::ExtendPCR { index, data } => Self::extend(&mut self.state(), index, &data),
            Request::LockPCR { index } => Self::lock(&mut self.state(), index),
            Request::LockPCRs { range } => Self::lock_range(&mut self.state(), range),
            Request::DescribeNSM => Ok(self.described(&self.state())),
            Request::Attestation { user_data, nonce, public_key } => {
                self.attest(AttestationRequest {
                    user_data: user_data.map(|bytes| bytes.into_vec()),
                    nonce: nonce.map(|bytes| bytes.into_vec()),
                    public_key: public_key.map(|bytes| bytes.into_vec()),
                })
            }
            Request::GetRandom => {
                let mut random = vec![0; RANDOM];
                aws_lc_rs::rand::fill(&mut random).map_err(|_| ErrorCode::InternalError)?;
                Ok(Response::GetRandom { random })
            }
            _ => Err(ErrorCode::InvalidOperation),
        }
    }
}

impl Nsm for EmulatedNsm {
    fn process(&self, request: Request) -> Response {
        self.answer(request).unwrap_or_else(Response::Error)
    }
}

fn register(state: &mut State, index: u16) -> Result<&mut Pcr, ErrorCode> {
    state.pcrs.get_mut(usize::from(index)).ok_or(ErrorCode::InvalidIndex)
}

/// How a document is forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgery {
    /// Right in everything, but signed by a key that is not the certificate's.
    SignedByAnotherKey,
    /// Signed by the right key, and PCR0 changed afterwards.
    ChangedMeasurement,
    /// Right in everything, under a root that someone made himself.
    OtherRoot,
    /// As [`Self::OtherRoot`], with the right root put in front.
    OtherChainBelowTheRoot,
}
