# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 in bulk, QoS 1: packets made beforehand, a few connections, acknowledgements counted and nothing else; and
the plugin's side of engine/brokerlink.h, so that a broker without the plugin has as many devices online as one likes."""
import contextlib
import selectors
import socket
import struct
import threading
import time

LINES_PER_MESSAGE = 400  # of at most 80 bytes: below LINK_MESSAGE_MAX


def _length(n):
    out = bytearray()
    while True:
        n, digit = divmod(n, 128)
        out.append(digit | (128 if n else 0))
        if not n:
            return bytes(out)


def _text(s):
    s = s.encode()
    return struct.pack(">H", len(s)) + s


def publish(topic, payload, mid):
    body = _text(topic) + struct.pack(">H", mid % 65535 + 1) + payload
    return b"\x32" + _length(len(body)) + body


def connect(port, client_id):
    s = socket.create_connection(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = _text("MQTT") + b"\x04\x02\x00\x00" + _text(client_id)
    s.sendall(b"\x10" + _length(len(body)) + body)
    assert s.recv(4) == b"\x20\x02\x00\x00", "the broker refused the connection"
    return s


class Pour:
    """Messages over several connections, each with its share and a window: run() returns when the broker has
    acknowledged them all."""
    GROUP, WINDOW = 50, 200

    def __init__(self, port, shares):
        """shares: for each connection its messages, (topic, payload) in order."""
        self.lines = []
        for i, share in enumerate(shares):
            packets = [publish(topic, payload, mid) for mid, (topic, payload) in enumerate(share)]
            groups = [b"".join(packets[at:at + self.GROUP]) for at in range(0, len(packets), self.GROUP)]
            self.lines.append({"sock": connect(port, f"pour-{id(self)}-{i}"), "groups": groups, "sent": 0,
                               "acks": 0, "count": len(packets)})

    @staticmethod
    def _fill(line):
        while line["sent"] < len(line["groups"]):
            if (line["sent"] + 1) * Pour.GROUP - line["acks"] // 4 > Pour.WINDOW:
                return
            line["sock"].sendall(line["groups"][line["sent"]])
            line["sent"] += 1

    def run(self):
        with selectors.DefaultSelector() as ready:
            for line in self.lines:
                ready.register(line["sock"], selectors.EVENT_READ, line)
                self._fill(line)
            while ready.get_map():
                for key, _ in ready.select():
                    line, got = key.data, key.fileobj.recv(65536)
                    if not got:
                        raise RuntimeError("the broker closed the connection")
                    line["acks"] += len(got)  # four bytes each
                    self._fill(line)
                    if line["acks"] >= 4 * line["count"]:
                        ready.unregister(key.fileobj)
                        key.fileobj.close()


class Presence(threading.Thread):
    """Says who is online, as the plugin does: a line for each that comes, a heartbeat, and, since $CONTROL topics
    reach nobody without it, a whole picture every two seconds while repeat is set."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.sock, self.lock = connect(port, "presence"), threading.Lock()
        self.boot, self.seq, self.mid = time.time_ns() >> 1, 0, 0
        self.conn, self.online = time.time_ns() // 1_000_000 << 20, []
        self.repeat, self.ended = threading.Event(), threading.Event()
        self.repeat.set()
        self.start()

    def _say(self, lines):
        """With the lock."""
        for at in range(0, len(lines), LINES_PER_MESSAGE):
            text = "".join(line + "\n" for line in lines[at:at + LINES_PER_MESSAGE])
            self.sock.sendall(publish("/otad/broker", text.encode(), self.mid))
            self.mid += 1
            with contextlib.suppress(BlockingIOError):
                while self.sock.recv(65536, socket.MSG_DONTWAIT):
                    pass

    def come(self, devices):
        """devices: (ProductKey, DeviceName). They stay until the end."""
        with self.lock:
            lines = []
            for pk, dn in devices:
                self.seq += 1
                self.conn += 1
                self.online.append(f"snap\t{self.conn}\t{pk}\t{dn}\t127.0.0.1")
                lines.append(f"on\t{self.boot}\t{self.seq}\t{self.conn}\t{pk}\t{dn}\t127.0.0.1")
            self._say(lines)

    def run(self):
        turn = 0
        while not self.ended.wait(1):
            with self.lock:
                if self.repeat.is_set() and turn % 2 == 0:
                    self._say([f"snap-begin\t{self.boot}\t{self.seq}", *self.online,
                               f"snap-end\t{self.boot}\t{self.seq}\t{len(self.online)}"])
                self._say([f"beat\t{self.boot}\t{self.seq}\t{len(self.online)}"])
            turn += 1

    def close(self):
        self.ended.set()
        self.join()
        self.sock.close()

