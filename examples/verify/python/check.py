"""check.py ISSUER AUDIENCE JWKS   says `ok USER` or `refused REASON` for each line of standard input, a header's value.

A line `@SECONDS` sets the clock for the lines after it."""

import sys
import time

from samlgate_assertion import Refused, Verifier

now = None
verifier = Verifier(*sys.argv[1:4], clock=lambda: time.time() if now is None else now)
for line in sys.stdin:
    line = line.removesuffix("\n")
    if line.startswith("@"):
        now = int(line[1:])
        continue
    try:
        print("ok", verifier.verify(line)["user"], flush=True)
    except Refused as reason:
        print("refused", reason, flush=True)
