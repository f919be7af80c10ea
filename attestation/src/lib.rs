//! Verifies AWS Nitro attestation documents.
