# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 by hand, for what no client library lets one say: wildcards in a publish, wills on any topic, packets that
the broker answers by closing the connection.

    w = Wire(port, cid, user, password, will=(topic, payload, retain))   # .code: of the CONNACK, -1 for none
    w.publish(topic, payload, retain=False)   # QoS 1; True when it was acknowledged, False when the broker hung up
    w.subscribe(filter)                       # granted QoS, 128, or None when the broker hung up
    w.cut()                                   # without DISCONNECT
"""
import socket


def text(s):
    raw = s.encode()
    return len(raw).to_bytes(2, "big") + raw


def packet(first, body):
    n, length = len(body), b""
    while True:
        n, byte = n >> 7, n & 0x7f
        length += bytes([byte | (0x80 if n else 0)])
        if not n:
            return bytes([first]) + length + body


class Wire:
    def __init__(self, port, cid, user, password, will=None, timeout=10):
        self.s = socket.create_connection(("127.0.0.1", port), timeout)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.number, self.messages = b"", 0, []
        flags, payload = 0xc2, text(cid)
        if will:
            topic, what, retain = will
            flags |= 0x04 | 0x08 | (0x20 if retain else 0)
            payload += text(topic) + text(what)
        payload += text(user) + text(password)
        self.s.sendall(packet(0x10, b"\0\4MQTT\4" + bytes([flags]) + b"\0\x3c" + payload))
        answer = self._read()
        self.code = answer[1][1] if answer and answer[0] == 0x20 else -1

    def _take(self, n):
        while len(self.buffer) < n:
            try:
                got = self.s.recv(65536)
            except ConnectionResetError:
                got = b""
            if not got:
                return None
            self.buffer += got
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def _read(self):
        """-> (first byte, body), None when the connection has ended. Publishes are kept and acknowledged."""
        while True:
            first, n, shift = self._take(1), 0, 0
            while True:
                byte = self._take(1) if first else None
                if not byte:
                    return None
                n, shift = n | (byte[0] & 0x7f) << shift, shift + 7
                if byte[0] < 0x80:
                    break
            body = self._take(n) if n else b""
            if body is None:
                return None
            if first[0] >> 4 != 3:
                return first[0], body
            size = int.from_bytes(body[:2], "big")
            rest = body[2 + size:]
            if first[0] & 6:
                self._send(packet(0x40, rest[:2]))
                rest = rest[2:]
            self.messages.append((body[2:2 + size].decode(), rest))

    def _send(self, data):
        try:
            self.s.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def _ask(self, first, body, answer):
        """Sends with a packet identifier -> the body of its answer, None when the connection ended."""
        self.number += 1
        mid = self.number.to_bytes(2, "big")
        if not self._send(packet(first, body(mid))):
            return None
        while True:
            got = self._read()
            if got is None or (got[0] & 0xf0 == answer and got[1][:2] == mid):
                return got and got[1]

    def publish(self, topic, payload, retain=False):
        return self._ask(0x32 | retain, lambda mid: text(topic) + mid + payload.encode(), 0x40) is not None

    def subscribe(self, topic):
        got = self._ask(0x82, lambda mid: mid + text(topic) + b"\1", 0x90)
        return got and got[2]

    def ping(self):
        """Everything that the broker sent before is in .messages afterwards."""
        assert self._send(packet(0xc0, b""))
        while True:
            got = self._read()
            assert got is not None, "the broker hung up"
            if got[0] == 0xd0:
                return

    def cut(self):
        self.s.close()
