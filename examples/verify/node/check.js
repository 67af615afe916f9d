// check.js ISSUER AUDIENCE JWKS   says `ok USER` or `refused REASON` for each line of standard input, a header's value.
// A line `@SECONDS` sets the clock for the lines after it.
import { createInterface } from 'node:readline';
import { Refused, Verifier } from './samlgate_assertion.js';

let now;
const verifier = new Verifier(...process.argv.slice(2, 5), () => now ?? Date.now() / 1000);
for await (const line of createInterface({ input: process.stdin })) {
  if (line.startsWith('@')) {
    now = Number(line.slice(1));
    continue;
  }
  try {
    console.log('ok', (await verifier.verify(line)).user);
  } catch (reason) {
    if (!(reason instanceof Refused)) throw reason;
    console.log('refused', reason.message);
  }
}
