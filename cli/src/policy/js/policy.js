// A key policy: decryption for one purpose.
//
// Its configuration is {"purpose": "backup"}. Who decrypts must say this purpose in the encryption
// context; the account's root may do everything else, and nobody else anything.

const allow = { tag: "allow" };
const noOpinion = { tag: "no-opinion" };
const deny = (reason) => ({ tag: "deny", val: reason });

// The engine has no TextDecoder and no TextEncoder.
const toText = (bytes) =>
  decodeURIComponent(Array.from(bytes, (byte) => "%" + byte.toString(16).padStart(2, "0")).join(""));
const toBytes = (text) =>
  Uint8Array.from(unescape(encodeURIComponent(text)), (character) => character.charCodeAt(0));

const answer = (decision) => ({ decision, obligations: [], log: [] });

function refuse(reason, place = "") {
  throw { place, reason };
}

function decide(purpose, request) {
  if (request.action === "kms:Decrypt") {
    const given = request.encryptionContext.find((pair) => pair.name === "purpose");
    if (!given) return deny("no purpose in the encryption context");
    return given.value === purpose ? allow : deny("another purpose");
  }
  // A key whose policy nobody may change can never get another.
  return request.principal.arn.endsWith(":root") ? allow : noOpinion;
}

export const policy = {
  // Runs once, when a key gets the policy. What it returns, bytes, is the state that `evaluate` gets;
  // what it throws is told to whom it concerns.
  configure(configuration) {
    let parsed;
    try {
      parsed = JSON.parse(toText(configuration));
    } catch (error) {
      refuse(`the configuration is not JSON: ${error.message}`);
    }
    for (const member of Object.keys(parsed ?? {})) {
      if (member !== "purpose") refuse("is not a member of the configuration", member);
    }
    if (typeof parsed?.purpose !== "string" || parsed.purpose === "") {
      refuse("`purpose` is missing");
    }
    return toBytes(parsed.purpose);
  },

  // Runs for each request on the key, each time in a fresh instance.
  evaluate(state, request) {
    return answer(decide(toText(state), request));
  },
};
