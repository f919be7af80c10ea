//! What each group of operations costs the worker, beside the primitive that it cannot do without: with
//! one connection the primitive alone, with more the primitive while another core is busy too.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::aead;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::Result;
use crate::hello::Hello;
use crate::kms::Kms;
use crate::load::{Call, Target, load};
use crate::primitives::{self, Primitive};
use crate::process::Running;
use crate::raw::{Cost, cost};

/// Connections that are open at once, a column each.
const CONNECTIONS: [usize; 2] = [1, 16];
/// What is encrypted.
const MESSAGE: [u8; 32] = [7; 32];

/// Measures hello world and every group whose name begins with `names`, for `duration` a cell, and prints a
/// table.
pub(crate) async fn measure(folder: &Path, duration: Duration, names: &str) -> Result {
    let hello = Hello::start(folder)?;
    let kms = Kms::start(folder)?;
    let target = kms.target()?;
    let worker = kms.worker()?;
    let mut rows = rows(&kms, &target).await?;
    rows.retain(|row| row.name.starts_with(names));
    println!("\n{} s a cell; the worker's processor time a request, in µs\n", duration.as_secs());
    let columns = "req/s | p50 | primitive | worker | above it";
    println!("| | 1 conn.: {columns} | 16 conn.: {columns} |");
    println!("|---|{}", "---:|".repeat(10));
    let said = Primitive { name: "hello world", call: Call::hello(), raw: Cost::NONE };
    print_row(&said, &hello.relayed, &hello.server(), duration).await?;
    for row in rows {
        print_row(&row, &target, &worker, duration).await?;
    }
    Ok(())
}

async fn print_row(
    row: &Primitive,
    target: &Target,
    server: &Running,
    duration: Duration,
) -> Result {
    print!("| {} |", row.name);
    for (connections, raw) in CONNECTIONS.into_iter().zip([row.raw.alone, row.raw.beside]) {
        let before = server.processor_time()?;
        let load = load(target, &row.call, connections, duration).await?;
        let spent = server.processor_time()? - before;
        let each = spent.as_secs_f64() * 1e6 / load.all as f64;
        let primitive = raw.as_secs_f64() * 1e6;
        let above = each - primitive;
        let [p50] = load.quantiles([0.50]);
        print!(" {:.0} | {p50} | {primitive:.1} | {each:.0} | {above:.0} |", load.rate());
    }
    println!();
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
    let aes = cost(|| {
        let mut room = MESSAGE.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key([0; 12]);
        Ok(cipher.seal_in_place_append_tag(nonce, aead::Aad::empty(), &mut room)?)
    })?;
    let row = |name, body, wants: &[u8], times| -> Result<Primitive> {
        Ok(Primitive { name, call: kms.signed(name, &body, wants)?, raw: aes.times(times) })
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
        Ok(Primitive { name, call: kms.signed(name, body, wants)?, raw: Cost::NONE })
    };
    Ok(vec![
        row("DescribeKey", &of_key, b"\"KeyMetadata\"")?,
        row("GetKeyPolicy", &of_key, b"\"Policy\"")?,
        row("ListKeys", &json!({ "Limit": 10 }), b"\"Keys\"")?,
        row("GenerateRandom", &json!({ "NumberOfBytes": 32 }), b"\"Plaintext\"")?,
        row("TagResource", &tags, b"{}")?,
    ])
}
