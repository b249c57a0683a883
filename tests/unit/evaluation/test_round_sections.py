"""The report's sections about rounds: gains an hour, forecast against fact, whether selection paid, what is unsure."""

import dataclasses
import importlib.util
import math
import re
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.evaluation.asked_rounds import AskedRound, StillUnsure, UnsureFrame
from frugalseg.evaluation.confusion import Confusions, confusion
from frugalseg.evaluation.reliability import Reliability
from frugalseg.evaluation.report import EvaluatedModel, Role, render
from frugalseg.evaluation.round_words import round_rows, selection_words, unsure_classes
from frugalseg.evaluation.surprise import Reply, compare_slice
from frugalseg.evaluation.tables import gain_of, tiles


def _load_page():
    spec = importlib.util.spec_from_file_location("report_page", Path(__file__).with_name("test_report.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Page


Page = _load_page()


def replies(surprises, others, key="f"):
    return [Reply(f"{key}{n % 20}", 0, int(n < surprises), 3.0, n % 3 == 0) for n in range(surprises + others)]


@pytest.fixture(scope="module")
def told(data):
    """The invented report, with two rounds: the second one's model was not scored."""
    rounds = (
        AskedRound(1, "entropy_patches", 300, 30, 900.0, 1500.0, 0.31, "point_da", "cbst"),
        AskedRound(2, "entropy_patches", 300, 30, 900.0, 800.0, 0.22),
        AskedRound(1, "random_patches", 300, 0, math.nan, 1500.0, math.nan, "random", "cbst"),
    )
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (40, 40)).astype(np.uint8)
    counted = Reliability.count(truth, truth, np.where(truth == 2, 0.35, 0.9), len(data.classes))
    return dataclasses.replace(
        data,
        rounds=rounds,
        slice=compare_slice(replies(150, 120), replies(6, 24)),
        unsure=StillUnsure("point_da", (UnsureFrame("<b>worst</b>", 0.4), UnsureFrame("next", 0.3)), 40, 0.12),
        forecast="The next hour is predicted to bring +0.3 points.",
        reliability={"point_da": counted},
    )


def section(html, name):
    return re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL)[0]


def test_a_round_is_measured_against_the_model_that_asked(told):
    first, second, control = round_rows(told)
    models = {model.name: model for model in told.models}
    gain = models["point_da"].miou.value - models["cbst"].miou.value
    assert first.gain.value == pytest.approx(gain)
    assert first.per_hour == pytest.approx(gain / (1500 / 3600))
    assert first.off == pytest.approx(600 / 900)
    assert first.up and all(value > 0 for _, value in first.up) and first.role is Role.STEP
    assert math.isnan(second.gain.value) and second.off == pytest.approx(-100 / 900)
    assert control.role is Role.CONTROL and math.isnan(control.off)


def test_the_page_shows_the_rounds_and_needs_nothing(told):
    html = render(told)
    assert Page(html).problems == []
    rounds = section(html, "rounds")
    assert "+66.7" in rounds and "+0.3 points" in rounds and "0.310" in rounds and "control" in rounds
    assert "&lt;b&gt;worst" in section(html, "uncertain")
    assert 'href="#rounds"' in html and 'href="#selection-paid"' in html


def test_selection_paid_by_the_control_model_not_by_surprise_alone(told):
    words = " ".join(selection_words(told))
    assert (
        "Of 270 chosen answers 56\N{NO-BREAK SPACE}%" in words
        and "of 30 at random pixels 20\N{NO-BREAK SPACE}%" in words
    )
    assert "gets wrong more often than chance" in words and "rough" not in words
    assert "point_da has" in words and "against random" in words
    alone = dataclasses.replace(told, models=tuple(model for model in told.models if model.role is not Role.CONTROL))
    words = " ".join(selection_words(alone))
    assert "More surprise is not more gain" in words and "control = true" in words


@pytest.mark.parametrize(
    "chosen, control, said",
    [
        ((60, 60), (15, 15), "no certain difference"),
        ((10, 190), (60, 20), "less often than chance does: it did not pay"),
        ((150, 30), (2, 8), "The control is small (10 answers)"),
        ((10, 10), (0, 0), "too few to compare"),
    ],
)
def test_what_the_slice_can_say(told, chosen, control, said):
    found = dataclasses.replace(told, slice=compare_slice(replies(*chosen), replies(*control)))
    assert said in " ".join(selection_words(found))


