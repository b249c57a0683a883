"""The reviewer's queue and the dashboard in a real browser."""

import pytest

pytestmark = pytest.mark.slow
MARKUP = "<img src=x onerror=document.title='hit'>"


def press(page, key: str) -> None:
    before = page.evaluate("document.body.dataset.question")
    page.keyboard.press(key)
    page.wait_for_function("before => document.body.dataset.question !== before", arg=before)


def test_a_disagreement_is_decided_and_the_dashboard_counts_it(world, visit, picture, request) -> None:
    world.start("--gold", "0.1", "--overlap", "1")
    admin = visit(world.link)
    base = f"http://127.0.0.1:{world.port}"
    admin.goto(f"{base}/dashboard")
    name = "bob" if request.config.getoption("--screenshots") else MARKUP
    admin.fill("#admin input", name)
    admin.click("#admin form button")
    admin.wait_for_function("() => document.querySelector('#admin output').textContent.includes('/join#')")
    admin.wait_for_function("() => document.querySelectorAll('#accounts tr').length === 2")
    link = admin.text_content("#admin output").split()[-1]
    other = visit(link)
    admin.goto(f"{base}/")
    admin.wait_for_selector("main.ask:not([hidden])")
    for page, keys in ((admin, "1111122222"), (other, "1111133333")):
        for key in keys:
            press(page, key)
        page.wait_for_function("() => document.querySelector('.dot').dataset.state === 'saved'")
    admin.goto(f"{base}/review")
    admin.wait_for_selector("main.ask:not([hidden])")
    picture(admin, "review_page")
    due = int(admin.text_content("#left").split()[0])
    assert 1 <= due <= 10
    assert name in admin.text_content("#answers")
    press(admin, "2")
    admin.wait_for_function(f"() => document.querySelector('#left').textContent === '{due - 1} to decide'")
    assert admin.text_content("#said").startswith("decided: ")
    admin.goto(f"{base}/dashboard")
    admin.wait_for_selector("#people tr")
    assert name in admin.text_content("#people")
    assert f"{due - 1} differ" in admin.text_content("#cards")
    picture(admin, "dashboard_page")
    assert admin.title() != "hit" and admin.locator("main img").count() == 0
    admin.locator("#accounts button").nth(1).click()
    admin.wait_for_function("() => document.querySelectorAll('#accounts tr')[1].children[2].textContent === '0'")
    other.goto(f"{base}/")
    other.wait_for_selector("#login[open]")
