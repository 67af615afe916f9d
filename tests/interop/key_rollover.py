"""The IdP's key is changed while people sign in without a pause: a chapter of matrix.py."""

import re
import threading
import traceback

from case import DEEP, sign_in
from plain_client import PlainClient
from processes import wait_for

PEOPLE = 3
LOGINS = 4  # of each, in every stage


class Load:
    """A context: threads in which somebody signs in, again and again, each time as a new browser."""

    def __init__(self, case):
        self.case = case
        self.done = [0] * PEOPLE
        self.failed = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.sign_in, args=(number,), daemon=True) for number in range(PEOPLE)]

    def sign_in(self, number):
        while not self.over.is_set():
            try:
                self.case.signed_in()
                self.done[number] += 1
            except Exception:
                self.failed.append(traceback.format_exc())
                return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def goes_on(self, what):
        """Everybody has signed in some times more, and nobody has failed."""
        wanted = [done + LOGINS for done in self.done]
        enough = lambda: self.failed or all(done >= want for done, want in zip(self.done, wanted))
        wait_for(f"logins while {what}", enough, seconds=120)
        assert not self.failed, f"while {what}, after {sum(self.done)} logins: {self.failed[0]}"


def keys_change_under_load(case):
    idp, gateway = case.idp, case.gateway
    acs = f"{gateway.base}/_samlgate/acs"

    def refresh():
        gateway.run("refresh", "--config", gateway.config)

    def held_back():
        """An answer that is signed and not posted yet."""
        client = PlainClient()
        target, fields, _ = sign_in(client, gateway.base + DEEP, stop_at=acs)
        return client, target, fields

    def keys_listed():
        return len(re.findall(r"X509Certificate>", idp.metadata())) // 2

    with Load(case) as load:
        load.goes_on("nothing has changed")
        early, late = held_back(), held_back()
        assert keys_listed() == 1
        idp.publish_key()
        assert keys_listed() == 2
        load.goes_on("the new key is published")
        refresh()
        load.goes_on("the new key is known")
        idp.activate_key()
        load.goes_on("the new key signs")
        # What was signed with the old key and comes now is as good as ever.
        client, target, fields = early
        status, location, page = client.send("POST", target, fields)
        assert status == 303 and location == gateway.base + DEEP, (status, location, page[:500])
        idp.remove_key()
        assert keys_listed() == 1
        load.goes_on("the old key is gone from the metadata")
        refresh()
        load.goes_on("the old key is forgotten")
    assert not load.failed, load.failed[0]
    client, target, fields = late
    status, location, page = client.send("POST", target, fields)
    assert status >= 400 and not location and "signature_invalid" in page, (status, location, page[:500])
    assert not case.is_in(client)
    log = gateway.said()
    assert log.count('"keys_added"') >= 1 and log.count('"keys_removed"') >= 1, log[-3000:]
    print(f"    {sum(load.done)} logins while the key was changed, none failed", flush=True)
