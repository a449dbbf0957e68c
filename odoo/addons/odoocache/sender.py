"""A background thread per process and database that brings purges to the edge.

The purges themselves are rows of odoocache.purge, written in the transaction
that made the change: they appear with its commit, vanish with its rollback and
outlive the process. The thread only reads them, so waking it may fail or come
too late without harm: the next wake or the scheduled action finds them.
"""
import logging
import os
import threading
import time

import psycopg2.errors

from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry

_logger = logging.getLogger(__name__)

# Between a commit and the purge. Changes that come in a burst are sent as one,
# and the caches of Odoo's other processes are told of the change (which
# happens right after the commit) before a page is asked for again.
DELAY = 0.3
BACKOFF = (1, 2, 5, 10, 30, 60)
# The thread ends after that much time with nothing to do.
IDLE = 60

_lock = threading.Lock()
_senders = {}
# Databases of which a purge could not even be written down.
_everything = set()
# When note_header() last noted something, by database.
_noted = {}


class Sender:

    def __init__(self, dbname):
        self.dbname = dbname
        self.pid = os.getpid()
        self.event = threading.Event()
        self.at_once = threading.Event()  # ends the pause after a failure
        self.thread = None

    def wake(self, at_once=False):
        self.event.set()
        if at_once:
            self.at_once.set()
        if self.thread is None:
            self.thread = threading.Thread(
                target=self._run, name=f'odoocache.sender.{self.dbname}', daemon=True)
            self.thread.start()

    def _run(self):
        pause = threading.Event()  # never set: a wait that ends by its timeout alone
        failures = 0
        while True:
            if not failures and not self.event.wait(IDLE):
                with _lock:
                    if not self.event.is_set():
                        self.thread = None
                        return
            pause.wait(DELAY)
            self.event.clear()
            delay = send(self.dbname)
            if delay is None:
                failures = 0
                continue
            if self.at_once.wait(max(delay, BACKOFF[min(failures, len(BACKOFF) - 1)])):
                self.at_once.clear()
                failures = 0
                self.event.set()
            else:
                failures += 1


def wake(dbname, at_once=False):
    """Sees to it that pending purges are sent soon, or at once even if the last
    try has failed. Never raises."""
    try:
        with _lock:
            sender = _senders.get(dbname)
            if sender is None or sender.pid != os.getpid():  # threads do not survive a fork
                sender = _senders[dbname] = Sender(dbname)
            sender.wake(at_once)
    except Exception:
        _logger.exception("odoocache: the purge thread does not start; the scheduled action will send")


def note_header(dbname):
    """Notes that a purge has left with an answer: at most once a second, and in
    a transaction of its own, for the changes' own must not collide. Never raises."""
    now = time.monotonic()
    if now - _noted.get(dbname, -1) < 1:
        return
    _noted[dbname] = now
    try:
        with Registry(dbname).cursor() as cr:
            api.Environment(cr, SUPERUSER_ID, {})['odoocache.purge']._note_success(way=2)
    except Exception:
        _logger.debug("odoocache: the time of a purge is not noted", exc_info=True)


def purge_everything(dbname):
    """Remembers, in this process, that everything has to be purged."""
    _everything.add(dbname)


def send(dbname):
    """Sends what is pending. Returns None if nothing is left to do, else the
    seconds after which to try again, at least. Never raises."""
    try:
        with Registry(dbname).cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            if 'odoocache.purge' not in env:  # the addon has been removed
                return None
            if dbname in _everything:
                env['odoocache.purge']._add({'*'})
                cr.commit()
                _everything.discard(dbname)
            return env['odoocache.purge']._send_pending()
    except psycopg2.errors.SerializationFailure:
        return 0  # another process was faster
    except Exception:
        _logger.exception("odoocache: pending purges cannot be read")
        return 10
