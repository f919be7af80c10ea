// `@aws-sdk/client-kms`: a file is sealed in an envelope and opened again, and errors have their names.
//
// The service comes from the environment that `sekisho dev` prints, its authority from
// NODE_EXTRA_CA_CERTS; SEKISHO_TEST_SDKS is the folder with the SDK in its node_modules.

import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, createVerify, createPublicKey, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const sdk = createRequire(join(process.env.SEKISHO_TEST_SDKS, "package.json"))("@aws-sdk/client-kms");
const [source, folder] = process.argv.slice(2);
const kms = new sdk.KMS({ maxAttempts: 1 });
const EncryptionContext = { file: "letter", department: "records" };

async function seal(KeyId, plaintext) {
    const dataKey = await kms.generateDataKey({ KeyId, KeySpec: "AES_256", EncryptionContext });
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", dataKey.Plaintext, nonce);
    const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    dataKey.Plaintext.fill(0);
    return { wrapped: dataKey.CiphertextBlob, nonce, body, tag: cipher.getAuthTag() };
}

async function open({ wrapped, nonce, body, tag }, context = EncryptionContext) {
    const { Plaintext } = await kms.decrypt({ CiphertextBlob: wrapped, EncryptionContext: context });
    const decipher = createDecipheriv("aes-256-gcm", Plaintext, nonce);
    decipher.setAuthTag(tag);
    return Buffer.concat([decipher.update(body), decipher.final()]);
}

const { KeyMetadata: key } = await kms.createKey({ Description: "files" });
assert.ok(key.CreationDate instanceof Date && Math.abs(Date.now() - key.CreationDate) < 60_000);
await kms.createAlias({ AliasName: "alias/javascript", TargetKeyId: key.KeyId });

const plaintext = readFileSync(source);
const envelope = await seal("alias/javascript", plaintext);
writeFileSync(join(folder, "sealed"), envelope.body);
assert.deepEqual(await open({ ...envelope, body: readFileSync(join(folder, "sealed")) }), plaintext);
await assert.rejects(open(envelope, {}), sdk.InvalidCiphertextException);

await kms.disableKey({ KeyId: key.KeyId });
await assert.rejects(open(envelope), (error) => {
    assert.ok(error instanceof sdk.DisabledException, error);
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.match(error.message, new RegExp(`${key.Arn} is disabled`));
    return true;
});
await assert.rejects(kms.describeKey({ KeyId: "alias/none" }), sdk.NotFoundException);

const { KeyMetadata: signer } = await kms.createKey({ KeySpec: "ECC_NIST_P384", KeyUsage: "SIGN_VERIFY" });
const signed = await kms.sign({ KeyId: signer.KeyId, Message: plaintext.subarray(0, 4096), SigningAlgorithm: "ECDSA_SHA_384" });
const { PublicKey } = await kms.getPublicKey({ KeyId: signer.KeyId });
const verifying = createPublicKey({ key: Buffer.from(PublicKey), format: "der", type: "spki" });
assert.ok(createVerify("sha384").update(plaintext.subarray(0, 4096)).verify(verifying, signed.Signature));

const listed = [];
for await (const page of sdk.paginateListKeys({ client: kms, pageSize: 1 }, {})) {
    listed.push(...page.Keys.map(({ KeyId }) => KeyId));
}
assert.ok(listed.includes(key.KeyId) && listed.includes(signer.KeyId));
