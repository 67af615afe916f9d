"""Connections that have had an answer and stay open: the memory that each takes, in a fresh instance."""

import socket
import struct
import time

from measure import Measurement, memory

# As many from one address as there are surely ports for.
FROM_ONE_ADDRESS = 5000
# Enough that what the first requests make once is there.
BEFORE = 500
# Seconds until they count as idle; one of them asks on, since a server without any request at all has no occasion to give memory back.
SETTLING = 5


def connect(contender, number):
    """A connection from an address of 127.0.0.0/8; closed, it leaves no port behind that waits."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.settimeout(20)
    connection.bind((f"127.0.1.{1 + number // FROM_ONE_ADDRESS}", 0))
    connection.connect(("127.0.0.1", contender.port))
    return connection


def ask(connection, contender):
    """One request and its whole answer of 1 KiB."""
    cookie = f"Cookie: {contender.cookie}\r\n" if contender.cookie else ""
    connection.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{contender.port}\r\n{cookie}\r\n".encode())
    answer = b""
    while len(answer.partition(b"\r\n\r\n")[2]) < 1024:
        octets = connection.recv(65536)
        if not octets:
            raise RuntimeError(f"{contender.name} closed a connection: {answer[:300]}")
        answer += octets
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"{contender.name}: {answer[:300]}")


def idle_connections(bench, contender):
    fresh = bench.another(contender.name)
    connections = []
    try:
        for number in range(BEFORE):
            with connect(fresh, number) as connection:
                ask(connection, fresh)
        before = memory(fresh.pids)
        for number in range(bench.idle):
            connection = connect(fresh, number)
            connections.append(connection)
            ask(connection, fresh)
        for _ in range(SETTLING):
            time.sleep(1)
            ask(connections[0], fresh)
        after = memory(fresh.pids)
        for connection in (connections[0], connections[-1]):
            ask(connection, fresh)  # it was open all the time
        return {"count": bench.idle, "each": (after - before) / bench.idle / 1024, "memory": after / (1 << 20)}
    finally:
        for connection in connections:
            connection.close()
        bench.stop(fresh)


IDLE = Measurement(
    "Idle connections",
    idle_connections,
    [("connections", "count", ".0f"), ("memory per connection, KiB", "each", ".1f"), ("memory in all, MiB", "memory", ".0f")],
    ratio=("each", "memory"),
    once=True,
)
