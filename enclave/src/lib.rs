//! The sealed worker of Sekisho: TLS, AWS KMS API, keys.
