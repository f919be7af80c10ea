//! Any body for any operation; the first byte says which. And any bytes as a ciphertext.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_enclave::probe::parsers;
use sekisho_fuzz::within_allowance;

const TARGETS: [&str; 23] = [
    "TrentService.CreateAlias",
    "TrentService.CreateKey",
    "TrentService.Decrypt",
    "TrentService.DescribeKey",
    "TrentService.Encrypt",
    "TrentService.GenerateDataKey",
    "TrentService.GetKeyPolicy",
    "TrentService.GetParametersForImport",
    "TrentService.ImportKeyMaterial",
    "TrentService.ListAliases",
    "TrentService.ListKeys",
    "TrentService.PutKeyPolicy",
    "Sekisho.CreateAccessKey",
    "Sekisho.CreatePrincipal",
    "Sekisho.CreateSession",
    "Sekisho.DeleteAccessKey",
    "Sekisho.DeletePolicyModule",
    "Sekisho.DeletePrincipal",
    "Sekisho.ListAccessKeys",
    "Sekisho.ListPolicyModules",
    "Sekisho.ListPrincipals",
    "Sekisho.RegisterPolicyModule",
    "Sekisho.UpdateAccessKey",
];

fuzz_target!(|input: &[u8]| {
    let Some((which, body)) = input.split_first() else { return };
    let target = TARGETS[usize::from(*which) % TARGETS.len()];
    within_allowance(|| parsers::action(target, body));
    within_allowance(|| parsers::ciphertext(body));
});
