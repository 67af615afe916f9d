#!/usr/bin/env python3
"""An application for uploads and WebSockets. peer.py PORT: it reads bodies and forgets them, and sends messages back.

Python is not quick, but the same for every proxy in front of it, and what is compared is the CPU time of those.
"""
import asyncio
import base64
import hashlib
import re
import sys

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
BINARY, MASKED = 0x82, 0x80


class Peer(asyncio.Protocol):
    """One connection: requests one after the other, or a WebSocket with messages of at most 125 octets."""

    def connection_made(self, transport):
        self.transport, self.buffer, self.left, self.echoes = transport, bytearray(), 0, False

    def data_received(self, data):
        if self.left:  # the body of an upload
            self.left -= len(data)
            if self.left <= 0:
                self.answer()
            return
        self.buffer += data
        if self.echoes:
            self.echo()
        elif b"\r\n\r\n" in self.buffer:
            head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
            self.buffer = bytearray()
            self.begin(head, rest)

    def begin(self, head, rest):
        key = re.search(rb"(?im)^sec-websocket-key:\s*(\S+)", head)
        length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
        if key:
            accept = base64.b64encode(hashlib.sha1(key[1] + MAGIC).digest())
            lines = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            self.transport.write(lines + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            self.echoes, self.buffer = True, bytearray(rest)
            self.echo()
        elif re.search(rb"(?im)^transfer-encoding:", head):
            self.transport.close()  # nobody here sends a body in chunks
        else:
            self.left = int(length[1] if length else 0) - len(rest)
            if self.left <= 0:
                self.answer()

    def answer(self):
        self.left = 0
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def echo(self):
        """Client's frames are masked, ours are not (RFC 6455 section 5.1)."""
        while len(self.buffer) >= 6:
            size = self.buffer[1] & 0x7F
            if self.buffer[0] != BINARY or self.buffer[1] < MASKED or size > 125:
                self.transport.close()
                return
            if len(self.buffer) < 6 + size:
                return
            mask, masked = self.buffer[2:6], self.buffer[6 : 6 + size]
            pad = (mask * (size // 4 + 1))[:size]
            plain = int.from_bytes(masked, "big") ^ int.from_bytes(pad, "big")
            self.transport.write(bytes((BINARY, size)) + plain.to_bytes(size, "big"))
            del self.buffer[: 6 + size]


async def main(port):
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
