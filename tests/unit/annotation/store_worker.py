"""Answers questions as fast as it can and prints each acknowledged uuid; for test_database.py, which kills it."""

import sys
from pathlib import Path
from uuid import uuid4

from frugalseg.annotation.accounts import Account, Role
from frugalseg.annotation.events import Event
from frugalseg.annotation.store import Store

store = Store(Path(sys.argv[1]))
selection = store.selection("f" * 64)
account = Account(1, "ann", Role.ANNOTATOR)
while held := store.lease(selection, account, 8):
    for entry in held:
        reply = {"kind": "answer", "verdict": "class", "class_id": 1, "shown_at_ms": 1, "answered_at_ms": 2,
                 "active_ms": 1, "hidden_ms": 0}  # fmt: skip
        event = {"query": entry["query"], "seq": 1, "base_version": entry["version"], "fence": entry["fence"]}
        uuid = str(uuid4())
        store.put(uuid, Event.model_validate({**event, "payload": reply}), account, selection)
        print(uuid, flush=True)
