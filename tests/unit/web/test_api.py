import asyncio
import re
import socket
import time
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from frugalseg.annotation.accounts import RIGHTS, SESSION_MS, Right, Role
from frugalseg.web.app import create_app, create_inner, declared, routes
from frugalseg.web.body import BODY_CAP
from frugalseg.web.pages import _FILES, _PAGES
from frugalseg.web.serve import listen, serve
from frugalseg.web.site import Site

REPLY = {"kind": "answer", "verdict": "class", "class_id": 1, "shown_at_ms": 1, "answered_at_ms": 2, "active_ms": 900,
         "hidden_ms": 0}  # fmt: skip


def event(held: dict, **payload) -> dict:
    return {"query": held["query"], "seq": 1, "base_version": held["version"], "fence": held["fence"],
            "payload": {**REPLY, **payload}}  # fmt: skip


def lease(client: TestClient, site: Site, count: int = 1) -> list[dict]:
    return client.post(f"/api/{site.store.project}/leases", json={"count": count}).json()["questions"]


def put(client: TestClient, site: Site, body: object, uuid: str | None = None):
    return client.put(f"/api/{site.store.project}/events/{uuid or uuid4()}", json=body)


def test_a_session_and_an_answer(site, client) -> None:
    ann = client(name="ann")
    about = ann.get("/api/session").json()
    assert (about["account"], about["role"], about["project"]) == ("ann", "annotator", site.store.project)
    (held,) = lease(ann, site)
    uuid = str(uuid4())
    first, again = (put(ann, site, event(held), uuid) for _ in range(2))
    assert (first.status_code, first.json()) == (
        200,
        {"uuid": uuid, "fate": "applied", "version": 1, "repeated": False},
    )
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    other = put(ann, site, event(held, class_id=0), uuid)
    assert (other.status_code, other.json()["error"]["kind"]) == (409, "conflict")
    assert ann.post(f"/api/{site.store.project}/heartbeat", json={}).json() == {"held": []}
    assert site.store.progress(site.selection).answered == 1


# --- who may do what: every route times every role ---------------------------------------------------------------


def every_route(site: Site) -> dict[tuple[str, str], Right | None]:
    """Method and path of all that the application answers to, with the right that each declares."""
    found = routes(create_inner(site))
    return {(method, route.path): declared(route)[0].right for route in found for method in sorted(route.methods)}


def test_each_right_guards_something(site) -> None:
    assert set(every_route(site).values()) == {None, *Right}


@pytest.mark.parametrize("role", [None, *Role])
def test_a_route_lets_in_who_has_the_right_and_nobody_else(site, client, role) -> None:
    rights, caller = every_route(site), client(role)
    last = "DELETE", "/api/session"  # it ends the caller's session
    for (method, path), right in sorted(rights.items(), key=lambda entry: entry[0] == last):
        url = path.replace("{project}", site.store.project).replace("{uuid}", str(uuid4())).replace("{name}", "none")
        response = caller.request(method, url)
        if right is not None and role is None:
            assert response.status_code == 401, url
        elif right is not None and right not in RIGHTS[role]:
            assert response.status_code == 403, url
        else:
            assert response.status_code not in (401, 403, 500), url


def test_a_route_without_a_right_stops_the_server(site, monkeypatch) -> None:
    from fastapi import APIRouter

    from frugalseg.web import pages

    router = APIRouter()
    router.add_api_route("/open", lambda: 1)
    monkeypatch.setattr(pages, "router", router)
    with pytest.raises(RuntimeError, match="/open"):
        create_inner(site)


# --- case 51: paths that lead elsewhere --------------------------------------------------------------------------

TRAVERSALS = (
    "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", "..%5csecret.txt", "%252e%252e%252fsecret.txt",
    "../secret.txt", "....//secret.txt", "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", ";/../secret.txt",
    "x%00.png", "%00", "../media_secret/x.png", "..%2fmedia_secret%2fx.png", "C:%5cx", "file:%2f%2f%2fetc%2fpasswd",
    "a" * 64, "a" * 64 + ".png.txt", "a" * 64 + ".svg", "A" * 64 + ".png", "a" * 5000,
)  # fmt: skip


