//! boto3, unmodified, over TLS through the relay. What is expected stands in `clients/*.py`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use running::{Service, folder};

fn script(name: &str) {
    let folder = folder();
    Service::start(folder.path()).python(name, &[]);
}

/// With a second Region, which `state.py` knows.
fn script_in_regions(name: &str) {
    let folder = folder();
    let arguments = ["us-east-1", "eu-central-1"].map(|region| ["--region", region]);
    let users = [["--user", "alice"], ["--user", "bob"]];
    let arguments = [users.as_flattened(), arguments.as_flattened()].concat();
    Service::start_with(folder.path(), &arguments).python(name, &[]);
}

#[test]
fn what_goes_in_comes_out() {
    let folder = folder();
    let service = Service::start(folder.path());
    service.python("symmetric.py", &[]);
    // What the search for plaintexts rests on.
    assert!(service.overheard.told() > 10, "the script has told of its plaintexts");
}

#[test]
fn keys_and_aliases_are_listed() {
    script("listing.py");
}

#[test]
fn the_state_of_a_key_forbids_what_it_does_at_aws() {
    script("lifecycle.py");
}

#[test]
fn aliases_and_tags_move_and_go() {
    script("names.py");
}

#[test]
fn keys_rotate_and_ciphertexts_move() {
    script("rotation.py");
}

#[test]
fn macs_are_made_and_verified() {
    script("mac.py");
}

#[test]
fn what_asymmetric_keys_do_openssl_agrees_with() {
    script("asymmetric.py");
}

#[test]
fn what_ed25519_keys_sign_others_verify() {
    script("edwards.py");
}

#[test]
fn what_lattice_keys_do_others_agree_with() {
    script("lattices.py");
}

#[test]
fn imported_private_keys_do_what_openssl_does_with_them() {
    script("imported_kinds.py");
}

#[test]
fn imported_material_comes_as_openssl_wraps_it_and_goes_in_time() {
    let (data, state) = (folder(), folder());
    let state = state.path().join("state.json");
    let state = state.to_str().expect("a path in UTF-8");
    let first = Service::start(data.path());
    first.python("imported.py", &["make", state]);
    assert!(first.overheard.told() > 10, "the script has told of the material");
    assert_eq!(first.stop(), Some(0));
    let second = Service::start(data.path());
    second.python("imported.py", &["find", state]);
    assert_eq!(second.stop(), Some(0));
}

#[test]
fn what_waits_for_its_material_forbids_what_it_does_at_aws() {
    script("pending_import.py");
}

#[test]
fn a_grant_lets_as_far_as_it_says() {
    script("grants.py");
}

#[test]
fn the_policy_of_a_key_decides() {
    script("policies.py");
}

#[test]
fn errors_are_those_of_aws() {
    script("errors.py");
}

#[test]
fn every_member_is_held_to_awss_service_model() {
    script_in_regions("model.py");
}

#[test]
fn awss_examples_are_answered_as_they_say() {
    let folder = folder();
    let place = ["--account", "111122223333", "--region", "us-east-2", "--region", "us-west-2"];
    Service::start_with(folder.path(), &place).python("examples.py", &[]);
}

#[test]
fn a_dry_run_looks_at_no_ciphertext_where_it_is_told_so() {
    script("dry_run.py");
}

#[test]
fn every_operation_has_its_audit_record() {
    script_in_regions("audited.py");
}

#[test]
fn a_client_that_waits_comes_through_the_quotas() {
    let folder = folder();
    let quotas = ["--quota", "CreateKey=1/2", "--quota", "Cryptographic operations (symmetric)=10"];
    let arguments = [["--user", "alice"].as_slice(), &quotas].concat();
    Service::start_with(folder.path(), &arguments).python("throttled.py", &[]);
}

#[test]
fn a_tampered_request_is_not_obeyed() {
    script("tampered.py");
}

#[test]
fn an_attested_caller_gets_what_only_its_key_opens() {
    script("attested.py");
}

#[test]
fn any_operation_may_come_with_a_document_for_its_body() {
    script("attested_requests.py");
}

#[test]
fn keys_are_of_a_region_and_multi_region_keys_of_several() {
    let (data, state) = (folder(), folder());
    let state = state.path().join("state.json");
    let state = state.to_str().expect("a path in UTF-8");
    let users = ["--user", "alice", "--user", "bob"];
    let regions = ["us-east-1", "eu-west-1", "ap-southeast-2"].map(|name| ["--region", name]);
    let first =
        Service::start_with(data.path(), &[users.as_slice(), regions.as_flattened()].concat());
    first.python("regions.py", &["make", state]);
    assert_eq!(first.stop(), Some(0));
    // The Regions of the first start are kept.
    let second = Service::start(data.path());
    second.python("regions.py", &["find", state]);
    assert_eq!(second.stop(), Some(0));
}

#[test]
fn a_second_start_finds_the_keys_of_the_first() {
    two_starts("restarted.py");
}

#[test]
fn a_second_start_knows_when_keys_were_last_used() {
    two_starts("usage.py");
}

fn two_starts(name: &str) {
    let (data, state) = (folder(), folder());
    let state = state.path().join("state.json");
    let state = state.to_str().expect("a path in UTF-8");
    let first = Service::start(data.path());
    first.python(name, &["make", state]);
    assert_eq!(first.stop(), Some(0));
    let second = Service::start(data.path());
    second.python(name, &["find", state]);
    assert_eq!(second.stop(), Some(0));
}
