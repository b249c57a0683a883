import io
import json
from pathlib import Path

from frugalseg.training.progress import TrainingLog


def test_lines_for_people_and_json_for_machines(tmp_path: Path) -> None:
    stream = io.StringIO()
    log = TrainingLog(tmp_path / "log.jsonl", "cbst", stream)
    log.start([4, 4], 0, 0)
    for done in range(1, 9):
        log.step("round-1", (done - 1) % 4 + 1, done, {"source": 0.5, "target": 1.25}, every=2)
    log.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("cbst round-1 2/8 source 0.500 target 1.250 ") and lines[0].endswith(" s left")
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["done"] for row in rows] == [2, 4, 6, 8]
    assert rows[0].keys() == {"phase", "step", "done", "elapsed_s", "source", "target"}


def test_the_last_step_is_always_written(tmp_path: Path) -> None:
    stream = io.StringIO()
    log = TrainingLog(None, "t", stream)
    log.start([3], 0, 0)
    for done in range(1, 4):
        log.step("p", done, done, {"l": 1.0}, every=100)
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["3/3"]


def test_a_resumed_run_says_so_and_counts_on() -> None:
    stream = io.StringIO()
    log = TrainingLog(None, "t", stream)
    log.start([10, 10], 1, 5)
    log.step("p", 6, 16, {}, every=1)
    assert stream.getvalue().splitlines()[0] == "t: resumed at step 15 of 20"
    assert "16/20" in stream.getvalue()


def test_quiet_still_writes_the_file(tmp_path: Path) -> None:
    stream = io.StringIO()
    log = TrainingLog(tmp_path / "log.jsonl", "t", stream, quiet=True)
    log.start([1], 0, 0)
    log.note("hm")
    log.step("p", 1, 1, {}, every=1)
    assert stream.getvalue() == "" and len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
