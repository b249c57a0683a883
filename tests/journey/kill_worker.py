"""Trains on the tiny city in a process that is killed at a given point, and resumes; run by `test_kill_resume.py`.

    python kill_worker.py FOLDER kill POINT ...   each in forked processes; one JSON line a point
    python kill_worker.py FOLDER run METHOD       one plain run, to be killed from outside; prints the weights' hash

Forking after the imports makes a dozen kills as cheap as one start of Python.
"""

import hashlib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from frugalseg.adaptation import mada, point_da, self_training, source_only
from frugalseg.training.learner import Learner
from frugalseg.training.loop import train
from frugalseg.training.progress import TrainingLog

torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("tiny_city", Path(__file__).parent.parent / "tiny_city.py")
assert spec is not None and spec.loader is not None
tiny_city = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny_city)

METHODS = {
    "source_only": (source_only.SourceOnly, source_only.SourceOnlyConfig, {}),
    "cbst": (self_training.SelfTraining, self_training.CbstConfig, {"rounds": 2, "ema": 0.8}),
    "point_da": (point_da.PointDa, point_da.PointDaConfig, {"adv_weight": 0.1, "discriminator_width": 4}),
    "mada": (mada.Mada, mada.MadaConfig, {"anchors": 2, "anchor_ema": 0.5, "least_feature_px": 1}),
}
FRAMES = 4


def kill(by: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), by)


def arm(owner: Any, name: str, nth: int = 1, match: str = "", after: bool = False, by: int = signal.SIGKILL) -> None:
    """Kill this process before (or after) the `nth` call of `owner.name` whose arguments mention `match`."""
    original, seen = getattr(owner, name), []

    def call(*args: Any, **kwargs: Any) -> Any:
        hit = match in " ".join(map(str, args)) if match else True
        seen.append(hit)
        now = hit and sum(seen) == nth
        if now and not after:
            kill(by)
        result = original(*args, **kwargs)
        if now and after:
            kill(by)
        return result

    setattr(owner, name, call)


# A run of cbst: two rounds of four steps, saved after every second step.
KILLS: dict[str, tuple[str, Callable[[], None]]] = {
    "forward": ("cbst", lambda: arm(Learner, "forward", 5)),
    "backward": ("cbst", lambda: arm(torch.Tensor, "backward", 5)),
    "after_backward": ("cbst", lambda: arm(torch.Tensor, "backward", 8, after=True)),
    "after_optimizer_step": ("cbst", lambda: arm(torch.optim.AdamW, "step", 6, after=True)),
    "before_the_second_step_of_round_2": ("cbst", lambda: arm(torch.optim.AdamW, "step", 6)),
    "save_before_fsync": ("cbst", lambda: arm(os, "fsync", 2)),
    "save_after_fsync": ("cbst", lambda: arm(os, "fsync", 2, after=True)),
    "save_before_rename": ("cbst", lambda: arm(os, "rename", match="step-00000002")),
    "save_after_rename": ("cbst", lambda: arm(os, "rename", match="step-00000002", after=True)),
    "second_save_before_rename": ("cbst", lambda: arm(os, "rename", match="step-00000006")),
    "before_latest": ("cbst", lambda: arm(os, "rename", match="LATEST")),
    "end_of_round_1": ("cbst", lambda: arm(os, "rename", match="step-00000004", after=True)),
    "among_the_first_pseudo_labels": ("cbst", lambda: arm(self_training, "write_pseudo_label", 2)),
    "among_the_second_pseudo_labels": ("cbst", lambda: arm(self_training, "write_pseudo_label", FRAMES + 3)),
    "pseudo_labels_before_rename": ("cbst", lambda: arm(os, "rename", match="round-2")),
    "right_after_the_second_pseudo_labels": ("cbst", lambda: arm(os, "rename", match="round-2", after=True)),
    "end_of_training": ("cbst", lambda: arm(os, "rename", match="step-00000008", after=True)),
    "point_da_step": ("point_da", lambda: arm(torch.optim.AdamW, "step", 4)),
    "point_da_labels": ("point_da", lambda: arm(point_da, "write_partial", 2)),
    "mada_anchors": ("mada", lambda: arm(mada, "fit_anchors")),
    "mada_anchors_follow": ("mada", lambda: arm(mada, "follow", 3)),
    "source_only_step": ("source_only", lambda: arm(torch.optim.AdamW, "step", 4)),
    "sigterm": ("cbst", lambda: arm(torch.optim.AdamW, "step", 3, by=signal.SIGTERM)),
}


def run(folder: Path, name: str, steps: int = 4) -> str:
    """Train (or go on) in `folder` and return the sha256 of the final weights."""
    method_class, config_class, settings = METHODS[name]
    data = tiny_city.domain_data(folder.parent / "city", count=FRAMES)
    fabric = tiny_city.fabric()
    config = config_class(**{**tiny_city.SETTINGS, **settings, "steps": steps})
    method = method_class(tiny_city.network(), config, fabric, data)
    network = train(method, folder, fabric, TrainingLog(folder.parent / "log.jsonl", name, quiet=True))
    digest = hashlib.sha256()
    for key, value in network.state_dict().items():
        digest.update(key.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def forked(work: Callable[[], str], answer: Path) -> dict[str, Any]:
    """Run `work` in a forked process; return how it ended and what it answered."""
    child = os.fork()
    if not child:
        status = 1
        try:
            answer.write_text(work())
            status = 0
        except SystemExit as left:
            status = int(str(left.code))
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return {
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "weights": answer.read_text() if answer.exists() else None,
    }


def scenario(root: Path, label: str, name: str, arming: Callable[[], None]) -> dict[str, Any]:
    folder = root / label
    folder.mkdir(parents=True)

    def killed() -> str:
        arming()
        return run(folder / "run", name)

    first = forked(killed, folder / "first")
    checkpoints = sorted(path.name[:13] for path in (folder / "run" / "checkpoints").glob("step-*.pt"))
    second = forked(lambda: run(folder / "run", name), folder / "second")
    return {"label": label, "method": name, "first": first, "checkpoints": checkpoints, "second": second}


def main() -> None:
    root, verb, names = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if verb == "run":
        print("ready", flush=True)
        print(run(root / "run", names[0], steps=40), flush=True)
        return
    for name in sorted({KILLS[point][0] for point in names}):
        (root / f"clean_{name}").mkdir(parents=True)
        clean = forked(lambda name=name: run(root / f"clean_{name}" / "run", name), root / f"clean_{name}" / "hash")
        print(json.dumps({"label": f"clean {name}", "second": clean}), flush=True)
    for point in names:
        print(json.dumps(scenario(root, point, *KILLS[point])), flush=True)


if __name__ == "__main__":
    main()
