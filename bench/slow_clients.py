#!/usr/bin/env python3
"""Clients that keep a server waiting. slow_clients.py PORT COUNT COOKIE: a quarter each drips a head, drips a body, reads an answer of
1 MiB by 1 KiB, and says nothing. Each does its little once a second; who is sent away comes again. Every second a line of JSON tells
how many did what they should, and how many were sent away, by kind.
"""

import json
import socket
import sys
import time

# Acts are spread over the second in so many steps.
STEPS = 20


class Client:
    """One of them. An answer ends it, and so does the end of the connection."""

    name = "silent"

    def __init__(self, port, cookie):
        self.port, self.sent_away = port, -1
        self.common = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n" + (f"Cookie: {cookie}\r\n" if cookie else "")
        self.open()

    def open(self):
        self.sent_away += 1
        self.acts = 0
        self.socket = socket.socket()
        # So that an answer that nobody reads stays where it comes from.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", self.port))
        self.socket.setblocking(False)
        self.socket.sendall(self.begins())

    def begins(self):
        return b""

    def says(self):
        return b""

    def is_over(self, octets):
        return True

    def act(self):
        try:
            over = self.is_over(self.socket.recv(1024))
        except BlockingIOError:
            over = False
        except OSError:
            over = True
        try:
            self.socket.sendall(b"" if over else self.says())
        except OSError:
            over = True
        self.acts += 1
        if over:
            self.socket.close()
            self.open()


class Head(Client):
    name = "heads"

    def says(self):
        head = f"GET /{self.common}X: ".encode()
        return head[self.acts : self.acts + 1] or b"x"


class Body(Client):
    name = "bodies"

    def begins(self):
        return f"POST /upload{self.common}Content-Length: 1000000\r\n\r\n".encode()

    def says(self):
        return b"x"


class Reader(Client):
    name = "readers"

    def begins(self):
        self.first = b""
        return f"GET /large{self.common}\r\n".encode()

    def is_over(self, octets):
        self.first = self.first or octets
        return not octets or not self.first.startswith(b"HTTP/1.1 200 ")


def main(port, count, cookie):
    kinds = [Head, Body, Reader, Client]
    clients = [kinds[number % len(kinds)](port, cookie) for number in range(count)]
    due = time.monotonic()
    while True:
        for step in range(STEPS):
            for client in clients[step::STEPS]:
                client.act()
            due += 1 / STEPS
            time.sleep(max(0, due - time.monotonic()))
        told = {kind.name: sum(client.sent_away for client in clients if type(client) is kind) for kind in kinds}
        print(json.dumps({"clients": len(clients), "sent away": told, "late": round(time.monotonic() - due, 3)}), flush=True)


main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
