"""`frugalseg check` over thousands of frames: seconds, memory, and what it costs beside decoding the files only.

    python benchmarks/check.py --frames 10000 --out benchmarks/results/check.md

Claim: 10,000 frames of 480x360 take less than 3 minutes on 2 cores, in memory that does not grow with their number.

Frames are the toy city's, in both looks: some drawn ones, shifted, mirrored, lit otherwise, half of them PNG and half
JPEG, each with its label. The rival does nothing but decode the same files with Pillow, in one process.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import frugalseg
from frugalseg.core.chance import generator
from frugalseg.data.toycity.dataset import CLASSES
from frugalseg.data.toycity.dataset import render as draw

SIZE_HW = (360, 480)
SHARES = {"source": ("simulator", 0.5), "target": ("street", 0.4), "validation": ("street", 0.1)}
DRAWN = 40  # frames of each set that are really drawn
TICKS = os.sysconf("SC_CLK_TCK")
LIMIT_S = 180.0


@dataclass(frozen=True)
class Measured:
    """One run of `check`: seconds on the clock and of all processors, and the most memory held, MiB."""

    frames: int
    wall_s: float
    cpu_s: float
    parent_mib: float
    all_mib: float
    problems: int


def write_world(root: Path, frames: int, seed: int) -> None:
    """Write the three sets below `root`, unless they are there."""
    for number, (name, (look, share)) in enumerate(SHARES.items()):
        folder, count = root / name, round(frames * share)
        if (folder / "classes.toml").is_file():
            continue
        with ProcessPoolExecutor(2) as pool:
            worlds = [pool.submit(_drawn, look, seed + number, sequence) for sequence in range(DRAWN)]
            pictures = [world.result() for world in worlds]
            parts = [range(start, min(start + 250, count)) for start in range(0, count, 250)]
            for part in [pool.submit(_write, folder, name, pictures, part) for part in parts]:
                part.result()
        (folder / "classes.toml").write_text(CLASSES.to_toml(), encoding="utf-8")


def _drawn(look: str, seed: int, sequence: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    frame = draw(look, seed, sequence, 0, SIZE_HW, flow=False, step=1)
    return frame.image, frame.label


def _write(folder: Path, name: str, pictures: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], part: range) -> None:
    """Write the frames of these numbers: each a drawn one, shifted, perhaps mirrored, lit otherwise, with noise."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number in part:
        rng = generator(0, name, number)
        image, label = pictures[number % len(pictures)]
        shift, mirrored = int(rng.integers(0, SIZE_HW[1])), bool(rng.integers(2))
        image, label = (np.roll(array, shift, axis=1)[:, :: -1 if mirrored else 1] for array in (image, label))
        noise = rng.integers(-4, 5, (*SIZE_HW, 1))
        lit = (image * rng.uniform(0.75, 1.15) + noise).clip(0, 255).astype(np.uint8)
        key = f"{name}_{number // 100:03d}_{number % 100:03d}"
        suffix, options = (".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]) if number % 2 else (".jpg", [])
        cv2.imwrite(str(folder / "images" / f"{key}{suffix}"), np.ascontiguousarray(lit[..., ::-1]), options)
        cv2.imwrite(str(folder / "labels" / f"{key}.png"), np.ascontiguousarray(label))


def measure(root: Path, project: Path, frames: int) -> Measured:
    """Start a project on the first `frames` frames, check it, and watch all processes of the check."""
    limits = {name: max(1, round(frames * share)) for name, (_, share) in SHARES.items()}
    specs = [f"--{name}=folder:{root / name}?limit={limit}" for name, limit in limits.items()]
    _run("init", str(project), *specs, "--quiet")
    began_s = time.monotonic()
    check = subprocess.Popen(_command("check", str(project), "--json"), stdout=subprocess.PIPE, text=True)
    parent_mib, all_mib, cpu_s = 0.0, 0.0, {}
    while check.poll() is None:
        family = _family(check.pid)
        parent_mib = max(parent_mib, _peak_mib(check.pid))
        all_mib = max(all_mib, sum(map(_shared_mib, family)))
        cpu_s |= {pid: seconds for pid in family if (seconds := _cpu_s(pid))}
        time.sleep(0.2)
    wall_s = time.monotonic() - began_s
    assert check.stdout is not None
    found = json.loads(check.stdout.read())
    assert check.returncode == 0, f"the generated frames are in order, but: {found['problems']}"
    assert sum(found["frames"].values()) == sum(limits.values())
    return Measured(sum(limits.values()), wall_s, sum(cpu_s.values()), parent_mib, all_mib, len(found["problems"]))


def bare_decode(root: Path, frames: int) -> tuple[float, float]:
    """Return seconds on the clock and of the processor for decoding images and labels, one after the other."""
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    for name, (_, share) in SHARES.items():
        for kind in ("images", "labels"):
            for path in sorted((root / name / kind).iterdir())[: round(frames * share)]:
                with Image.open(path) as image:
                    np.asarray(image)
    return time.monotonic() - began_s, time.process_time() - began_cpu_s


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from frugalseg.cli.main import main; main()", *arguments]


def _run(*arguments: str) -> None:
    subprocess.run(_command(*arguments), check=True, stdout=subprocess.DEVNULL)


def _family(pid: int) -> list[int]:
    """Return the process and all that it, or they, started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        others = [
            child
            for task in Path(f"/proc/{pid}/task").iterdir()
            if task.name != str(pid)
            for child in (task / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(member for child in [*children, *others] for member in _family(int(child)))]


def _peak_mib(pid: int) -> float:
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM:") / 1024


def _shared_mib(pid: int) -> float:
    """Return the process's memory, what it shares divided by the sharers."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") / 1024


def _kilobytes(path: Path, field: str) -> int:
    try:
        return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(field)), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def report(root: Path, frames: int, note: str) -> str:
    """Measure everything and return it as Markdown."""
    load = os.getloadavg()[0]
    runs = [measure(root, root / f"project-{count}", count) for count in (frames // 10, frames)]
    small, large = runs
    decode_wall_s, decode_cpu_s = bare_decode(root, frames)
    command = [Path(sys.argv[0]).as_posix(), *(word for word in sys.argv[1:] if word not in ("--note", note))]
    cores, growth_mib = len(os.sched_getaffinity(0)), large.all_mib - small.all_mib
    lines = [
        f"# `frugalseg check` over {large.frames:,} frames of {SIZE_HW[1]}x{SIZE_HW[0]} with labels",
        "",
        f"{date.today().isoformat()}, frugalseg {frugalseg.__version__}, commit {_commit()}.  ",
        f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, OpenCV {cv2.__version__}.  ",
        f"Command: `python {shlex.join(command)}`  ",
        f"Load of the machine when it began: {load:.1f}. {note}",
        "",
        "| frames | seconds | processor seconds | ms a frame | peak memory, MiB | of all processes, MiB |",
        "|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {run.frames:,} | {run.wall_s:.1f} | {run.cpu_s:.1f} | {1000 * run.cpu_s / run.frames:.1f} | "
            f"{run.parent_mib:.0f} | {run.all_mib:.0f} |"
            for run in runs
        ),
        "",
        f"Promised: {LIMIT_S:.0f} s for 10,000 frames on 2 cores. With both cores to itself the check needs at least "
        f"{large.cpu_s / 2:.0f} s (its processor seconds, halved).",
        f"From {small.frames:,} to {large.frames:,} frames the peak of all processes grew by "
        f"{growth_mib:.0f} MiB, {1024 * growth_mib / (large.frames - small.frames):.1f} KiB a frame.",
        "",
        f"The rival, Pillow decoding the same {2 * large.frames:,} files and nothing else, one process: "
        f"{decode_wall_s:.1f} s, {decode_cpu_s:.1f} processor seconds. The check costs "
        f"{large.cpu_s / decode_cpu_s:.1f} times that, with checksums, hashes, statistics, class counts, "
        "near-duplicates and the page.",
        "",
    ]
    return "\n".join(lines)


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "none yet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("check_runs"), help="where the frames go; kept")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    root = arguments.work.resolve()
    write_world(root, arguments.frames, arguments.seed)
    for left in root.glob("project-*"):
        subprocess.run(["rm", "-r", str(left)], check=True)
    text = report(root, arguments.frames, arguments.note)
    print("\n" + text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
