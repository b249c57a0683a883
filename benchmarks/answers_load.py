"""Many people answer at once: is every acknowledged answer stored once, and how long does an acknowledgement take?

    python benchmarks/answers_load.py --out benchmarks/results

Starts the real server on a new SQLite store in a process of its own, lets simulated people answer one question a second
each over HTTP, and compares the time to acknowledgement with that of a bare insert into a table of the same database
settings. In the end every acknowledged answer must be stored once, and be in what is exported.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from socket import socket as Socket
from uuid import uuid4

import httpx
import uvicorn
from _seeds import how, publish

from frugalseg.annotation.accounts import Role
from frugalseg.annotation.questions import Question
from frugalseg.annotation.store import Store
from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.records import Point, Query, QueryKind
from frugalseg.web.app import create_app
from frugalseg.web.serve import listen
from frugalseg.web.site import Site

CLASSES = ClassSet("two", (SemanticClass("a", (0, 0, 0), (0,)), SemanticClass("b", (9, 9, 9), (1,))))
BARE_INSERTS = 500
FINGERPRINT = "f" * 64  # of the selection


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def bare_insert_ms(folder: Path) -> list[float]:
    """Milliseconds of one-row transactions, one after the other, with the store's settings."""
    from sqlalchemy import text

    from frugalseg.annotation.database import Database

    database = Database(folder / "bare.db")
    with database.write() as session:
        session.execute(text("CREATE TABLE bare (id INTEGER PRIMARY KEY, payload TEXT)"))
    took = []
    for _ in range(BARE_INSERTS):
        began = time.perf_counter()
        with database.write() as session:
            session.execute(text("INSERT INTO bare (payload) VALUES (:text)"), {"text": "x" * 300})
        took.append((time.perf_counter() - began) * 1000)
    database.close()
    return took


async def annotate(client: httpx.AsyncClient, project: str, until: float, seen: dict) -> None:
    """One person: leases like the page does, and answers once a second."""
    held: list[dict] = []
    due = time.perf_counter() + hash(uuid4()) % 1000 / 1000  # not all in the same moment
    while time.perf_counter() < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        due += 1.0
        if len(held) < 2:
            response = await client.post(f"/api/{project}/leases", json={"count": 16})
            seen["status"].append(response.status_code)
            held = response.json()["questions"]
        entry, uuid = held.pop(0), str(uuid4())
        reply = {"kind": "answer", "verdict": "class", "class_id": 1, "shown_at_ms": 1, "answered_at_ms": 2,
                 "active_ms": 900, "hidden_ms": 0}  # fmt: skip
        event = {"query": entry["query"], "seq": 1, "base_version": entry["version"], "fence": entry["fence"],
                 "payload": reply}  # fmt: skip
        began = time.perf_counter()
        response = await client.put(f"/api/{project}/events/{uuid}", json=event)
        seen["took_ms"].append((time.perf_counter() - began) * 1000)
        seen["status"].append(response.status_code)
        if response.status_code == 200:
            seen["acknowledged"].append(uuid)


def serve_store(folder: Path, socket: Socket) -> None:
    """Answer requests about the store in `folder` until the process is ended."""
    store = Store(folder / "answers.db")
    selection = store.selection(FINGERPRINT)
    assert selection is not None
    app = create_app(Site(store, selection, folder))
    uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False)).run(sockets=[socket])


async def load(project: str, port: int, secrets: list[str], seconds: float) -> dict:
    seen: dict = {"status": [], "took_ms": [], "acknowledged": []}
    clients = []
    for secret in secrets:
        headers = {"authorization": f"Bearer {secret}"}
        clients.append(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30))
    until = time.perf_counter() + seconds
    await asyncio.gather(*(annotate(client, project, until, seen) for client in clients))
    for client in clients:
        await client.aclose()
    return seen


def measure(folder: Path, people: int, seconds: float) -> dict:
    store = Store(folder / "answers.db")
    count = int(people * (seconds + 20) * 1.1)
    queries = [Query(f"q{n}", f"f{n}", QueryKind.POINT, "t", 0.0, Point(1, 1)) for n in range(count)]
    selection = store.add(
        FINGERPRINT, "bench", CLASSES, [Question(query, (9, 9), {}) for query in queries], overlap=0.1, gold=0.0
    )
    accounts = [store.accounts.invite(f"person {number}", Role.ANNOTATOR, "bench") for number in range(people)]
    secrets = [store.accounts.login(ticket.secret).secret for ticket in accounts]
    project = store.project
    store.close()  # a connection must not live in two processes
    socket = listen("127.0.0.1", 0)
    server = get_context("fork").Process(target=serve_store, args=(folder, socket), daemon=True)
    server.start()
    seen = asyncio.run(load(project, socket.getsockname()[1], secrets, seconds))
    server.terminate()
    server.join()
    store = Store(folder / "answers.db")
    histories = store.histories(selection)
    stored = [event.uuid for history in histories for line in history.lines.values() for event in line.applied]
    exported = sum(row.seconds > 0 for history in histories for row in history.rows())
    store.close()
    bare = bare_insert_ms(folder)
    return {
        "people": people,
        "seconds": seconds,
        "answers": len(seen["took_ms"]),
        "acknowledged": len(seen["acknowledged"]),
        "stored_once": sorted(stored) == sorted(seen["acknowledged"]),
        "exported": exported,
        "status_5xx": sum(status >= 500 for status in seen["status"]),
        "ack_ms": {"median": statistics.median(seen["took_ms"]), "p95": percentile(seen["took_ms"], 0.95)},
        "bare_insert_ms": {"median": statistics.median(bare), "p95": percentile(bare, 0.95)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.people, given.seconds)
    publish(table(found, time.monotonic() - began), given.out, "answers_load")
    if found["status_5xx"] or not found["stored_once"] or found["exported"] != found["acknowledged"]:
        sys.exit("A fault of the server refused an answer, or one is not stored exactly once, or is not exported.")


def table(found: dict, took_s: float) -> str:
    """Return the result as Markdown."""
    lines = [
        f"# {found['people']} people answer once a second for {found['seconds']:.0f} s",
        "",
        f"{found['answers']} answers sent, {found['acknowledged']} acknowledged, "
        f"each of them stored once: {'yes' if found['stored_once'] else 'no'}; exported: {found['exported']}; "
        f"answers with a 5xx status: {found['status_5xx']}. The server with its store (SQLite) and the people are "
        "a process each, on the same machine.",
        "",
        "| | median, ms | 95th percentile, ms |",
        "|---|---|---|",
    ]
    for key, words in (("ack_ms", "answer acknowledged, over HTTP"), ("bare_insert_ms", "a bare insert, one writer")):
        lines.append(f"| {words} | {found[key]['median']:.1f} | {found[key]['p95']:.1f} |")
    return "\n".join([*lines, "", *how(__file__, took_s), ""])


if __name__ == "__main__":
    main()
