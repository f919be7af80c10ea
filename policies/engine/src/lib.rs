//! Evaluates key policies as sandboxed WebAssembly components.