def scored(name, wrong, role, seconds):
    truth = np.tile(np.array([0, 1, 2, 3], np.uint8), (8, 8))
    found = Confusions(5)
    for key in range(8):
        prediction = truth.copy()
        prediction[:wrong] = (prediction[:wrong] + 1) % 4
        found.add(f"v{key}", confusion(truth, np.where(truth == IGNORE, 0, prediction).astype(np.uint8), 5))
    return EvaluatedModel.measure(name, found, seconds, role, resamples=50)


@pytest.mark.parametrize("own, other, said", [(1, 3, "selection paid."), (3, 1, "did not pay"), (2, 2, "no certain")])
def test_what_a_control_model_can_say(told, own, other, said):
    models = (
        scored("start", 6, Role.STEP, 0.0),
        scored("own", own, Role.STEP, 600.0),
        scored("short control", 7, Role.CONTROL, 300.0),
        scored("control", other, Role.CONTROL, 610.0),
    )
    found = dataclasses.replace(told, models=models, rounds=(), slice=None, unsure=None, reliability={})
    (words,) = selection_words(found)
    assert said in words and "against control" in words, "the control that cost as much, not the first one"


def compared(told, models, rounds=()):
    found = dataclasses.replace(told, models=models, rounds=rounds, slice=None, unsure=None, reliability={})
    return selection_words(found), [tile.label for tile in tiles(found, gain_of(found))]


def test_a_control_that_has_not_come_as_far_is_compared_with_the_round_that_cost_as_much(told):
    steps = tuple(scored(f"own {n}", 5 - n, Role.STEP, 3600.0 * n) for n in range(4))
    (words, ahead), labels = compared(told, (*steps, scored("random", 6, Role.CONTROL, 3500.0)))
    assert words.startswith("own 1 has") and words.endswith("selection paid.")
    assert ahead.startswith("own 3 cannot be compared with the random control yet: 3") and "58" in ahead
    assert "Answer the control's next rounds" in ahead and "frugalseg run" in ahead
    assert "against random" not in labels
    (ahead,), _ = compared(told, (*steps[:2], scored("random", 6, Role.CONTROL, 7200.0)))
    assert "Answer the project's own next rounds" in ahead


@pytest.mark.parametrize(
    "own, other, seconds, said",
    [
        (1, 3, 900.0, "does not show what an hour buys"),  # better, for half as much time again
        (3, 1, 900.0, "did not pay"),
        (1, 3, 400.0, "selection paid"),
        (3, 1, 400.0, "does not show what an hour buys"),
        (2, 2, 900.0, "no certain difference"),
    ],
)
def test_the_same_round_at_unequal_times_is_judged_only_where_time_cannot_explain_it(told, own, other, seconds, said):
    models = (
        scored("start", 6, Role.STEP, 0.0),
        scored("own", own, Role.STEP, seconds),
        scored("control", other, Role.CONTROL, 600.0),
    )
    rounds = tuple(
        AskedRound(1, name, 100, 0, 600.0, 600.0, 0.3, model, "start")
        for name, model in (("ripu", "own"), ("random_patches", "control"))
    )
    (words,), labels = compared(told, models, rounds)
    assert said in words and "against random" not in labels


def test_classes_it_is_least_sure_of_come_first(told):
    found = unsure_classes(told)
    assert found[0].name == told.classes.names[2]
    assert found[0].confidence == pytest.approx(0.35, abs=1e-3) and len(found) == 4
    assert unsure_classes(dataclasses.replace(told, reliability={})) == ()


def test_without_rounds_there_is_nothing(data):
    bare = dataclasses.replace(data, models=tuple(m for m in data.models if m.role is not Role.CONTROL))
    assert selection_words(bare) == () and round_rows(bare) == ()
    html = render(bare)
    assert not any(f'id="{name}"' in html for name in ("rounds", "selection-paid", "uncertain"))
