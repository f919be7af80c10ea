//! Stock policy: AWS key policy documents.
