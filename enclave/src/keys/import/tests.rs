//! How imported material comes and goes.

use super::*;
use crate::keys::pair;
use sekisho_wire::codec;

const KEY: KeyId = KeyId::from_u128(7);

fn symmetric() -> Key {
    let kind = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
    Key::external(KEY, 0, String::new(), Vec::new(), kind)
}

fn material(byte: u8) -> NewMaterial {
    let kind = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
    NewMaterial::read(KEY, kind.0, kind.1, &[byte; 32]).unwrap()
}

fn id(byte: u8) -> MaterialId {
    material(byte).id
}

fn new() -> Terms {
    Terms { kind: Some(ImportType::New), ..Terms::default() }
}

fn until(valid_to: u64) -> Terms {
    Terms { valid_to: Some(valid_to), ..Terms::default() }
}

/// As it is after a restart.
fn kept(key: &Key) -> Key {
    codec::decode(&codec::encode(key).unwrap()).unwrap()
}

/// The ids, oldest first, and whether the material is there.
fn materials(key: &Key) -> Vec<(MaterialId, bool)> {
    let all = key.materials().iter().chain(key.pending_material());
    all.map(|material| (material.id(), material.secret().is_some())).collect()
}

#[test]
fn a_key_waits_for_its_first_material() {
    let mut key = symmetric();
    assert_eq!((key.state, key.current_material().is_none()), (KeyState::PendingImport, true));
    let existing = Terms { kind: Some(ImportType::Existing), ..Terms::default() };
    let refused = key.import(material(1), existing, 5).unwrap_err();
    assert_eq!(refused, ImportRefused::NothingKnown { id: id(1) });
    let named = Terms { id: Some(id(1)), ..Terms::default() };
    let unexpected = Err(ImportRefused::Unexpected { expected: id(1) });
    assert_eq!(key.import(material(1), named, 5), unexpected);
    assert_eq!(key.delete_imported(None), Ok(None));
    assert_eq!(key.delete_imported(Some(id(1))), Err(NeverImported));
    assert!(!key.rotate_to_imported(5));
    assert_eq!(key.import(material(1), Terms::default(), 5), Ok(id(1)));
    let key = kept(&key);
    assert_eq!((key.state, key.origin), (KeyState::Enabled, Origin::External));
    let current = key.current_material().unwrap();
    assert_eq!((current.id(), current.created, current.rotation), (id(1), 5, None));
    assert_eq!(current.secret().unwrap().expose(), &[1; 32]);
}

#[test]
fn only_the_same_material_comes_again() {
    let mut key = symmetric();
    key.import(material(1), new(), 0).unwrap();
    for state in [KeyState::Enabled, KeyState::Disabled] {
        for is_there in [true, false] {
            key.state = state;
            if !is_there {
                assert_eq!(key.delete_imported(None), Ok(Some(id(1))));
                assert_eq!(key.delete_imported(Some(id(1))), Ok(Some(id(1))));
                assert_eq!(key.state, KeyState::PendingImport);
                assert_eq!(key.valid_to(), None);
            }
            key = kept(&key);
            assert_eq!(materials(&key), [(id(1), is_there)]);
            let unexpected = Err(ImportRefused::Unexpected { expected: id(1) });
            assert_eq!(key.import(material(2), Terms::default(), 0), unexpected);
            assert_eq!(key.import(material(1), new(), 0), Err(ImportRefused::Known { id: id(1) }));
            let other = Terms { id: Some(id(2)), ..Terms::default() };
            let unexpected = Err(ImportRefused::Unexpected { expected: id(2) });
            assert_eq!(key.import(material(1), other, 0), unexpected);
            let same = Terms { id: Some(id(1)), ..Terms::default() };
            assert_eq!(key.import(material(1), same, 0), Ok(id(1)));
            assert_eq!((key.state, materials(&key)), (KeyState::Enabled, vec![(id(1), true)]));
        }
    }
}

#[test]
fn a_description_stays_until_there_is_another() {
    let mut key = symmetric();
    let described = |text: &str| Terms { description: Some(text.into()), ..Terms::default() };
    let found = |key: &Key| key.materials()[0].import.clone().unwrap().description;
    key.import(material(1), described("first"), 0).unwrap();
    key.delete_imported(None).unwrap();
    key.import(material(1), Terms::default(), 0).unwrap();
    assert_eq!(found(&kept(&key)).as_deref(), Some("first"));
    key.import(material(1), described("second"), 0).unwrap();
    assert_eq!(found(&key).as_deref(), Some("second"));
}

