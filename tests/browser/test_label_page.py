"""The page in a real browser, against the real server and store."""

import json
import re

import pytest

from frugalseg.annotation.store import Store

pytestmark = pytest.mark.slow
PlaywrightError = pytest.importorskip("playwright.sync_api").Error
KEYS = "1234567890qwertyuiop"
PAINT = """() => {
  window.paints = [];
  addEventListener("keydown", () => {
    const pressed = performance.now();
    requestAnimationFrame(() => setTimeout(() => window.paints.push(performance.now() - pressed)));
  }, true);
}"""


def now_asked(page) -> str:
    return page.evaluate("document.body.dataset.question")


def press(page, key: str) -> None:
    """Press a key and wait for the next question, or for the end."""
    before = now_asked(page)
    page.keyboard.press(key)
    page.wait_for_function(
        """before => document.body.dataset.question !== before && (document.body.dataset.question
        || document.querySelector('.done p').textContent.startsWith('Nothing is left'))""",
        arg=before,
    )


def true_key(page, world) -> str:
    """The key of the true class, as a person sees it who knows the place."""
    key, row, column = re.fullmatch(r"(.+), row (\d+), column (\d+)", page.text_content("#place")).groups()
    return KEYS[world.truth[key, int(row), int(column)]]


def all_green(page) -> None:
    page.wait_for_function("() => document.querySelector('.dot').dataset.state === 'saved'", timeout=60_000)


def enough_ahead(page) -> None:
    """Wait until the page can go on for a while without its server."""
    page.wait_for_function("() => parseInt(document.querySelector('#saved').title) >= 8")


def histories(world):
    store = Store(world.project / "answers.db")
    run = next((world.project / "runs").glob("0001-select-*/run.json"))
    selection = store.selection(json.loads(run.read_text())["fingerprint"])
    found = store.histories(selection)
    store.close()
    return found


def test_200_questions_by_keyboard_with_the_server_killed_in_the_middle(world, visit, record_property) -> None:
    world.start("--gold", "0", "--overlap", "0")
    page = visit(world.link)
    page.evaluate(PAINT)
    for number in range(200):
        if number == 60:
            all_green(page)
            enough_ahead(page)
            world.kill()
        if number == 66:
            assert page.get_attribute(".dot", "data-state") == "local"
            world.start("--gold", "0", "--overlap", "0")
        page.keyboard.press(" ") if number == 20 else press(page, {10: "x", 30: "-"}.get(number, true_key(page, world)))
        if number == 20:
            page.wait_for_timeout(100)
        if number == 40:
            answered = now_asked(page)
            press(page, "z")
            press(page, true_key(page, world))
            assert now_asked(page) == answered
    all_green(page)
    found = [history for history in histories(world) if history.lines]
    late = [event for h in found for line in h.lines.values() for event in (*line.branch, *line.waiting)]
    assert late == []
    line_events = [event.uuid for history in found for line in history.lines.values() for event in line.applied]
    assert len(line_events) == len(set(line_events)) == 202
    said = [history.result for history in found if history.result]
    assert {str(reply.verdict) for reply in said} == {"class", "ambiguous", "none"}
    assert len(said) == 199
    paints = sorted(page.evaluate("window.paints"))
    record_property("key_to_paint_p95_ms", paints[int(len(paints) * 0.95)])
    print(f"key to next paint: median {paints[len(paints) // 2]:.0f} ms, p95 {paints[int(len(paints) * 0.95)]:.0f} ms")
    while page.evaluate("document.body.dataset.question"):
        press(page, true_key(page, world))
    page.wait_for_function("() => document.querySelector('.done p').textContent.startsWith('Nothing is left')")
    all_green(page)
    said = world.stop()
    assert "label done" in said or "label had been done" in said
    ledger = json.loads(next((world.project / "runs").glob("*-label-*/ledger.json")).read_text())
    assert ledger["verdicts"] == {"ambiguous": 1, "class": 218, "none": 1}
    assert ledger["answers"]["point"] == 222 and 0 < ledger["each_s"]["point"]["median"] < 30


def test_answers_of_a_tab_that_was_killed_arrive_when_it_is_opened_again(world, visit) -> None:
    world.start()
    page = visit(world.link)
    context = page.context
    enough_ahead(page)
    world.kill()
    for _ in range(5):
        press(page, true_key(page, world))
    page.wait_for_function("() => document.querySelector('#saved').textContent.startsWith('5 on this machine')")
    with pytest.raises(PlaywrightError):
        page.goto("chrome://crash", timeout=5000)
    world.start()
    again = context.new_page()
    again.goto(f"http://127.0.0.1:{world.port}/")
    again.wait_for_selector("main.ask:not([hidden])")
    all_green(again)
    assert sum(len(line.applied) for history in histories(world) for line in history.lines.values()) == 5


