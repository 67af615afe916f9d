// Verifies the assertion that samlgate sends in X-Samlgate-Assertion (docs/verify-assertion.md). Node's own library has all it takes.
import { createPublicKey, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';

// Three parts of unpadded base64url; the signature has 64 octets, in their only spelling.
const FORM = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{85}[AQgw])$/;
const LEEWAY = 5; // seconds that clocks may differ
const RETRY = 10, REFRESH = 300, KEEP = 3600; // seconds: between two fetches, until the next one, and without one that worked

// The request has no good assertion: answer 401 and do nothing else.
export class Refused extends Error {}

// One for the whole application. `source` is the URL of samlgate's jwks.json, or a file.
export class Verifier {
  #keys = new Map();
  #fetched = -Infinity;
  #tried = -Infinity;
  #loading;

  constructor(issuer, audience, source, clock = () => Date.now() / 1000) {
    Object.assign(this, { issuer, audience, source, clock });
  }

  // The claims of the header's value, or Refused.
  async verify(token) {
    const parts = typeof token === 'string' && FORM.exec(token);
    if (!parts) throw new Refused('no assertion, or not one');
    const [, header, payload, signature] = parts;
    const { alg, kid, crit } = object(header);
    if (alg !== 'ES256' || crit !== undefined) throw new Refused('another algorithm, or an extension');
    const key = { key: await this.#key(kid), dsaEncoding: 'ieee-p1363' };
    if (!verify('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'))) {
      throw new Refused('the signature is not good');
    }
    const claims = object(payload);
    const { iss, aud, exp, nbf, sub, user } = claims;
    if (iss !== this.issuer || aud !== this.audience) throw new Refused('from another issuer, or for another audience');
    const now = this.clock();
    if (!Number.isInteger(exp) || !Number.isInteger(nbf) || now < nbf - LEEWAY || now >= exp + LEEWAY) {
      throw new Refused('expired or not yet valid');
    }
    if (![sub, user].every((name) => typeof name === 'string' && name)) throw new Refused('no subject');
    return claims;
  }

  async #key(kid) {
    const now = this.clock();
    const within = (since, seconds) => since <= now && now - since < seconds;
    if ((!this.#keys.has(kid) || !within(this.#fetched, REFRESH)) && !within(this.#tried, RETRY)) {
      this.#tried = now;
      // what was fetched before is good for a while
      this.#loading = load(this.source).then((keys) => { this.#keys = keys; this.#fetched = now; }, () => {});
    }
    await this.#loading;
    if (now - this.#fetched > KEEP) throw new Refused("the keys can't be fetched");
    if (!this.#keys.has(kid)) throw new Refused('signed with an unknown key');
    return this.#keys.get(kid);
  }
}

function object(part) {
  try {
    const value = JSON.parse(Buffer.from(part, 'base64url').toString());
    if (value && typeof value === 'object') return value;
  } catch { /* told below */ }
  throw new Refused('not a token');
}

// The P-256 keys of a key set, by kid.
async function load(source) {
  const remote = /^https?:\/\//.test(source);
  const answer = remote && await fetch(source, { redirect: 'error', signal: AbortSignal.timeout(3000) });
  if (remote && !answer.ok) throw new Error(`status ${answer.status}`);
  const { keys } = JSON.parse(remote ? await answer.text() : await readFile(source, 'utf8'));
  const usable = keys.filter((key) => key.kty === 'EC' && key.crv === 'P-256' && typeof key.kid === 'string');
  return new Map(usable.map((key) => [key.kid, createPublicKey({ key, format: 'jwk' })]));
}