#[test]
fn new_material_waits_for_a_rotation() {
    let mut key = symmetric();
    key.import(material(1), new(), 0).unwrap();
    assert!(!key.rotate_to_imported(1));
    assert_eq!(key.import(material(2), new(), 10), Ok(id(2)));
    let waiting = Err(ImportRefused::Waiting { id: id(3), pending: id(2) });
    assert_eq!(key.import(material(3), new(), 10), waiting);
    assert_eq!(key.current_material().unwrap().id(), id(1));
    // What waits can be taken back, and be forgotten with its identity.
    assert_eq!(key.delete_imported(Some(id(2))), Ok(Some(id(2))));
    assert_eq!((key.state, materials(&key)), (KeyState::Enabled, vec![(id(1), true)]));
    assert_eq!(key.delete_imported(Some(id(2))), Err(NeverImported));
    assert_eq!(key.import(material(3), new(), 10), Ok(id(3)));
    let mut key = kept(&key);
    assert!(key.rotate_to_imported(20));
    let key = &mut kept(&key);
    assert_eq!(materials(key), [(id(1), true), (id(3), true)]);
    let current = key.current_material().unwrap();
    assert_eq!((current.id(), current.created), (id(3), 20));
    assert_eq!(current.rotation, Some(RotationType::OnDemand));
    assert!(key.material(id(1)).is_some() && key.pending_material().is_none());

    // Any that the key was used with is missed.
    assert_eq!(key.delete_imported(Some(id(1))), Ok(Some(id(1))));
    assert_eq!(key.state, KeyState::PendingImport);
    assert_eq!(key.import(material(3), Terms::default(), 20), Ok(id(3)));
    assert_eq!(key.state, KeyState::PendingImport);
    assert_eq!(key.import(material(1), Terms::default(), 20), Ok(id(1)));
    assert_eq!(key.state, KeyState::Enabled);
    // The order is that of the rotations.
    assert_eq!(materials(key), [(id(1), true), (id(3), true)]);
}

#[test]
fn material_expires_at_its_time() {
    let mut key = symmetric();
    key.import(material(1), until(1000), 0).unwrap();
    assert_eq!(
        (key.valid_to(), key.next_expiry(), key.due()),
        (Some(1000), Some(1000), Some(1000))
    );
    key.expire(999);
    assert_eq!((key.state, key.state_at(999)), (KeyState::Enabled, KeyState::Enabled));
    // Whether or not it has been written.
    assert_eq!(key.state_at(1000), KeyState::PendingImport);
    key.expire(1000);
    let mut key = kept(&key);
    assert_eq!((key.state, materials(&key)), (KeyState::PendingImport, vec![(id(1), false)]));
    assert_eq!((key.valid_to(), key.due()), (None, None));
    // Again on other terms, and again on these.
    key.import(material(1), Terms::default(), 2000).unwrap();
    assert_eq!(key.due(), None);
    key.import(material(1), until(3000), 2000).unwrap();
    key.import(material(1), until(4000), 2000).unwrap();
    assert_eq!(key.due(), Some(4000));
}

#[test]
fn what_waits_expires_without_harm() {
    let mut key = symmetric();
    key.import(material(1), until(5000), 0).unwrap();
    key.import(material(2), Terms { valid_to: Some(1000), ..new() }, 0).unwrap();
    assert_eq!((key.valid_to(), key.due()), (Some(5000), Some(1000)));
    assert_eq!(key.state_at(1000), KeyState::Enabled);
    assert!(!key.clone().rotate_to_imported(1000) && key.clone().rotate_to_imported(999));
    key.expire(1000);
    let mut key = kept(&key);
    assert_eq!((key.state, key.due()), (KeyState::Enabled, Some(5000)));
    assert_eq!(materials(&key), [(id(1), true), (id(2), false)]);
    assert!(!key.rotate_to_imported(1000));
    assert_eq!(key.import(material(2), new(), 1000), Err(ImportRefused::Known { id: id(2) }));
    key.import(material(2), Terms::default(), 1000).unwrap();
    assert!(key.rotate_to_imported(1000));
}

#[test]
fn a_key_that_is_to_be_deleted_stays_so() {
    let mut key = symmetric();
    key.import(material(1), until(1000), 0).unwrap();
    let going = KeyState::PendingDeletion { deletion: 500 };
    key.state = going;
    assert_eq!(key.due(), Some(500));
    assert_eq!(key.state_without_deletion(), KeyState::Disabled);
    key.state = KeyState::PendingDeletion { deletion: 5000 };
    assert_eq!(key.due(), Some(1000));
    assert_eq!(key.state_at(1000), key.state);
    key.expire(1000);
    assert_eq!((key.state.name(), key.due()), ("PendingDeletion", Some(5000)));
    assert_eq!(key.state_without_deletion(), KeyState::PendingImport);
    key.state = going;
    key.delete_imported(None).unwrap();
    assert_eq!(key.state, going);
}

#[test]
fn the_same_material_has_another_id_in_another_key() {
    let kind = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
    let other = NewMaterial::read(KeyId::NIL, kind.0, kind.1, &[1; 32]).unwrap();
    assert_ne!(other.id, id(1));
    assert_ne!(id(1), KeyMaterial::from_secret(Secret::from_bytes(&[1; 32]), 0).id());
}

