"""What answers live through: an acknowledgement that got lost, a database that crashes while people answer."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from frugalseg.annotation.accounts import Role
from frugalseg.annotation.questions import Question
from frugalseg.annotation.store import Store
from frugalseg.core.records import Point, Query, QueryKind
from frugalseg.web.app import create_app
from frugalseg.web.site import Site

REPLY = {"kind": "answer", "verdict": "class", "class_id": 1, "shown_at_ms": 1, "answered_at_ms": 2, "active_ms": 900,
         "hidden_ms": 0}  # fmt: skip
PEOPLE, EACH = 3, 60


def event(held: dict) -> dict:
    return {"query": held["query"], "seq": 1, "base_version": held["version"], "fence": held["fence"], "payload": REPLY}


@pytest.fixture
def team(postgres, site, tmp_path):
    """A site whose store lies in PostgreSQL."""
    store = Store(postgres, wait_s=5.0)
    queries = [Query(f"q{n}", f"f{n}", QueryKind.POINT, "t", 0.0, Point(n, 1)) for n in range(PEOPLE * EACH)]
    questions = [Question(query, (1000, 100), {}) for query in queries]
    selection = store.add("f" * 64, "0001-select", site.selection.classes, questions, 0.0, 0.0)
    yield Site(store, selection, tmp_path, ("testserver",))
    store.close()


@pytest.mark.slow
def test_postgresql_crashes_and_restarts_in_the_middle(team, cluster) -> None:
    """Whoever answers meanwhile is told to come again, and does: every acknowledged answer is there, each once."""
    statuses: list[int] = []
    acknowledged: list[str] = []
    begun, refused = threading.Event(), threading.Event()

    def insist(send):
        """As the page does: 503 means once more."""
        for _ in range(6000):
            response = send()
            statuses.append(response.status_code)
            if response.status_code != 503:
                return response.json()
            assert response.headers["retry-after"] == "1"
            refused.set()
            time.sleep(0.05)
        raise AssertionError("the database did not come back")

    def answer(secret: str) -> None:
        client = TestClient(create_app(team), headers={"authorization": f"Bearer {secret}"})
        base, held = f"/api/{team.store.project}", []
        for _ in range(EACH):
            held = held or insist(lambda: client.post(f"{base}/leases", json={"count": 4}))["questions"]
            entry, uuid = held.pop(0), str(uuid4())
            insist(lambda uuid=uuid, entry=entry: client.put(f"{base}/events/{uuid}", json=event(entry)))
            acknowledged.append(uuid)
            if len(acknowledged) >= PEOPLE * EACH // 10:
                begun.set()

    accounts = team.store.accounts
    secrets = [accounts.login(accounts.invite(f"p{n}", Role.ANNOTATOR, "t").secret).secret for n in range(PEOPLE)]
    with ThreadPoolExecutor(PEOPLE) as pool:
        running = [pool.submit(answer, secret) for secret in secrets]
        assert begun.wait(300)
        cluster.crash()
        try:
            assert refused.wait(300)
        finally:
            cluster.start()
        for one in running:
            one.result(timeout=600)
    assert set(statuses) == {200, 503}
    lines = [line for history in team.store.histories(team.selection) for line in history.lines.values()]
    assert sorted(stored.uuid for line in lines for stored in line.applied) == sorted(acknowledged)
    assert len(set(acknowledged)) == PEOPLE * EACH == team.store.progress(team.selection).settled


def test_a_response_lost_after_the_commit_is_asked_for_again_and_the_answer_stored_once(site, running) -> None:
    """The page sends, the server stores, and the line breaks before the receipt comes."""
    secret = site.store.accounts.login(site.store.accounts.invite("ann", Role.ANNOTATOR, "t").secret).secret
    client = TestClient(create_app(site), headers={"authorization": f"Bearer {secret}"})
    (held,) = client.post(f"/api/{site.store.project}/leases", json={"count": 1}).json()["questions"]
    uuid = str(uuid4())
    request = client.build_request("PUT", f"/api/{site.store.project}/events/{uuid}", json=event(held))
    head = (
        f"PUT {request.url.raw_path.decode()} HTTP/1.1\r\nHost: 127.0.0.1:{running}\r\nContent-Type: application/json"
        f"\r\nAuthorization: Bearer {secret}\r\nContent-Length: {len(request.content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", running), timeout=20) as line:
        line.sendall(head.encode() + request.content)
        deadline = time.monotonic() + 20
        while site.store.progress(site.selection).answered == 0:
            assert time.monotonic() < deadline, "the server never stored it"
            time.sleep(0.01)  # the receipt is never read
    again = client.put(f"/api/{site.store.project}/events/{uuid}", json=event(held))
    assert (again.status_code, again.json()) == (
        200, {"uuid": uuid, "fate": "applied", "version": 1, "repeated": True}
    )  # fmt: skip
    lines = [line for history in site.store.histories(site.selection) for line in history.lines.values()]
    assert [stored.uuid for line in lines for stored in (*line.applied, *line.branch, *line.waiting)] == [uuid]
