use super::*;

/// An image of sections, as a builder would write it.
fn image(sections: &[(u16, &[u8])]) -> Vec<u8> {
    let mut header = [MAGIC.as_slice(), &VERSION.to_be_bytes(), &[0; 20]].concat();
    header.extend((sections.len() as u16).to_be_bytes());
    let mut place = HEADER as u64;
    let mut places = Vec::new();
    for (_, bytes) in sections {
        places.push(place);
        place += SECTION_HEADER + bytes.len() as u64;
    }
    places.resize(MAX_SECTIONS, 0);
    header.extend(places.iter().flat_map(|place| place.to_be_bytes()));
    let mut sizes: Vec<u64> = sections.iter().map(|(_, bytes)| bytes.len() as u64).collect();
    sizes.resize(MAX_SECTIONS, 0);
    header.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    header.extend([0; 4]);
    let mut body = Vec::new();
    for (kind, bytes) in sections {
        body.extend(kind.to_be_bytes());
        body.extend([0; 2]);
        body.extend((bytes.len() as u64).to_be_bytes());
        body.extend_from_slice(bytes);
    }
    let crc = crc32fast::hash(&[header.as_slice(), &body].concat());
    [header.as_slice(), &crc.to_be_bytes(), &body].concat()
}

fn register(parts: &[&[u8]]) -> PcrValue {
    let measured = Sha384::digest(parts.concat());
    PcrValue::new(Sha384::digest([&[0; 48], measured.as_slice()].concat()).into())
}

const PARTS: [(u16, &[u8]); 5] =
    [(1, b"kernel"), (2, b"quiet"), (5, b"{}"), (3, b"init"), (3, b"worker")];

#[test]
fn each_register_is_of_its_parts() {
    let measured = measure(image(&PARTS).as_slice()).unwrap();
    let expected = [
        (0, register(&[b"kernel", b"quiet", b"init", b"worker"])),
        (1, register(&[b"kernel", b"quiet", b"init"])),
        (2, register(&[b"worker"])),
    ];
    assert_eq!(measured.registers, expected);
    let sizes: Vec<u64> = measured.sections.iter().map(|(_, size)| *size).collect();
    assert_eq!(sizes, [6, 5, 2, 4, 6]);
    // Metadata is not measured, and large sections come in chunks.
    let large = vec![7; 3 * CHUNK + 1];
    let parts = [PARTS[0], PARTS[1], (3, large.as_slice()), (5, b"other")];
    let measured = measure(image(&parts).as_slice()).unwrap();
    assert_eq!(measured.registers[0], (0, register(&[b"kernel", b"quiet", &large])));
    assert_eq!(measured.registers[2], (2, register(&[])));
}

#[test]
fn a_signature_adds_the_certificate() {
    let key = rcgen::KeyPair::generate().unwrap();
    let signer = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let mut section = minicbor::Encoder::new(Vec::new());
    section.array(1).unwrap().map(2).unwrap().str("signature").unwrap().array(0).unwrap();
    let pem = signer.pem().into_bytes();
    section.str("signing_certificate").unwrap().array(pem.len() as u64).unwrap();
    for byte in &pem {
        section.u8(*byte).unwrap();
    }
    let section = section.into_writer();
    let parts = [PARTS[0], PARTS[1], PARTS[3], (4, section.as_slice())];
    let measured = measure(image(&parts).as_slice()).unwrap();
    assert_eq!(measured.registers[3], (8, register(&[signer.der()])));
    let parts = [PARTS[0], PARTS[1], PARTS[3], (4, b"\x80")];
    assert!(matches!(measure(image(&parts).as_slice()), Err(ImageError::Signature)));
}

#[test]
fn what_a_loader_could_read_in_two_ways_is_refused() {
    let whole = image(&PARTS);
    let refused = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = whole.clone();
        edit(&mut changed);
        measure(changed.as_slice()).unwrap_err()
    };
    assert!(matches!(refused(&|image| image[0] = b'x'), ImageError::NoImage));
    assert!(matches!(refused(&|image| image[5] = 5), ImageError::Version(5)));
    assert!(matches!(refused(&|image| image[27] = 33), ImageError::TooMany(33)));
    // The second section's place, and its size.
    let place = 28 + 8 + 7;
    assert!(matches!(refused(&|image| image[place] += 1), ImageError::Misplaced { .. }));
    let size = 28 + 256 + 8 + 7;
    assert!(matches!(refused(&|image| image[size] += 1), ImageError::TwoSizes { .. }));
    assert!(matches!(refused(&|image| image[HEADER + 1] = 9), ImageError::Kind { number: 9, .. }));
    assert!(matches!(refused(&|image| image.push(0)), ImageError::Trailing { .. }));
    let last = whole.len() - 1;
    assert!(matches!(refused(&|image| image[last] ^= 1), ImageError::Checksum { .. }));
    for length in 0..whole.len() {
        assert!(matches!(refused(&|image| image.truncate(length)), ImageError::Short { .. }));
    }
    for (parts, missing) in [
        (&PARTS[1..], "kernel"),
        (&[PARTS[0], PARTS[3]], "command line"),
        (&PARTS[..3], "ramdisk"),
        (&[PARTS[0], PARTS[1], PARTS[3], PARTS[0]], "second kernel"),
        (&[PARTS[0], PARTS[1], PARTS[2], PARTS[2]], "second metadata"),
    ] {
        let error = measure(image(parts).as_slice()).unwrap_err().to_string();
        assert!(error.contains(missing), "{error}");
    }
}

/// Made by AWS's `eif_build` 0.2.1, which printed these values: a kernel, a command line and two
/// ramdisks of a few bytes, signed.
#[test]
fn awss_builder_agrees() {
    let measured = measure(include_bytes!("../vectors/signed.eif").as_slice()).unwrap();
    let expected = [
        (
            0,
            "4d5feed5ca8f6d148017fe1eaff59cc0a592e0342d7f86b922825f583c4d0e75c807e06a6d91a6174f8d17bbe130be3a",
        ),
        (
            1,
            "ed24ba2e3d3171b797d9ee691622d227959bff1c40747ed3050785ed71549d7b65c2f9daf32841bf71bc1fce64aef525",
        ),
        (
            2,
            "4ea6af300f0e7def3e90877d3fc07ec8c9b192d52ca16a8ee8f79457434d1c9a741b07dac981d2b22310211c24e766af",
        ),
        (
            8,
            "279311a332f30fac0cb80615bf8c8c0059b283adb3ccc096524c4857539c57cbb2d2f394616e38bf558f4e2340ffc819",
        ),
    ];
    let expected = expected.map(|(index, value)| (index, value.parse().unwrap()));
    assert_eq!(measured.registers, expected);
}