#[test]
fn hmac_keys_and_key_pairs_keep_the_one_that_they_had() {
    let make = |spec| pair::generate(spec).unwrap();
    let hmac = |byte: u8| Zeroizing::new(vec![byte; 48]);
    use KeySpec::{EccNistP256, EccSecgP256k1, Hmac384, Rsa2048};
    use KeyUsage::{EncryptDecrypt, GenerateVerifyMac, KeyAgreement, SignVerify};
    for (spec, usage, one, other) in [
        (Hmac384, GenerateVerifyMac, hmac(1), hmac(2)),
        (Rsa2048, SignVerify, make(Rsa2048), make(Rsa2048)),
        (Rsa2048, EncryptDecrypt, make(Rsa2048), make(Rsa2048)),
        (EccNistP256, KeyAgreement, make(EccNistP256), make(EccNistP256)),
        (EccSecgP256k1, SignVerify, make(EccSecgP256k1), make(EccSecgP256k1)),
    ] {
        let read = |bytes: &[u8]| NewMaterial::read(KEY, spec, usage, bytes).unwrap();
        let mut key = Key::external(KEY, 0, String::new(), Vec::new(), (spec, usage));
        assert!(key.lacks_material() && key.private().is_none());
        let first = key.import(read(&one), until(1000), 0).unwrap();
        let mut key = kept(&key);
        assert_eq!((key.state, key.due()), (KeyState::Enabled, Some(1000)));
        assert_eq!(key.private().unwrap().expose(), one.as_slice());
        let unexpected = Err(ImportRefused::Unexpected { expected: first });
        assert_eq!(key.import(read(&other), Terms::default(), 0), unexpected);
        key.expire(1000);
        let mut key = kept(&key);
        assert_eq!((key.state, key.due()), (KeyState::PendingImport, None));
        assert!(key.private().is_none());
        assert_eq!(key.import(read(&other), Terms::default(), 0), unexpected);
        assert_eq!(key.import(read(&one), Terms::default(), 0), Ok(first));
        assert_eq!(key.delete_imported(None), Ok(None));
        assert_eq!((key.state, key.valid_to()), (KeyState::PendingImport, None));
        assert_eq!(key.import(material(1), Terms::default(), 0), Err(ImportRefused::OtherKind));
    }
    let mut key = symmetric();
    let hmac = NewMaterial::read(KEY, Hmac384, GenerateVerifyMac, &hmac(1)).unwrap();
    assert_eq!(key.import(hmac, Terms::default(), 0), Err(ImportRefused::OtherKind));
}

#[test]
fn material_of_another_kind_or_length_is_not_read() {
    use KeySpec::{EccNistP256, EccNistP384, Hmac256, Rsa2048, Rsa3072, SymmetricDefault};
    use KeyUsage::{EncryptDecrypt, GenerateVerifyMac, KeyAgreement, SignVerify};
    let read = |spec, usage, bytes: &[u8]| NewMaterial::read(KEY, spec, usage, bytes).is_ok();
    for length in [0, 16, 31, 32, 33, 128, 129, 4096] {
        let bytes = vec![1; length];
        assert_eq!(read(SymmetricDefault, EncryptDecrypt, &bytes), length == 32, "{length}");
        let is_hmac = (32..=128).contains(&length);
        assert_eq!(read(Hmac256, GenerateVerifyMac, &bytes), is_hmac, "{length}");
        assert!(!read(Rsa2048, SignVerify, &bytes), "{length}");
    }
    let (rsa, p256) = (pair::generate(Rsa2048).unwrap(), pair::generate(EccNistP256).unwrap());
    assert!(read(Rsa2048, SignVerify, &rsa) && read(Rsa2048, EncryptDecrypt, &rsa));
    assert!(read(EccNistP256, SignVerify, &p256) && read(EccNistP256, KeyAgreement, &p256));
    for usage in [SignVerify, EncryptDecrypt] {
        assert!(!read(Rsa3072, usage, &rsa) && !read(Rsa2048, usage, &p256));
    }
    for usage in [SignVerify, KeyAgreement] {
        assert!(!read(EccNistP384, usage, &p256) && !read(EccNistP256, usage, &rsa));
    }
    for good in [(Rsa2048, &rsa), (EccNistP256, &p256)] {
        let (spec, bytes) = good;
        assert!(!read(spec, SignVerify, &bytes[..bytes.len() - 1]));
        assert!(!read(spec, SignVerify, &[bytes.as_slice(), &[0]].concat()));
        // The last byte is of the public key, or of RSA's coefficient: it no longer fits the rest.
        let mut changed = bytes.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        assert!(!read(spec, SignVerify, &changed));
    }
}

#[test]
fn a_private_key_in_ber_is_the_one_in_der() {
    let (spec, usage) = (KeySpec::EccNistP256, KeyUsage::SignVerify);
    let der = pair::generate(spec).unwrap();
    let header = if der[1] & 0x80 == 0 { 2 } else { 2 + usize::from(der[1] & 0x7f) };
    let ber = [&[0x30, 0x80], &der[header..], &[0, 0]].concat();
    let read = |bytes: &[u8]| NewMaterial::read(KEY, spec, usage, bytes).unwrap();
    assert_eq!(read(&ber).id, read(&der).id);
}
