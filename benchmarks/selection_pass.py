"""What choosing questions costs over the bare forward pass, and that its memory does not grow with the frames.

    python benchmarks/selection_pass.py --network deeplabv3plus:resnet50 --out benchmarks/results/selection_pass.md

Claim: with the network, the loader and the enlargement to full size on both sides, `select` costs at most 1.10 times
the bare pass for `deeplabv3plus:resnet50` at 1024x512; memory is flat in the number of frames.

Bare: read each frame from disk, predict logits at the frame's own size, take the argmax. Selection: the product's own
`Scorer.views` with what the strategy needs, `see` of every frame, `finish`. Both sides take turns frame block by frame
block in one process, so that what else runs on the machine slows both. A strategy that needs a second look
(`expected_gain` with `disagreement` above 0) pays for it: that is in the ratio. Each strategy runs in a process of its
own, for the peak of memory is one number a process. It is read after a tenth of the frames, but not before both sides
have had two blocks (libraries, buffers), and after all of them: the difference is what the frames in between added.
"""

import argparse
import json
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import frugalseg
from frugalseg.core.chance import generator
from frugalseg.core.config import load_config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Frame
from frugalseg.data import class_sets
from frugalseg.data.batches import ImageCache
from frugalseg.models.build import build
from frugalseg.training.predict import Predictor
from frugalseg.workflow import catalog
from frugalseg.workflow.scoring import Scorer

DISTINCT = 8  # images on disk; frames take turns with them


def write_frames(folder: Path, count: int, size_HW: tuple[int, int], seed: int) -> list[Frame]:
    """Write a few images of smooth noise and return `count` frames of them."""
    for number in range(min(count, DISTINCT)):
        coarse = generator(seed, "image", number).integers(0, 256, (size_HW[0] // 16, size_HW[1] // 16, 3), np.uint8)
        Image.fromarray(coarse).resize(size_HW[::-1], Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return [
        Frame(f"f{n:06d}", str(folder / f"{n % DISTINCT}.png"), None, f"d{n // 50}", n, "train", *size_HW[::-1], "")
        for n in range(count)
    ]


def bare(predictor: Predictor, frames: Sequence[Frame]) -> None:
    """Predict the frames and nothing else."""
    for _, logits_CHW in predictor.frames(frames, ImageCache(0).read):
        logits_CHW.argmax(dim=0).cpu().numpy()


def peak_mib() -> float:
    """Return the largest memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds `work` takes by the clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def early(frames: int, block: int) -> int:
    """Return after how many frames memory is read first: a tenth, in whole blocks, and at least two of these."""
    return max(2, -(-frames // (10 * block))) * block


def measure(strategy: str, arguments: argparse.Namespace, folder: Path) -> dict:
    """Return seconds a frame of both sides, their ratio, and peak memory early on and after all of the frames."""
    torch.set_num_threads(arguments.threads)
    network = build(arguments.network, class_sets.find(arguments.classes), seed=arguments.seed)
    size_HW = (arguments.height, arguments.width)
    frames = write_frames(folder, arguments.frames, size_HW, arguments.seed)
    entry = catalog.entry("selector", strategy)
    config = load_config(entry.load_config(), None, arguments.settings)
    budget = Budget.parse(arguments.budget)
    selector = entry.load()(config, budget, len(frames), CostModel(), arguments.seed)
    predictor = Predictor(network, size_HW, device=arguments.device)
    scorer = Scorer(network, size_HW, selector.needs, arguments.device)

    def select(block: Sequence[Frame]) -> None:
        for view in scorer.views(block, ImageCache(0).read):
            selector.see(view)

    bare(predictor, frames[:2])  # warm
    list(scorer.views(frames[:2], ImageCache(0).read))
    bare_s = select_s = early_mib = 0.0
    first = early(len(frames), arguments.block)
    for begin in range(0, len(frames), arguments.block):
        block = frames[begin : begin + arguments.block]
        bare_s += timed(lambda block=block: bare(predictor, block))
        select_s += timed(lambda block=block: select(block))
        if begin + len(block) == first:
            early_mib = peak_mib()
    select_s += timed(selector.finish)
    late_mib = peak_mib()
    return {
        "strategy": " ".join([strategy, *arguments.settings]),
        "frames": len(frames),
        "bare s a frame": bare_s / len(frames),
        "selection s a frame": select_s / len(frames),
        "ratio": select_s / bare_s,
        f"peak MiB after {first}": early_mib,
        "peak MiB at the end": late_mib,
        "KiB a frame between": 1024 * (late_mib - early_mib) / (len(frames) - first),
    }


def apart(strategy: str) -> dict:
    """Measure one strategy in a process of its own, with the arguments of this one."""
    command = [sys.executable, *sys.argv, "--one", strategy]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def report(rows: Sequence[dict], arguments: argparse.Namespace) -> str:
    """Return the rows as a Markdown table."""
    shown = [[f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
    lines = [
        f"# Selection over the bare pass, {arguments.network}, {arguments.width}x{arguments.height}",
        "",
        f"{date.today().isoformat()}, frugalseg {frugalseg.__version__}, {platform.machine()}, "
        f"torch {torch.__version__}, {arguments.device}, {arguments.threads} thread(s), {arguments.budget}.  ",
        f"Command: `python {shlex.join([Path(sys.argv[0]).as_posix(), *sys.argv[1:]])}`",
        "",
        "| " + " | ".join(rows[0]) + " |",
        "|---|" + "---:|" * (len(rows[0]) - 1),
        *("| " + " | ".join(row) + " |" for row in shown),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="deeplabv3plus:resnet50")
    parser.add_argument("--strategy", nargs="+", default=["entropy_patches"], help="several are run one by one")
    parser.add_argument("--set", nargs="*", default=[], dest="settings", metavar="KEY=VALUE", help="for all of them")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--block", type=int, default=4, help="frames after which the two sides change")
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--classes", default="cityscapes19", help="a class set by name")
    parser.add_argument("--budget", default="50points/image")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.frames <= (least := early(arguments.frames, arguments.block)):
        parser.error(f"--frames {arguments.frames}: expected more than {least}, after which memory is read first.")
    if arguments.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(arguments.one, arguments, Path(folder))))
        return
    text = report([apart(strategy) for strategy in arguments.strategy], arguments)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
