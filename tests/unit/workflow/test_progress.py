import pytest

from frugalseg.workflow import progress
from frugalseg.workflow.progress import Counter


def count(total: int, quiet: bool = False) -> None:
    with Counter("check source", total, quiet) as counter:
        for _ in range(total):
            counter.step()


def test_a_line_every_tenth_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(progress, "FIRST_LINE_S", 0.0)
    count(1000)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(",")[0] for line in err.splitlines()] == [
        f"check source {n}/1000" for n in range(100, 1001, 100)
    ]


def test_nothing_where_it_is_quick_or_quiet(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    count(50)
    monkeypatch.setattr(progress, "FIRST_LINE_S", 0.0)
    count(50, quiet=True)
    assert capsys.readouterr().err == ""
