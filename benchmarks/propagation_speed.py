"""What spreading labels costs beside the optical flow it needs, and whether its memory grows with the video.

    python benchmarks/propagation_speed.py --out benchmarks/results
    FRUGALSEG_DATA=DATA python benchmarks/propagation_speed.py --out benchmarks/results
    python benchmarks/propagation_speed.py --only speed --rows "motion only" --frames 1201 --repeats 4     # as recorded

Speed: two videos of 480x360 (H.264, crf 23, x264's default) with a label on every tenth frame, each in a process of its
own with one thread (and one that waits for the disk).
*Whole* is `frugalseg propagate` from its start to its end: both processes' start, listing and checking the videos,
decoding, DIS medium at finest scale 0, composing, warping, fusing and writing what a frame has. *Bare* is OpenCV's flow
alone, for the same pairs of frames, as many as a whole run that keeps its flows has kept, from grey pictures in memory,
in two processes that begin together: nothing is read, checked or written. Whole and bare take turns at going
first. The videos are the labelled CamVid sequence, there and back, and its mirror image where FRUGALSEG_DATA names it,
else two drives of the toy city.

Memory: the peak of the process that was started and that of the one that spreads (VmHWM of /proc/PID/status, looked at
ten times a second), over 100 and over 5,000 frames of 480x360.

Claims: whole ≤ 1.25 x bare (median, motion only); either's peak over the long video ≤ 1.1 x that over the short one.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

import av
import cv2
import numpy as np
from _seeds import how, publish

from frugalseg.core.codec import read_image, read_label_png, write_label_png
from frugalseg.propagation.dis import PRESETS

EVERY = 10  # frames from one label to the next
SIZE_HW = (360, 480)
MOST_COST, MOST_GROWTH = 1.25, 1.1
LOOK_S = 0.1  # between looks at how much memory is held
ENCODING = {"crf": "23", "g": "12"}  # nothing of it follows the machine's speed
KEPT = "motion only, flows kept"
ROWS = {
    "motion only": ("calibration_frames=0",),
    KEPT: ("calibration_frames=0", "cache=true"),
    "with confidence (the default)": (),
}
FINEST, QUICK = ("preset=medium", "finest_scale=0"), ("preset=ultrafast", "calibration_frames=0")
Frames = Iterator[tuple[np.ndarray, np.ndarray]]


def camvid(data: Path, frames: int, mirrored: bool) -> Frames:
    """The sequence there and back, and again; on the way back its frames are coded, and so decoded, otherwise."""
    folder = data / "camvid-day" / "sequence"
    paths = sorted((folder / "images").glob("*.png"))
    if len(paths) < 2:
        raise SystemExit(f"{folder}: {len(paths)} images; expected a sequence.")
    for path in islice(cycle([*paths, *paths[-2:0:-1]]), frames):
        image, label = read_image(path), read_label_png(folder / "labels" / path.name)
        yield (image[:, ::-1], label[:, ::-1]) if mirrored else (image, label)


def toy(drive: int, frames: int) -> Frames:
    from frugalseg.data.toycity import render

    for index in range(frames):
        frame = render("street", 0, drive, index, SIZE_HW)
        yield frame.image, frame.label


def texture(frames: int) -> Frames:
    """A picture larger than the frame, looked at through a window that wanders; its label in four stripes."""
    height, width = SIZE_HW
    rough = np.random.default_rng(0).integers(0, 256, (2 * height, 2 * width, 3), np.uint8)
    wide_HWC = cv2.normalize(cv2.GaussianBlur(rough, (9, 9), 0), None, 0, 255, cv2.NORM_MINMAX)
    stripes_HW = np.broadcast_to((np.arange(2 * width) * 4 // (2 * width)).astype(np.uint8), wide_HWC.shape[:2])
    for number in range(frames):
        row, column = (int(side * (1 + np.sin(number / slow)) / 2) for side, slow in ((height, 41), (width, 67)))
        part = slice(row, row + height), slice(column, column + width)
        yield wide_HWC[part], stripes_HW[part]


def write_clip(folder: Path, name: str, frames: Frames) -> None:
    """Write FOLDER/NAME.mp4, and every tenth label beside it."""
    (folder / "labels" / name).mkdir(parents=True)
    with av.open(str(folder / f"{name}.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=15, options=ENCODING)
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuv420p"
        for number, (image, label) in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            picture.pts = number
            file.mux(stream.encode(picture))
            if number % EVERY == 0:
                write_label_png(folder / "labels" / name / f"{number:06d}.png", label)
        file.mux(stream.encode(None))


def whole(videos: Path, out: Path, jobs: int, settings: Sequence[str]) -> dict[str, float]:
    """Run `frugalseg propagate` and return wall and processor seconds, frames, flows kept, and peaks of memory."""
    shutil.rmtree(out, ignore_errors=True)
    words = ["propagate", f"video:{videos}", "--classes", "camvid11", "--out", str(out), "--jobs", str(jobs)]
    words += ["--quiet", "--json", *(word for setting in settings for word in ("--set", setting))]
    program = f"from frugalseg.cli.main import main; main({words!r})"
    before, began = _children_s(), time.monotonic()
    peaks: dict[str, float] = {"main_mib": 0.0, "worker_mib": 0.0}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            look_at(process.pid, "main_mib", peaks)
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_S)
        assert process.stdout is not None
        said = process.stdout.read()
    seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"frugalseg {' '.join(words)} ended with {process.returncode}.")
    flows = len(list((out / "flows").glob("*.flow")))
    return {
        "s": seconds,
        "cpu_s": _children_s() - before,
        "spread": json.loads(said)["spread"],
        "flows": flows,
        **peaks,
    }


def look_at(process: int, name: str, peaks: dict[str, float]) -> None:
    """Raise `peaks` to those of a process and, as `worker_mib`, of those that it has started."""
    folder = Path("/proc") / str(process)
    try:
        status, started = (folder / "status").read_text(), (folder / "task" / str(process) / "children").read_text()
    except OSError:  # it has ended
        return
    kib = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")]
    peaks[name] = max(peaks[name], *(one / 1024 for one in kib), 0.0)
    for child in map(int, started.split()):
        look_at(child, "worker_mib", peaks)


def bare(videos: Path) -> dict[str, float]:
    """Compute the flows of all clips, each in a process, begun together; return wall and processor seconds, flows."""
    words = [sys.executable, __file__, "--bare"]
    running = [
        subprocess.Popen([*words, str(clip)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_one_thread())
        for clip in sorted(videos.glob("*.mp4"))
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()  # it has its pictures
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    found = [json.loads(process.communicate()[0]) for process in running]
    return {name: reduce([one[name] for one in found]) for name, reduce in (("s", max), ("cpu_s", sum), ("flows", sum))}


def bare_worker(clip: Path) -> None:
    cv2.setNumThreads(1)
    with av.open(str(clip)) as file:
        greys = [cv2.cvtColor(frame.to_ndarray(format="rgb24"), cv2.COLOR_RGB2GRAY) for frame in file.decode(video=0)]
    between = [number for number in range(len(greys)) if number % EVERY]
    pairs = [(number, number + side) for side in (-1, 1) for number in between if number + side < len(greys)]
    dis = cv2.DISOpticalFlow.create(PRESETS["medium"])
    dis.setFinestScale(0)
    guess = np.zeros((*greys[0].shape, 2), np.float32)
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.monotonic(), time.process_time()
    for target, source in pairs:
        guess[:] = 0
        dis.calc(greys[target], greys[source], guess)
    print(json.dumps({"s": time.monotonic() - began, "cpu_s": time.process_time() - cpu, "flows": len(pairs)}))


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def speed(work: Path, frames: int, repeats: int, rows: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the table's lines, and what is claimed and does not hold."""
    data, videos = os.environ.get("FRUGALSEG_DATA"), work / "videos"
    for number, name in enumerate(("a", "b")):
        write_clip(videos, name, camvid(Path(data), frames, bool(number)) if data else toy(number, frames))
    ways: dict[str, Callable[[], dict[str, float]]] = {
        name: lambda more=more: whole(videos, work / "out", 2, (*FINEST, *more))
        for name, more in ROWS.items()
        if name in rows
    }
    ways["bare flow"] = lambda: bare(videos)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for repeat in range(repeats):
        for name in sorted(ways, reverse=bool(repeat % 2)):
            found[name].append(ways[name]())
            print(f"repeat {repeat}: {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    flows = {one["flows"] for name in (KEPT, "bare flow") for one in found.get(name, [])}
    if len(flows) != 1:
        raise SystemExit(f"whole and bare did not compute as many flows: {sorted(flows)}. There is no ratio of these.")
    lines = ["| what | s | frames/s | x bare: median (range) | x bare, processor time |", "|---|---:|---:|---:|---:|"]
    lines += [_line(name, found[name], found["bare flow"]) for name in ("bare flow", *rows)]
    source = (
        "the labelled CamVid sequence there and back and again, and its mirror image"
        if data
        else "two drives of the toy city"
    )
    lines += ["", f"Two videos of {frames} frames, 480x360 ({source}), {flows.pop():.0f} flows, {repeats} repeats."]
    if "motion only" not in rows:
        return lines, ["whole / bare is not tested: its row, motion only, was left out"]
    ratio = statistics.median(_ratios(found["motion only"], found["bare flow"], "s"))
    return lines, [f"whole / bare is {ratio:.2f}, must be at most {MOST_COST}"] if ratio > MOST_COST else []


def _ratios(row: Sequence[dict[str, float]], base: Sequence[dict[str, float]], what: str) -> list[float]:
    return [one[what] / other[what] for one, other in zip(row, base, strict=True)]


def _line(name: str, row: Sequence[dict[str, float]], base: Sequence[dict[str, float]]) -> str:
    wall, cpu = _ratios(row, base, "s"), _ratios(row, base, "cpu_s")
    seconds = statistics.median(one["s"] for one in row)
    rate = f"{row[0]['spread'] / seconds:.1f}" if "spread" in row[0] else "–"
    ratio = f"{statistics.median(wall):.2f} ({min(wall):.2f}–{max(wall):.2f})"
    return f"| {name} | {seconds:.1f} | {rate} | {ratio} | {statistics.median(cpu):.2f} |"


def memory(work: Path, counts: Sequence[int]) -> tuple[list[str], list[str]]:
    """Return the table's lines, and what is claimed and does not hold."""
    found = []
    for count in counts:
        write_clip(work / f"long-{count}", "texture", texture(count))
        found.append(whole(work / f"long-{count}", work / "out", 1, QUICK))
        print(f"{count} frames: {found[-1]}", file=sys.stderr, flush=True)
    lines = ["| frames of 480x360 | peak MiB of the process started | of the one that spreads |", "|---:|---:|---:|"]
    for count, one in zip(counts, found, strict=True):
        lines.append(f"| {count:,} | {one['main_mib']:.1f} | {one['worker_mib']:.1f} |")
    growth = {name: found[-1][key] / found[0][key] for name, key in (("main", "main_mib"), ("worker", "worker_mib"))}
    lines += [f"| ratio | {growth['main']:.2f} | {growth['worker']:.2f} |"]
    missed = f"over {counts[-1]:,} frames is {{}} x that over {counts[0]}, must be at most {MOST_GROWTH}"
    too_much = [(name, ratio) for name, ratio in growth.items() if ratio > MOST_GROWTH]
    return lines, [f"peak memory of the {name} process {missed.format(f'{ratio:.2f}')}" for name, ratio in too_much]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("propagation-speed"), help="where videos and labels go")
    parser.add_argument(
        "--frames", type=int, default=401, help=f"frames of a video; one more than a multiple of {EVERY}"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="besides the bare flow")
    parser.add_argument("--memory", type=int, nargs=2, default=[100, 5000], metavar="FRAMES", help="frames: few, many")
    parser.add_argument("--only", choices=("speed", "memory"), help="one of the two")
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare_worker(options.bare)
        return
    if options.frames % EVERY != 1:
        sys.exit(
            f"--frames {options.frames}: the last frame must have a label, as one more than a multiple of {EVERY}."
        )
    began, lines, missed = time.monotonic(), list[str](), list[str]()
    shutil.rmtree(options.work, ignore_errors=True)
    parts = {"speed": lambda: speed(options.work, options.frames, options.repeats, options.rows)}
    parts["memory"] = lambda: memory(options.work, options.memory)
    for name, part in parts.items():
        if options.only in (None, name):
            table, not_held = part()
            lines, missed = [*lines, "", *table], [*missed, *not_held]
    head = ["# Labels spread by motion: cost beside the flow alone, and memory"]
    tail = ["", *(missed or ["All claims hold."]), "", *how(__file__, time.monotonic() - began)]
    publish("\n".join([*head, *lines, *tail]) + "\n", options.out, "propagation_speed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