PLACES = ("/media/", "/static/", "/", "/api/", "/api/{project}/")
PIECES = ("..", ".", "/", "\\", "%2e", "%2f", "%5c", "%252e", "%252f", "%00", ";", ":", " ", "~", "media", "static",
          "media_secret", "secret.txt", "x.png", "answers.db", "etc", "passwd", "a" * 64, ".png", ".js", "label",
          "session", "review", "\u202e", "\xe9")  # fmt: skip
SERVED = (b"\x89PNG picture", *_FILES.values(), *_PAGES.values())


@pytest.fixture
def root_get(site):
    """A GET by somebody who may do everything."""
    app = create_app(site)
    secret = site.store.accounts.login(site.store.accounts.invite("root", Role.ADMIN, "t").secret).secret
    return lambda place, name: raw_get(app, place.replace("{project}", site.store.project) + name, secret)


@pytest.mark.parametrize("place", PLACES)
def test_no_path_leads_out(root_get, place) -> None:
    """Case 51."""
    for name in TRAVERSALS:
        status, content = root_get(place, name)
        assert status == 404, (place, name)
        assert b"a secret" not in content


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_whatever_the_path_nothing_but_pages_and_pictures_is_served(root_get, place, name) -> None:
    """Case 51, fuzzed: pieces of paths, plain and encoded once or twice, in any order."""
    status, content = root_get(place, name)
    assert status in (200, 404), (place, name)
    assert status == 404 or content in SERVED or content.startswith(b"{"), (place, name)
    assert b"a secret" not in content and b"SQLite format" not in content


def test_no_event_has_such_a_name(site, client) -> None:
    """Case 51."""
    ann = client()
    (held,) = lease(ann, site)
    for name in TRAVERSALS:
        if "/" not in name and name.strip("."):
            assert put(ann, site, event(held), name).status_code == 404, name
    assert site.store.progress(site.selection).answered == 0


def raw_get(app, path: str, secret: str) -> tuple[int, bytes]:
    """GET of a path as it stands, as the server hands it on: clients tidy dots away before they send."""
    headers = [(b"host", b"testserver"), (b"authorization", f"Bearer {secret}".encode())]
    scope = {"type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(), "query_string": b"",
             "headers": headers, "root_path": "", "scheme": "http", "http_version": "1.1"}  # fmt: skip
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def test_a_picture_is_served_by_its_name_only_and_for_ever(client) -> None:
    response = client().get(f"/media/{'a' * 64}.png")
    assert (response.status_code, response.content) == (200, b"\x89PNG picture")
    assert response.headers["content-type"] == "image/png"
    assert "immutable" in response.headers["cache-control"]


# --- case 52: other sites, other content, other projects, tokens that ended ---------------------------------------


def test_requests_of_other_sites_are_refused(site, client) -> None:
    """Case 52: cross-origin POST."""
    ann = client()
    (held,) = lease(ann, site)
    url = f"/api/{site.store.project}/events/{uuid4()}"
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://testserver:81"},
                    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):  # fmt: skip
        assert ann.put(url, json=event(held), headers=headers).status_code == 403
        assert ann.post("/api/session", json={"invitation": "x"}, headers=headers).status_code == 403
    assert ann.put(url, json=event(held), headers={"origin": "http://testserver"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "testserver.evil.example", "127.0.0.1", "", "[::1", "evil@testserver.x"]
)
def test_a_host_name_the_server_was_not_started_for_is_refused(client, host) -> None:
    """Case 52: Host: evil."""
    response = client().get("/", headers={"host": host})
    assert (response.status_code, response.json()["error"]["kind"]) == (403, "forbidden")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"])
