"""Work in other processes: `eval` is the work here, as it can be pickled and does whatever an item says."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from frugalseg.data import workers
from frugalseg.data.workers import each

CRASH = "__import__('os').abort()"
ENDLESS = "__import__('frugalseg.data.workers', fromlist=['w'])._set_alarm(0.05) or [0 for _ in iter(int, 1)]"


def results(items: list[str], count: int | None = None) -> dict[int, object]:
    found = list(each(eval, items, count))
    assert len(found) == len(items), "each item is answered once"
    return dict(found)


def test_every_item_is_answered_under_its_position() -> None:
    assert results([f"{n} * {n}" for n in range(50)]) == {n: n * n for n in range(50)}
    assert results([]) == {}


def test_an_item_that_kills_its_process_costs_itself_only() -> None:
    items = [str(n + 1) for n in range(40)]
    items[7] = items[31] = CRASH
    found = results(items, count=2)
    assert {place for place, value in found.items() if value is None} == {7, 31}
    assert all(found[place] == place + 1 for place in range(40) if place not in (7, 31))


def test_an_item_that_never_ends_is_killed_by_its_processor_time() -> None:
    assert results(["1", ENDLESS, "3"], count=1) == {0: 1, 1: None, 2: 3}


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is set on Linux only")
def test_an_item_that_wants_all_memory_is_refused_it() -> None:
    with pytest.raises(MemoryError):
        results([f"len(bytearray({2 * workers.MEMORY_BYTES}))"])


def test_a_mistake_in_the_work_itself_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        results(["1 / 0"])


def test_few_items_are_under_way_at_a_time() -> None:
    class Watched(Sequence[str]):
        furthest = 0

        def __len__(self) -> int:
            return 10_000

        def __getitem__(self, place: int) -> str:  # type: ignore[override]
            self.furthest = max(self.furthest, place)
            return "1"

    items = Watched()
    stream = each(eval, items, 1)
    next(stream)
    assert items.furthest < 4 * workers.CHUNK
    stream.close()  # type: ignore[attr-defined]


# What check, adapt and predict do in worker processes, as a user may write it: no main guard. Each letter in `started`
# is one run of the script.
UNGUARDED = """
from pathlib import Path
with open("started", "a") as note:
    note.write("x")
from frugalseg.data.verify import verified
from frugalseg.workflow.check import check, check_stage
from frugalseg.workflow.project import init_project
from frugalseg.workflow.stage import Options
project = init_project(Path("project"), {"source": "folder:sim", "target": "folder:street"}, None)
problems = check(project, False, Options(quiet=True)).problems
pixels = check_stage(project, "source", Options(quiet=True))
usable = [path for path, seen in verified(sorted(Path("street/images").iterdir())) if not isinstance(seen, str)]
print(len(problems), len(pixels), len(usable))
"""


def test_a_script_without_main_guard_runs_once(tmp_path: Path, slips) -> None:
    for name, count in (("sim", 2 * workers.WORTH_A_PROCESS), ("street", workers.WORTH_A_PROCESS)):
        slips.write_set(tmp_path / name, slips.SETS[name], count)
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (0, "0 4 8\n"), done.stderr
    assert (tmp_path / "started").read_text() == "x"


def test_the_script_has_its_name_back_afterwards() -> None:
    main = sys.modules["__main__"]
    before = main.__spec__, getattr(main, "__file__", None)
    assert results(["1"]) == {0: 1}
    assert (main.__spec__, getattr(main, "__file__", None)) == before


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    item = f"open({str(note)!r}, 'w').write(str(__import__('os').getpid())) and __import__('time').sleep(60)"
    code = f"from frugalseg.data.workers import each; list(each(eval, [{item!r}]))"
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    assert until(lambda: note.is_file() and note.read_text())
    worker = int(note.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert until(lambda: not alive(worker))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.is_file() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def until(condition, seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
