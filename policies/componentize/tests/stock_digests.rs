//! The committed stock components are what their source gives.

use sekisho_policy_componentize::{Builder, stock};
use std::path::Path;

#[test]
fn stock_components_are_what_their_source_gives() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    // Beside the folder of the Cargo command that runs this test, which it locks.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("policy");
    let builder = match Builder::new(&workspace, &target) {
        Ok(builder) => builder,
        Err(error) => panic!("{error}"),
    };
    if let Err(error) = stock::check(&workspace, &builder) {
        panic!("{error}");
    }
}