def test_only_json_is_read(site, client, kind) -> None:
    """Cases 52 (JSON as text/plain) and 41 (100k form fields without a boundary)."""
    ann = client()
    (held,) = lease(ann, site)
    content = b"{}" if kind != "multipart/form-data" else b"a=1&" * 100_000
    url = f"/api/{site.store.project}/events/{uuid4()}"
    assert ann.put(url, content=content, headers={"content-type": kind}).status_code == 415
    assert ann.post("/api/session", content=content, headers={"content-type": kind}).status_code == 415


def test_the_address_of_another_project_is_refused(site, client) -> None:
    """Case 52: another project's id."""
    ann = client()
    (held,) = lease(ann, site)
    response = ann.put(f"/api/{'0' * 16}/events/{uuid4()}", json=event(held))
    assert (response.status_code, response.json()["error"]["message"]) == (403, "This server serves another project.")
    assert put(ann, site, event({**held, "query": 99})).status_code == 404


def test_revoked_and_expired_sessions_are_told_to_log_in(site, client, monkeypatch) -> None:
    """Case 52: revoked and expired tokens."""
    ann, bob = client(name="ann"), client(name="bob")
    site.store.accounts.revoke("ann", "test")
    assert ann.get("/api/session").status_code == 401
    assert bob.get("/api/session").status_code == 200
    now = time.time_ns() // 1_000_000
    monkeypatch.setattr(site.store.accounts, "_now_ms", lambda: now + SESSION_MS + 1000)
    response = bob.get("/api/session")
    assert (response.status_code, response.json()["error"]["kind"]) == (401, "login")


def test_the_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(site) -> None:
    found = TestClient(create_app(site))
    invitation = site.store.accounts.invite("ann", Role.ANNOTATOR, "test").secret
    cookie = found.post("/api/session", json={"invitation": invitation}).headers["set-cookie"].lower()
    assert cookie.startswith(f"frugalseg_{site.store.project}=")
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    secret = re.search("=([^;]+)", cookie)
    assert secret is not None


