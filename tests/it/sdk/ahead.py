# SPDX-License-Identifier: Apache-2.0
"""Imported before an SDK: its clock is as far ahead as the server's clock of the tests, AHEAD_S seconds."""
import datetime
import os
import time

ahead = int(os.environ["AHEAD_S"])
real_time, real_gmtime, Real = time.time, time.gmtime, datetime.datetime


class Ahead(Real):
    @classmethod
    def now(cls, tz=None):
        return Real.now(tz) + datetime.timedelta(seconds=ahead)

    @classmethod
    def utcnow(cls):
        return Real.utcnow() + datetime.timedelta(seconds=ahead)


time.time = lambda: real_time() + ahead
time.gmtime = lambda secs=None: real_gmtime(time.time() if secs is None else secs)
datetime.datetime = Ahead
