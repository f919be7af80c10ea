/* A key policy: decryption for one purpose.
 *
 * Its configuration is {"purpose": "backup"}. Who decrypts must say this purpose in the encryption
 * context; the account's root may do everything else, and nobody else anything.
 *
 * bindings/key_policy.h is the contract in C, generated from wit/policy.wit. */

#include "key_policy.h"
#include <string.h>

typedef key_policy_string_t text;

static bool is(const text *one, const char *other) {
  return one->len == strlen(other) && memcmp(one->ptr, other, one->len) == 0;
}

static bool ends_with(const text *one, const char *end) {
  size_t length = strlen(end);
  return one->len >= length && memcmp(one->ptr + one->len - length, end, length) == 0;
}

/* Moves over what is between two tokens of JSON. */
static const uint8_t *skip(const uint8_t *at, const uint8_t *end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
  return at;
}

/* Moves over one character, or none where it is another one: then it is the end. */
static const uint8_t *expect(const uint8_t *at, const uint8_t *end, uint8_t character) {
  at = skip(at, end);
  return at && at < end && *at == character ? at + 1 : NULL;
}

/* A string without escapes, of which a purpose has none. */
static const uint8_t *string(const uint8_t *at, const uint8_t *end, text *found) {
  at = expect(at, end, '"');
  if (!at) return NULL;
  found->ptr = (uint8_t *)at;
  while (at < end && *at != '"' && *at != '\\' && *at >= ' ') at++;
  found->len = (size_t)(at - found->ptr);
  return at < end && *at == '"' ? at + 1 : NULL;
}

static bool refuse(exports_sekisho_policy_policy_configuration_error_t *error, const char *reason) {
  key_policy_string_dup(&error->place, "");
  key_policy_string_dup(&error->reason, reason);
  return false;
}

/* Runs once, when a key gets the policy; the state is the purpose. False is a refusal, and whom it
 * concerns is told why. */
bool exports_sekisho_policy_policy_configure(
    key_policy_list_u8_t *configuration, key_policy_list_u8_t *state,
    exports_sekisho_policy_policy_configuration_error_t *error) {
  const uint8_t *at = configuration->ptr, *end = at + configuration->len;
  text member, purpose;
  if (!(at = expect(at, end, '{'))) return refuse(error, "the configuration is not an object");
  if (expect(at, end, '}')) return refuse(error, "`purpose` is missing");
  if (!(at = string(at, end, &member)) || !is(&member, "purpose"))
    return refuse(error, "the configuration has one member, `purpose`");
  if (!(at = expect(at, end, ':')) || !(at = string(at, end, &purpose)) || purpose.len == 0)
    return refuse(error, "`purpose` is not a string without escapes");
  if (!(at = expect(at, end, '}')) || skip(at, end) != end)
    return refuse(error, "the configuration has one member, `purpose`");
  state->ptr = purpose.ptr;
  state->len = purpose.len;
  return true;
}

static void decide(exports_sekisho_policy_policy_answer_t *answer, uint8_t decision,
                   const char *reason) {
  memset(answer, 0, sizeof *answer);
  answer->decision.tag = decision;
  if (reason) key_policy_string_dup(&answer->decision.val.deny, reason);
}

#define ALLOW(answer) decide(answer, EXPORTS_SEKISHO_POLICY_POLICY_DECISION_ALLOW, NULL)
#define DENY(answer, why) decide(answer, EXPORTS_SEKISHO_POLICY_POLICY_DECISION_DENY, why)
#define NO_OPINION(answer) decide(answer, EXPORTS_SEKISHO_POLICY_POLICY_DECISION_NO_OPINION, NULL)

/* Runs for each request on the key, each time in a fresh instance. */
void exports_sekisho_policy_policy_evaluate(key_policy_list_u8_t *purpose,
                                            exports_sekisho_policy_policy_request_t *request,
                                            exports_sekisho_policy_policy_answer_t *answer) {
  if (is(&request->action, "kms:Decrypt")) {
    for (size_t i = 0; i < request->encryption_context.len; i++) {
      exports_sekisho_policy_policy_pair_t *pair = &request->encryption_context.ptr[i];
      if (!is(&pair->name, "purpose")) continue;
      if (pair->value.len == purpose->len &&
          memcmp(pair->value.ptr, purpose->ptr, purpose->len) == 0)
        ALLOW(answer);
      else
        DENY(answer, "another purpose");
      return;
    }
    DENY(answer, "no purpose in the encryption context");
    return;
  }
  /* A key whose policy nobody may change can never get another. */
  if (ends_with(&request->principal.arn, ":root"))
    ALLOW(answer);
  else
    NO_OPINION(answer);
}
