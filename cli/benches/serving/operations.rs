//! What each group of operations costs the worker, beside the primitive that it cannot do without.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::aead;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::Result;
use crate::kms::Kms;
use crate::load::{Target, load};
use crate::primitives::{self, Primitive};
use crate::raw::time;

/// Connections that are open at once, a column each.
const CONNECTIONS: [usize; 2] = [1, 16];
/// What is encrypted.
const MESSAGE: [u8; 32] = [7; 32];

/// Measures every group for `duration` a cell and prints a table.
pub(crate) async fn measure(folder: &Path, duration: Duration) -> Result {
    let kms = Kms::start(folder)?;
    let target = kms.target()?;
    let worker = kms.worker()?;
    let rows = rows(&kms, &target).await?;
    println!("\n{} s a cell; the worker's processor time a request, in µs\n", duration.as_secs());
    println!(
        "| | primitive | 1 conn.: req/s | p50 | worker | above it | 16 conn.: req/s | p50 | worker | above it |"
    );
    println!("|---|{}", "---:|".repeat(9));
    for row in rows {
        let primitive = row.raw.as_secs_f64() * 1e6;
        print!("| {} | {primitive:.1} |", row.name);
        for connections in CONNECTIONS {
            let before = worker.processor_time()?;
            let load = load(&target, &row.call, connections, duration).await?;
            let spent = worker.processor_time()? - before;
            let each = spent.as_secs_f64() * 1e6 / load.all as f64;
            let above = each - primitive;
            let [p50] = load.quantiles([0.50]);
            print!(" {:.0} | {p50} | {each:.0} | {above:.0} |", load.rate());
        }
        println!();
    }
    Ok(())
}

async fn rows(kms: &Kms, target: &Target) -> Result<Vec<Primitive>> {
    let created = kms.call(target, "CreateKey", &json!({})).await?;
    let id = created.pointer("/KeyMetadata/KeyId").ok_or("no key")?.clone();
    let mut rows = symmetric(kms, target, &id).await?;
    rows.extend(primitives::rows(kms, target).await?);
    rows.extend(control(kms, &id)?);
    Ok(rows)
}

async fn symmetric(kms: &Kms, target: &Target, id: &Value) -> Result<Vec<Primitive>> {
    let encrypt = json!({ "KeyId": id, "Plaintext": BASE64.encode(MESSAGE) });
    let encrypted = kms.call(target, "Encrypt", &encrypt).await?;
    let sealed = encrypted.get("CiphertextBlob").ok_or("no ciphertext")?;
    let cipher = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &MESSAGE)?);
    let aes = time(|| {
        let mut room = MESSAGE.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key([0; 12]);
        Ok(cipher.seal_in_place_append_tag(nonce, aead::Aad::empty(), &mut room)?)
    })?;
    let row = |name, body, wants: &[u8], times| -> Result<Primitive> {
        Ok(Primitive { name, call: kms.signed(name, &body, wants)?, raw: aes * times })
    };
    let data_key = json!({ "KeyId": id, "KeySpec": "AES_256" });
    let moved = json!({ "CiphertextBlob": sealed, "DestinationKeyId": id });
    Ok(vec![
        row("Encrypt", encrypt, b"\"CiphertextBlob\"", 1)?,
        row("Decrypt", json!({ "CiphertextBlob": sealed }), b"\"Plaintext\"", 1)?,
        row("ReEncrypt", moved, b"\"CiphertextBlob\"", 2)?,
        row("GenerateDataKey", data_key, b"\"Plaintext\"", 1)?,
    ])
}

/// Operations without cryptography of their own: reading, listing, changing.
fn control(kms: &Kms, id: &Value) -> Result<Vec<Primitive>> {
    let of_key = json!({ "KeyId": id });
    let tags = json!({ "KeyId": id, "Tags": [{ "TagKey": "bench", "TagValue": "mark" }] });
    let row = |name, body: &Value, wants: &[u8]| -> Result<Primitive> {
        Ok(Primitive { name, call: kms.signed(name, body, wants)?, raw: Duration::ZERO })
    };
    Ok(vec![
        row("DescribeKey", &of_key, b"\"KeyMetadata\"")?,
        row("GetKeyPolicy", &of_key, b"\"Policy\"")?,
        row("ListKeys", &json!({ "Limit": 10 }), b"\"Keys\"")?,
        row("GenerateRandom", &json!({ "NumberOfBytes": 32 }), b"\"Plaintext\"")?,
        row("TagResource", &tags, b"{}")?,
    ])
}