def test_a_bearer_token_does_as_well_and_logging_out_ends_it(site) -> None:
    secret = site.store.accounts.login(site.store.accounts.invite("ann", Role.ANNOTATOR, "t").secret).secret
    found, headers = TestClient(create_app(site)), {"authorization": f"Bearer {secret}"}
    assert found.get("/api/session", headers=headers).status_code == 200
    assert found.delete("/api/session", headers=headers).status_code == 200
    assert found.get("/api/session", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/", "/join", "/static/nothing.js", "/api/session", "/api/openapi.json"])
def test_every_response_carries_the_headers(client, path) -> None:
    headers = client().get(path).headers
    policy = headers["content-security-policy"]
    assert "script-src 'self'" in policy and "default-src 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert not [name for name in headers if name.startswith("access-control")]


def test_a_class_named_like_markup_comes_as_text(client) -> None:
    """Case 52: a label named <img …>; tests/browser shows that it stays inert on the page."""
    response = client().get("/api/session")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["classes"][1]["name"] == "<img src=x onerror=alert(1)>"


def test_names_that_begin_like_formulas_are_quoted_in_tables(site, client) -> None:
    """Case 52: =cmd| in a CSV."""
    names = ("=cmd|' /C calc'!A0", "+1", "-1", "@x", "plain")
    for name in names:
        ann = client(name=name)
        put(ann, site, event(lease(ann, site)[0]))
    lines = client(Role.REVIEWER).get(f"/api/{site.store.project}/people.csv").text.splitlines()[1:]
    assert all(line.lstrip('"').startswith("'") != line.startswith("plain") for line in lines) and len(lines) == 5


# --- bodies: cases 26-29, 36, 41, 42 -------------------------------------------------------------------------------

BAD_JSON = {
    "deep": b"[" * 7000 + b"]" * 7000, "deep object": b'{"a":' * 2500 + b"1" + b"}" * 2500, "NaN": b'{"count": NaN}',
    "Infinity": b'{"count": -Infinity}', "1e999": b'{"count": 1e999}', "digits": b'{"count": ' + b"9" * 10_000 + b"}",
    "twice": b'{"count": 1, "count": 2}', "utf-8": b'{"count": "\xff"}', "cut": b'{"count": 1', "empty": b"",
    "list": b"[1]", "text": b'"x"', "null": b"null", "float": b'{"count": 1.0}', "bool": b'{"count": true}',
    "extra": b'{"count": 1, "x": 2}', "zero": b'{"count": 0}', "many": b'{"count": 33}',
}  # fmt: skip


@pytest.mark.parametrize("content", BAD_JSON.values(), ids=BAD_JSON)
def test_json_with_more_than_one_meaning_is_refused(site, client, content) -> None:
    response = client().post(f"/api/{site.store.project}/leases", content=content,
                             headers={"content-type": "application/json"})  # fmt: skip
    assert (response.status_code, response.json()["error"]["kind"]) == (422, "invalid")


OUT_OF_RANGE = [("class_id", value) for value in (-0.0, 2, 1e308)]
OUT_OF_RANGE += [("active_ms", 1e308), ("active_ms", -1), ("x", 1)]


@pytest.mark.parametrize(("field", "value"), OUT_OF_RANGE)
def test_answers_out_of_range_are_refused(site, client, field, value) -> None:
    """Case 36: -0.0 and 1e308; a client names no coordinates, those of the questions are tested with the store."""
    ann = client()
    (held,) = lease(ann, site)
    response = put(ann, site, event(held, **{field: value}))
    assert (response.status_code, response.json()["error"]["kind"]) == (422, "invalid")
    assert site.store.progress(site.selection).answered == 0


def test_a_body_over_the_cap_is_refused(site, client) -> None:
    """Case 41: a body that says how large it is."""
    url, headers = f"/api/{site.store.project}/leases", {"content-type": "application/json"}
    assert client().post(url, content=b" " * (BODY_CAP + 1), headers=headers).status_code == 413


def test_of_an_endless_body_no_more_than_the_cap_is_taken_in(site) -> None:
    """Case 41: constant memory, whatever a client sends and says."""
    secret = site.store.accounts.login(site.store.accounts.invite("ann", Role.ANNOTATOR, "t").secret).secret
    path, piece, taken, sent = f"/api/{site.store.project}/leases", b" " * 1000, [], []
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": [(b"host", b"testserver"), (b"authorization", f"Bearer {secret}".encode()),
                         (b"content-type", b"application/json"), (b"content-length", b"2")],
             "root_path": "", "scheme": "http", "http_version": "1.1"}  # fmt: skip

    async def receive() -> dict:
        taken.append(len(piece))
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(create_app(site)(scope, receive, send))
    assert sent[0]["status"] == 413
    assert sum(taken) <= BODY_CAP + len(piece)


