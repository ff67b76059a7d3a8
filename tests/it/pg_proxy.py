# SPDX-License-Identifier: Apache-2.0
"""Stands between otad and PostgreSQL and loses the answers to COMMITs.

    proxy = PgProxy(stack.pg_otad, directory)        # a directory that otad's user may enter
    otad's setting: database = proxy.conninfo
    cut = proxy.cut("otad api", "after")        # the next COMMIT of such a connection; n=3: the next three
    cut.wait()                                  # until all of them have been cut; cut.done: how many so far

How: "before" the server got the COMMIT, so that it rolls back; "after" it has carried it out, and its answer is lost;
"late": the client loses its connection at once, the server gets the COMMIT two seconds later. Everything else passes
through. Protocol: PostgreSQL 15, 55.7: a startup message, then messages of a type byte and a length."""
import os
import re
import socket
import struct
import threading

from client import wait_until

LATE_S = 2
COMMIT = b"Q" + struct.pack("!i", 4 + len(b"commit\0")) + b"commit\0"


def end(one):
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has gone already


class Cut:
    def __init__(self, how, n):
        self.how, self.n, self.taken, self.done = how, n, 0, 0

    def wait(self, within=20):
        wait_until(lambda: self.done == self.n, within, lambda: f"{self.done} of {self.n} COMMITs were cut")


class PgProxy:
    def __init__(self, conninfo, directory):
        where = dict(word.split("=", 1) for word in conninfo.split())
        self.server = f"{where['host']}/.s.PGSQL.{where['port']}"
        self.conninfo = re.sub(r"host=\S+", f"host={directory}", conninfo)
        self.cuts, self.lock = {}, threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        path = f"{directory}/.s.PGSQL.{where['port']}"
        self.listener.bind(path)
        os.chmod(path, 0o777)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def cut(self, application, how, n=1):
        assert how in ("before", "after", "late")
        with self.lock:
            self.cuts[application] = Cut(how, n)
            return self.cuts[application]

    def _take(self, application):
        """The cut that this COMMIT belongs to, or None."""
        with self.lock:
            c = self.cuts.get(application)
            if not c:
                return None
            c.taken += 1
            if c.taken == c.n:
                del self.cuts[application]
            return c

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(self.server)
                Connection(self, client, server).run()
            except OSError:
                pass  # one of them has gone, and so does the other
            end(client)
            end(server)


class Connection:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.answers = threading.Thread(target=self._pass_answers, daemon=True)
        self.muted = False
        self.answered = threading.Event()  # something came from the server since it was muted
        self.application = ""

    def run(self):
        startup = self._exactly(4)
        startup += self._exactly(struct.unpack("!i", startup)[0] - 4)
        found = re.search(rb"application_name\0([^\0]*)\0", startup)
        self.application = found.group(1).decode() if found else ""
        self.server.sendall(startup)
        self.answers.start()
        while True:
            message = self._exactly(5)
            message += self._exactly(struct.unpack("!i", message[1:])[0] - 4)
            cut = self.proxy._take(self.application) if message == COMMIT else None
            if cut:
                self._cut(cut)
                return
            self.server.sendall(message)

    def _cut(self, cut):
        if cut.how == "late":
            end(self.client)
            threading.Event().wait(LATE_S)
        if cut.how != "before":
            self.muted = True
            self.server.sendall(COMMIT)
            self.answered.wait(20)
        end(self.client)
        cut.done += 1

    def _pass_answers(self):
        try:
            while True:
                data = self.server.recv(65536)
                if self.muted:
                    self.answered.set()
                if not data:
                    break
                if not self.muted:
                    self.client.sendall(data)
        except OSError:
            pass
        end(self.client)
        end(self.server)

    def _exactly(self, n):
        out = b""
        while len(out) < n:
            got = self.client.recv(n - len(out))
            if not got:
                raise OSError("gone")
            out += got
        return out
