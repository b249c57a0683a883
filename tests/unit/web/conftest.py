"""A site over a small SQLite store, and a client for each role."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from frugalseg.annotation.accounts import Role
from frugalseg.annotation.questions import Question
from frugalseg.annotation.store import Store
from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.records import Point, Query, QueryKind
from frugalseg.web.app import create_app
from frugalseg.web.serve import listen
from frugalseg.web.site import Site

XSS = "<img src=x onerror=alert(1)>"
CLASSES = ClassSet("two", (SemanticClass("road", (1, 2, 3), (0,)), SemanticClass(XSS, (4, 5, 6), (1,))))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    store = Store(tmp_path / "answers.db", wait_s=0.3)
    queries = [Query(f"q{n}", f"f{n}", QueryKind.POINT, "t", 0.0, Point(n, 1)) for n in range(6)]
    questions = [Question(query, (100, 100), {"lens": {"name": "x"}}) for query in queries]
    media = tmp_path / "media"
    media.mkdir()
    (media / f"{'a' * 64}.png").write_bytes(b"\x89PNG picture")
    (tmp_path / "media_secret").mkdir()
    (tmp_path / "media_secret" / "x.png").write_bytes(b"a secret")
    (tmp_path / "secret.txt").write_bytes(b"a secret")
    yield Site(store, store.add("f" * 64, "0001-select", CLASSES, questions, 0.0, 0.0), media, ("testserver",))
    store.close()


@pytest.fixture
def client(site: Site) -> Callable[..., TestClient]:
    """A client that is logged in with a role, or with none."""

    def build(role: Role | None = Role.ANNOTATOR, name: str | None = None) -> TestClient:
        found = TestClient(create_app(site), raise_server_exceptions=False)
        if role is not None:
            invitation = site.store.accounts.invite(name or f"a {role}", role, "test").secret
            assert found.post("/api/session", json={"invitation": invitation}).status_code == 200
        return found

    return build


@pytest.fixture
def running(site: Site) -> Iterator[int]:
    """The site on a real socket; yields its port."""
    import uvicorn

    server = listen("127.0.0.1", 0)
    port = server.getsockname()[1]
    hosted = Site(site.store, site.selection, site.media, ("127.0.0.1",))
    running = uvicorn.Server(uvicorn.Config(create_app(hosted), log_level="error", lifespan="off"))
    thread = threading.Thread(target=lambda: running.run(sockets=[server]))
    thread.start()
    yield port
    running.should_exit = True
    thread.join()
