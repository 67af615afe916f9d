"""Messages of 64 octets on WebSockets: each connection sends one, waits for the echo (peer.py), and sends the next."""

import asyncio

from measure import Measurement, cpu

CONNECTIONS, SIZE = 32, 64
# The mask only has to be there (RFC 6455 section 5.3): nobody but the peer looks at it.
MASK = bytes(range(1, 5))
PAYLOAD = bytes(range(SIZE))
SENT = bytes((0x82, 0x80 | SIZE)) + MASK + bytes(octet ^ MASK[at % 4] for at, octet in enumerate(PAYLOAD))
RECEIVED = bytes((0x82, SIZE)) + PAYLOAD


class Sender(asyncio.Protocol):
    """A client after the upgrade."""

    def __init__(self, request, opened):
        self.request, self.opened, self.count, self.buffer, self.wrong = request, opened, 0, b"", None

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data):
        self.buffer += data
        if not self.opened.done():
            if b"\r\n\r\n" not in self.buffer:
                return
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 101 "):
                self.opened.set_result(None)
            else:
                self.opened.set_exception(RuntimeError(f"no WebSocket: {head[:300]}"))
        elif len(self.buffer) >= len(RECEIVED):
            if self.buffer != RECEIVED:
                self.wrong = f"not what was sent: {self.buffer}"
                self.transport.close()
                return
            self.count, self.buffer = self.count + 1, b""
            self.transport.write(SENT)

    def connection_lost(self, error):
        self.wrong = self.wrong or f"the connection has ended: {error}"
        if not self.opened.done():
            self.opened.set_exception(RuntimeError(self.wrong))


async def echoes(contender, seconds):
    """How many messages came back, and the CPU seconds that they took."""
    loop = asyncio.get_running_loop()
    lines = ["GET /socket HTTP/1.1", f"Host: 127.0.0.1:{contender.port}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    lines += [f"Cookie: {contender.cookie}"] if contender.cookie else []
    request = "\r\n".join([*lines, "", ""]).encode()
    senders = []
    for _ in range(CONNECTIONS):
        _, sender = await loop.create_connection(lambda: Sender(request, loop.create_future()), "127.0.0.1", contender.port)
        await asyncio.wait_for(sender.opened, 10)
        senders.append(sender)
    before = cpu(contender.pids)
    for sender in senders:
        sender.transport.write(SENT)
    await asyncio.sleep(seconds)
    count, spent = sum(sender.count for sender in senders), cpu(contender.pids) - before
    for sender in senders:
        if sender.wrong or not sender.count:
            raise RuntimeError(f"{contender.name}: {sender.wrong or 'no echo'}")
        sender.transport.abort()
    return count, spent


def echo(bench, contender):
    count, spent = asyncio.run(echoes(contender, bench.seconds))
    return {"cpu": spent / count * 1e6, "rate": count / bench.seconds}


ECHO = Measurement(
    f"WebSocket echo, {CONNECTIONS} connections, {SIZE} octets",
    echo,
    [("CPU per message and its echo, µs", "cpu", ".1f"), ("echoes/s", "rate", ".0f")],
)