def say(port: int, site: Site, secret: str, *parts: bytes) -> bytes:
    """Send the head of a PUT and then parts of a body as they are; return the answer's first line."""
    head = (
        f"PUT /api/{site.store.project}/events/{uuid4()} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {secret}\r\nContent-Type: application/json\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(head.encode() + parts[0])
        for part in parts[1:]:
            try:
                link.sendall(part)
            except OSError:  # it has hung up already, as it should
                break
        try:
            return link.recv(4096).partition(b"\r\n")[0]
        except ConnectionError:
            return b""


def test_an_endless_body_is_cut_off(site, running) -> None:
    """Case 41: pieces without end; at most the cap is kept."""
    secret = site.store.accounts.login(site.store.accounts.invite("ann", Role.ANNOTATOR, "t").secret).secret
    piece = b"1000\r\n" + b" " * 4096 + b"\r\n"
    first_line = say(running, site, secret, b"Transfer-Encoding: chunked\r\n\r\n", *[piece] * 6)
    assert b" 413 " in first_line


def test_a_client_that_leaves_half_way_leaves_nothing(site, running, tmp_path) -> None:
    """Case 42: no temporary file, no event."""
    secret = site.store.accounts.login(site.store.accounts.invite("ann", Role.ANNOTATOR, "t").secret).secret
    before = sorted(path.name for path in tmp_path.rglob("*") if not path.name.startswith("answers.db"))
    with socket.create_connection(("127.0.0.1", running)) as link:
        link.sendall(
            f"PUT /api/{site.store.project}/events/{uuid4()} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {secret}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
    client = TestClient(create_app(site))
    assert client.get("/api/session", headers={"authorization": f"Bearer {secret}"}).status_code == 200
    assert sorted(path.name for path in tmp_path.rglob("*") if not path.name.startswith("answers.db")) == before
    assert site.store.progress(site.selection).answered == 0


# --- the rest -------------------------------------------------------------------------------------------------------


def test_a_busy_store_says_when_to_come_again(site, client) -> None:
    ann = client()
    (held,) = lease(ann, site)
    body = event(held)
    with site.store.database.write():
        response = put(ann, site, body)
    assert (response.status_code, response.json()["error"]["kind"]) == (503, "busy")
    assert response.headers["retry-after"] == "1"
    assert put(ann, site, body).status_code == 200


def test_a_slip_of_ours_shows_nothing_of_the_inside(site, client, monkeypatch) -> None:
    ann = client()
    monkeypatch.setattr(type(site.store), "progress", lambda *_: 1 / 0)
    response = ann.get("/api/session")
    assert (response.status_code, response.json()["error"]["kind"]) == (500, "internal")
    assert "ZeroDivision" not in response.text


def test_openapi_describes_every_route_and_body(site, client) -> None:
    found = client(None).get("/api/openapi.json").json()
    assert f"{found['openapi']}".startswith("3.")
    put_body = found["paths"]["/api/{project}/events/{uuid}"]["put"]["requestBody"]
    assert set(put_body["content"]["application/json"]["schema"]["properties"]) == {
        "query", "seq", "base_version", "fence", "payload"
    }  # fmt: skip
    described = {path for path in found["paths"]}
    paths = {path for _, path in every_route(site) if path.startswith(("/api", "/media"))}
    assert described == paths - {"/api/openapi.json"}


def test_review_and_dashboard(tmp_path: Path, site, client) -> None:
    ann, rita = client(name="ann"), client(Role.REVIEWER, "rita")
    for held, active_ms in zip(lease(ann, site, 3), (1000, 2000, 4000), strict=True):
        put(ann, site, event(held, active_ms=active_ms))
    put(ann, site, event({"query": 1, "version": 0, "fence": 1}, class_id=0))  # a second tab: too late
    (item,) = rita.get(f"/api/{site.store.project}/review").json()["items"]
    assert [(entry["class_id"], entry["late"]) for entry in item["said"]] == [(1, False), (0, True)]
    found = rita.get(f"/api/{site.store.project}/dashboard").json()
    assert (found["each_s"]["median"], found["spent_s"], found["left_s"]) == (2.0, 7.0, 6.0)
    decision = {"query": item["query"], "seq": 1, "base_version": 0, "fence": 0,
                "payload": {**REPLY, "kind": "decision", "class_id": 0}}  # fmt: skip
    assert put(ann, site, decision).status_code == 403
    assert put(rita, site, decision).json()["fate"] == "applied"
    assert rita.get(f"/api/{site.store.project}/review").json()["items"] == []


def test_inviting_and_revoking(site, client) -> None:
    admin = client(Role.ADMIN)
    made = admin.post(f"/api/{site.store.project}/people", json={"name": "bob", "role": "reviewer"}).json()
    bob = TestClient(create_app(site))
    assert bob.post("/api/session", json={"invitation": made["invitation"]}).json()["role"] == "reviewer"
    people = admin.get(f"/api/{site.store.project}/people").json()
    assert {"name": "bob", "role": "reviewer", "tokens": 2} in people["people"]
    assert made["invitation"] not in str(people)
    assert admin.delete(f"/api/{site.store.project}/people/bob/tokens").json() == {"ended": 2}
    assert bob.get("/api/session").status_code == 401


def test_a_taken_port_is_refused_by_name() -> None:
    from frugalseg.core.errors import ConfigError

    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: cannot listen there"):
            listen("127.0.0.1", port)
    assert callable(serve)