def test_receipts_that_get_lost_are_asked_for_again_and_answers_are_stored_once(world, visit) -> None:
    """The server stores each answer, but its first response never arrives."""
    world.start("--gold", "0", "--overlap", "0")
    page = visit(world.link)
    lost: list[str] = []

    def lose_once(route) -> None:
        if route.request.url in lost:
            route.continue_()
        else:
            lost.append(route.request.url)
            assert route.fetch().status == 200
            route.abort()

    page.route("**/events/*", lose_once)
    for _ in range(4):
        press(page, true_key(page, world))
    all_green(page)
    stored = [event for h in histories(world) for line in h.lines.values() for event in (*line.applied, *line.branch)]
    assert sorted(event.uuid for event in stored) == sorted(url.rsplit("/", 1)[1] for url in lost)
    assert len(stored) == 4


def test_an_invitation_that_is_none_says_what_to_do(world, visit, picture) -> None:
    world.start()
    page = visit(world.link).context.new_page()
    page.goto(f"http://127.0.0.1:{world.port}/join#long-ago")
    page.wait_for_function("() => document.querySelector('output').textContent.includes('Ask for an invitation link')")
    assert page.url.endswith("/join")  # the secret does not stay in the address
    page.set_viewport_size({"width": 640, "height": 180})
    picture(page, "join_page")


def test_two_people_are_never_asked_the_same(world, visit) -> None:
    world.start("--gold", "0", "--overlap", "0")
    one = visit(world.link)
    project = one.evaluate("(async () => (await (await fetch('/api/session')).json()).project)()")
    invitation = one.evaluate(
        """async project => (await (await fetch(`/api/${project}/people`, {method: "POST", headers:
        {"content-type": "application/json"}, body: JSON.stringify({name: "bob", role: "annotator"})})).json())
        .invitation""",
        project,
    )
    two = visit(f"http://127.0.0.1:{world.port}/join#{invitation}")
    asked: list[str] = []
    for _ in range(20):
        for page in (one, two):
            asked.append(now_asked(page))
            press(page, "1")
    assert len(set(asked)) == 40
    assert two.is_hidden("a[href='/dashboard']")


def test_the_guess_is_hidden_and_a_look_at_it_is_noted(world, visit, picture) -> None:
    world.start("--gold", "0")
    page = visit(world.link)
    assert page.is_hidden("#guess")
    picture(page, "label_page")
    page.keyboard.down("h")
    assert page.is_visible("#guess") and page.text_content("#guess").startswith("the model says: ")
    page.keyboard.up("h")
    assert page.is_hidden("#guess")
    press(page, "1")
    press(page, "2")
    all_green(page)
    replies = [line.answer for history in histories(world) for line in history.lines.values()]
    assert sorted(reply.revealed for reply in replies) == [False, True]


def test_pauses_count_for_thirty_seconds_at_most(world, visit) -> None:
    world.start("--gold", "0")
    page = visit(world.link)
    found = page.evaluate(
        """async () => {
          const { ActiveClock } = await import("/static/clock.js");
          let now = 0;
          const clock = new ActiveClock(() => now);
          now += 2000; clock.touch();
          now += 200_000; clock.touch();
          clock.show(false); now += 7000; clock.show(true);
          now += 500;
          return clock.read();
        }"""
    )
    assert found == {"active_ms": 2000 + 30_000 + 500, "hidden_ms": 7000}


def test_the_page_at_200_percent_in_the_dark_and_by_keyboard_only(world, visit, picture) -> None:
    world.start()
    page = visit(world.link, color_scheme="dark", device_scale_factor=2)
    page.set_viewport_size({"width": 640, "height": 400})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for selector in (".view canvas", ".lens", "#palette button"):
        box = page.locator(selector).first.bounding_box()
        assert box["width"] > 60 and box["height"] > 15 and 0 <= box["y"] < 400, selector
    picture(page, "label_page_200_percent")
    before = now_asked(page)
    for key in ("c", "c", "c", "[", "]", "{", "}", "+", "_", ",", ".", ".", ",", "ArrowLeft", "PageUp"):
        page.keyboard.press(key)
    assert now_asked(page) == before
    page.keyboard.press("?")
    assert page.is_visible("#help")
    picture(page, "label_help")
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    assert now_asked(page) == before
    page.locator("#palette button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("before => document.body.dataset.question !== before", arg=before)
