"""What people and machines get to see."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from frugalseg.cli.output import Table, jsonable, pairs, printable, show, show_stage
from frugalseg.workflow.stage import StageResult


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_jsonable_turns_everything_into_json() -> None:
    value = {
        "path": Path("a/b"),
        1: np.float32("nan"),
        "scores": np.array([0.5, np.inf]),
        "count": np.int64(3),
        "yes": np.bool_(True),
        "nested": ({"x": -np.inf},),
        "text": "ä",
        "nothing": None,
    }
    assert json.loads(json.dumps(jsonable(value), allow_nan=False)) == {
        "path": "a/b",
        "1": None,
        "scores": [0.5, None],
        "count": 3,
        "yes": True,
        "nested": [{"x": None}],
        "text": "ä",
        "nothing": None,
    }


def test_a_table_is_aligned_and_numbers_of_a_column_look_alike(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("road", 0.5, 1.0), ("car", float("nan"), 1234.25), ("tram", None, None)]
    show({}, False, "head", Table(rows, ("class", "IoU", "seconds")), Table([]))
    assert capsys.readouterr().out.splitlines() == [
        "head",
        "  class    IoU  seconds",
        "  road   0.500      1.0",
        "  car        –   1234.2",
        "  tram       –        –",
    ]


def test_pairs_keep_small_numbers_and_one_level_of_mappings(capsys: pytest.CaptureFixture[str]) -> None:
    show({}, False, pairs({"config": {"lr": 0.0005, "on": True, "deep": {"x": 1}}, "seconds": 123456.7, "of": [1, 2]}))
    lines = ["  config.lr  0.0005", "  config.on  yes", "  seconds    123457", "  of         1, 2"]
    assert capsys.readouterr().out.splitlines() == lines


def test_on_a_terminal_markup_and_escapes_in_names_stay_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    show({}, False, Table([("[red]road[/red]", 0.5), ("\x1b[2J", 0.25)], ("class", "IoU")))
    text = sys.stdout.getvalue()
    assert "[red]road[/red]" in text
    assert "\x1b[2J" not in text
    assert "\\x1b[2J" in text


def test_printable_escapes_what_steers_a_terminal_or_cannot_be_encoded() -> None:
    utf8, latin = Terminal(), io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    assert printable("ü\n\x07\u202e\udcff", utf8) == "ü\n\\x07\\u202e\\udcff"
    assert printable("ü–", latin) == "ü\\u2013"


@pytest.mark.parametrize(
    ("result", "head"),
    [
        (StageResult("label", Path("runs/0004"), {"answers": 3}), "label done: runs/0004"),
        (StageResult("label", Path("runs/0004"), {"answers": 3}, True), "label had been done before: runs/0004"),
        (StageResult("label", None, {"answers": 3}), "label would run:"),
        (
            StageResult("label", Path("answers.db"), {"answers": 3}, left=1),
            "label not done: 1 question still needs an answer. Those given are kept: answers.db",
        ),
        (
            StageResult("label", Path("answers.db"), {"answers": 3}, left=20),
            "label not done: 20 questions still need an answer. Those given are kept: answers.db",
        ),
    ],
)
def test_a_stage_says_where_it_is_and_what_comes_next(result: StageResult, head: str, capsys) -> None:
    show_stage(result, False, next_command="frugalseg report city")
    lines = capsys.readouterr().out.splitlines()
    dry = result.folder is None
    assert lines == [head, "  answers  3"] + ([] if dry else ["Next: frugalseg report city"])
    show_stage(result, True, next_command="frugalseg report city")
    found = json.loads(capsys.readouterr().out)
    assert found["stage"] == "label"
    assert found["folder"] == (None if dry else str(result.folder))
    assert (found["dry_run"], found["done_before"], found["answers"]) == (dry, result.done_before, 3)
    assert ("next" in found) != dry
