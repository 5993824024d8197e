"""A writer that stops short of its commit: `python paused_holder.py URL GOOD_S` says `written` with its row in the transaction, waits until it may have been stopped
past its lease, and prints which fault the commit met.
"""

from __future__ import annotations

import sys
import time

from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.opening import open_store
from tillwatch.collector.store.postgres.lease import Lease
from tillwatch.collector.store.sqlite import StoreError

where = Postgres(sys.argv[1])
lease = Lease(where, holder="paused", good_s=float(sys.argv[2]))
assert lease.acquire()
store = open_store(where, lease)
# As the server lets a writer be silent, shortened for the test.
store.conn.execute("SELECT set_config('idle_in_transaction_session_timeout', '1s', false)").fetchall()


def late(db: object) -> None:
    store.conn.execute("INSERT OR REPLACE INTO meta VALUES ('who', ?)", (b"paused",))
    print("written", flush=True)
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        time.sleep(0.05)


try:
    store.change(late)
except StoreError as error:
    print(type(error).__name__, error)
