/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Signs the documents of QEMU's NSM, which stock QEMU leaves unsigned, where SEKISHO_TEST_NSM names a folder
 * with root.der, leaf.der (issued by it) and leaf.pem (the leaf's P-384 key). For tests: it proves nothing
 * about a machine. Included by hw/virtio/virtio-nsm.c, which deploy/vm/kit patches to call it.
 */
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#define TEST_ES384 34 /* COSE writes the algorithm -35 as the negative integer with argument 34 */
#define TEST_HALF 48
#define TEST_MAX_SIGNED 0x5000

static bool test_signer(void)
{
    return getenv("SEKISHO_TEST_NSM") != NULL;
}

static char *test_path(const char *name)
{
    return g_build_filename(getenv("SEKISHO_TEST_NSM"), name, NULL);
}

/* A file of the folder as a byte string, or NULL. */
static cbor_item_t *test_file(const char *name)
{
    g_autofree char *path = test_path(name);
    g_autofree char *bytes = NULL;
    gsize length;

    if (!g_file_get_contents(path, &bytes, &length, NULL)) {
        return NULL;
    }
    return cbor_build_bytestring((const uint8_t *)bytes, length);
}

/* r or s of a signature, at the end of its 48 bytes. */
static void test_number(uint8_t *half, gnutls_datum_t number)
{
    size_t skipped = number.size > TEST_HALF ? number.size - TEST_HALF : 0;
    size_t length = number.size - skipped;

    memcpy(half + TEST_HALF - length, number.data + skipped, length);
}

/* Over the Sig_structure (RFC 9052, section 4.4) of a COSE_Sign1 that lacks its signature; NULL if it fails. */
static cbor_item_t *test_signature(cbor_item_t *cose)
{
    g_autofree char *path = test_path("leaf.pem");
    g_autofree uint8_t *bytes = g_malloc(TEST_MAX_SIGNED);
    uint8_t signature[2 * TEST_HALF] = {};
    gnutls_datum_t pem = {}, der = {}, r = {}, s = {}, message;
    gnutls_privkey_t key = NULL;
    cbor_item_t *protected = cbor_array_get(cose, 0);
    cbor_item_t *payload = cbor_array_get(cose, 2);
    cbor_item_t *structure = cbor_new_definite_array(4);
    cbor_item_t *made = NULL;

    if (cbor_array_push(structure, cbor_move(cbor_build_string("Signature1"))) &&
        cbor_array_push(structure, protected) &&
        cbor_array_push(structure, cbor_move(cbor_build_bytestring(bytes, 0))) &&
        cbor_array_push(structure, payload)) {
        message.data = bytes;
        message.size = cbor_serialize(structure, bytes, TEST_MAX_SIGNED);
        if (message.size && !gnutls_load_file(path, &pem) && !gnutls_privkey_init(&key) &&
            !gnutls_privkey_import_x509_raw(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0) &&
            !gnutls_privkey_sign_data2(key, GNUTLS_SIGN_ECDSA_SHA384, 0, &message, &der) &&
            !gnutls_decode_rs_value(&der, &r, &s)) {
            test_number(signature, r);
            test_number(signature + TEST_HALF, s);
            made = cbor_build_bytestring(signature, sizeof(signature));
        }
    }
    gnutls_free(pem.data);
    gnutls_free(der.data);
    gnutls_free(r.data);
    gnutls_free(s.data);
    if (key) {
        gnutls_privkey_deinit(key);
    }
    cbor_decref(&structure);
    cbor_decref(&protected);
    cbor_decref(&payload);
    return made;
}
