"""One step of `advent` against the authors' public step: same network, batch and sizes, raced in one run.

    python benchmarks/advent_step.py --public CHECKOUT --out benchmarks/results

CHECKOUT is a clone of github.com/valeoai/ADVENT; its discriminator, entropy map and losses are imported from there and
called in the order of its training loop. Both sides learn from the same random images and labels, one image a domain,
with two outputs. Each side runs in processes of its own, in turns; figures are medians over the processes.

*Whole step*: with the segmentation network and the discriminators. *Outside*: the same step around stand-ins that cost
next to nothing in both places (a learned tensor of logits, a discriminator of one weighted sum), so that what is
left is upsampling, maps, losses and bookkeeping.

Both sides import the same modules. Peak memory is read in processes of its own in which freed blocks go back to the
system at once (`MALLOC_MMAP_THRESHOLD_`): with the allocator's own settings the peak also holds what neither side uses.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from _seeds import how, publish

SIDES = ("public", "ours")
TIGHT = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "0"}
LEARNING_RATE, MOMENTUM, DISCRIMINATOR_LR = 2.5e-4, 0.9, 1e-4
LAMBDA = {"seg": (1.0, 0.1), "adv": (1e-3, 2e-4)}  # main, auxiliary


class Case:
    """What both sides are given: a network with two outputs at stride 8, images, labels."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        from frugalseg.core.classes import ClassSet, SemanticClass
        from frugalseg.models.build import build

        torch.manual_seed(0)
        self.stand_ins, self.size = options.part == "outside", (options.height, options.width)
        names = [SemanticClass(f"c{number}", (number, 0, 0), (number,)) for number in range(options.classes)]
        classes = ClassSet("race", tuple(names))
        self.network = build(options.network, classes)
        if self.stand_ins:
            self.network.body = _learned_logits(options.classes, tuple(side // 8 for side in self.size))
        self.images = torch.rand(2, 1, 3, *self.size)
        self.labels = torch.randint(0, options.classes, (1, *self.size))
        self.labels[:, : options.height // 10] = 255


def _learned_logits(classes: int, size_hw: tuple[int, ...]):
    import torch

    class LearnedLogits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.aux = (torch.nn.Parameter(torch.randn(1, classes, *size_hw)) for _ in range(2))
            self.encoder = torch.nn.Identity()

        def forward(self, images_NBHW):
            return self.main * 1.0, self.main * 1.0, self.aux * 1.0

    return LearnedLogits()


def _average(classes: int):
    import torch

    class Average(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(1, classes, 1, 1))

        def forward(self, maps_NCHW):
            return (maps_NCHW[..., ::32, ::32] * self.weight).mean(dim=1, keepdim=True)

    return Average()


def _import_both(public: Path) -> None:
    """Load what either side needs, so that memory and time are of the step alone."""
    import torch

    sys.path.insert(0, str(public))
    torch.Tensor.get_device = lambda tensor: tensor.device  # the public code asks for a CUDA device's number
    for name in ("advent.model.discriminator", "advent.utils.func", "frugalseg.adaptation.advent"):
        importlib.import_module(name)


def our_step(case: Case, options: argparse.Namespace) -> Callable[[], None]:
    import torch
    from lightning.fabric import Fabric

    from frugalseg.adaptation.advent import AdventConfig
    from frugalseg.training.adversarial import Adversary
    from frugalseg.training.learner import Learner
    from frugalseg.training.losses import entropy_NCHW, outputs_cross_entropy

    config = AdventConfig(
        optimizer="sgd", lr=LEARNING_RATE, class_weighting=0, ema=0, batch_statistics="shared", batch_size=1,
        height=case.size[0], width=case.size[1],
    )  # fmt: skip
    fabric = Fabric(accelerator="cpu", devices=1)
    learner = Learner(case.network, config, fabric, None)
    if case.stand_ins:
        learner_network = case.network
        adversary = Adversary(learner_network, config, fabric, maps=entropy_NCHW)
        adversary.discriminators = torch.nn.ModuleList(_average(options.classes) for _ in range(2))
        adversary.optimizer = torch.optim.Adam(adversary.discriminators.parameters(), DISCRIMINATOR_LR)
    else:
        adversary = Adversary(case.network, config, fabric, maps=entropy_NCHW)

    def step() -> None:  # as adaptation/advent.py
        source = learner.forward(case.images[0], "source")
        learner.add(outputs_cross_entropy(source, case.labels, None, config.aux_seg_weight))
        adversary.judge_source(source)
        del source
        fooling, _ = adversary.judge(learner.forward(case.images[1], "target"))
        learner.add(fooling)
        learner.step()
        adversary.learn()

    return step


def public_step(case: Case, options: argparse.Namespace) -> Callable[[], None]:
    import torch
    from advent.model.discriminator import get_fc_discriminator
    from advent.utils.func import bce_loss, loss_calc, prob_2_entropy
    from torch.nn import functional

    network = case.network.train()
    make = _average if case.stand_ins else get_fc_discriminator
    discriminators = [make(options.classes) for _ in range(2)]
    optimizers = [torch.optim.Adam(one.parameters(), lr=DISCRIMINATOR_LR, betas=(0.9, 0.99)) for one in discriminators]
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=5e-4)

    def outputs(images_NCHW):  # main first; upsampled with align_corners as there
        main, _, aux = network.body((images_NCHW - network.mean) / network.std)
        return [functional.interpolate(o, case.size, mode="bilinear", align_corners=True) for o in (main, aux)]

    def maps(logits):
        return prob_2_entropy(functional.softmax(logits, dim=1))

    def step() -> None:
        for one in (optimizer, *optimizers):
            one.zero_grad()
        for one in discriminators:
            one.requires_grad_(False)
        source = outputs(case.images[0])
        sum(w * loss_calc(o, case.labels, "cpu") for w, o in zip(LAMBDA["seg"], source, strict=True)).backward()
        target = outputs(case.images[1])
        fooled = [bce_loss(d(maps(o)), 0) for d, o in zip(discriminators, target, strict=True)]
        sum(w * loss for w, loss in zip(LAMBDA["adv"], fooled, strict=True)).backward()
        for one in discriminators:
            one.requires_grad_(True)
        for domain, logits in ((0, source), (1, target)):
            for discriminator, output in zip(discriminators, logits, strict=True):
                (bce_loss(discriminator(maps(output.detach())), domain) / 2).backward()
        for one in (optimizer, *optimizers):
            one.step()

    return step


def measure(options: argparse.Namespace) -> dict[str, float]:
    import torch

    torch.set_num_threads(options.threads)
    _import_both(options.public)
    case = Case(options)
    step = (our_step if options.one == "ours" else public_step)(case, options)
    step()
    began, processor = time.perf_counter(), time.process_time()
    for _ in range(options.steps):
        step()
    return {
        "s": (time.perf_counter() - began) / options.steps,
        "cpu_s": (time.process_time() - processor) / options.steps,
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--public", type=Path, required=True, help="a clone of github.com/valeoai/ADVENT")
    parser.add_argument("--network", default="deeplabv2:resnet18")
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    parser.add_argument("--one", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--part", choices=["whole", "outside"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.one:
        print(json.dumps(measure(options)))
        return
    began = time.monotonic()
    found = {part: {side: [] for side in SIDES} for part in ("whole", "outside")}
    for _ in range(options.repeats):
        for part, sides in found.items():
            for side, rows in sides.items():
                rows.append({**_in_process(part, side, {}), "mib": _in_process(part, side, TIGHT)["mib"]})
    publish(table(found, options, time.monotonic() - began), options.out, "advent_step")


def _in_process(part: str, side: str, more: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, *sys.argv, "--one", side, "--part", part]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", **more}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    if run.returncode:
        sys.exit(f"{side}, {part}: {run.stderr.strip()}")
    return json.loads(run.stdout)


def table(found: dict[str, dict[str, list[dict[str, float]]]], options: argparse.Namespace, seconds: float) -> str:
    def median(part: str, side: str, key: str) -> float:
        return statistics.median(row[key] for row in found[part][side])

    sizes = f"{options.classes} classes, batch 1 + 1 of {options.width}x{options.height}"
    lines = [
        "# A step of ADVENT: the authors' public code and ours",
        "",
        f"`{options.network}`, two outputs, {sizes}, {options.threads} CPU thread(s), median of {options.repeats} "
        f"processes of {options.steps} steps.",
        "",
        "| part | public, s a step | ours, s a step | public / ours | public, peak MiB | ours, peak MiB |",
        "|---|---|---|---|---|---|",
    ]
    for part, words in (("whole", "whole step"), ("outside", "outside the networks")):
        times = [median(part, side, "cpu_s") for side in SIDES]
        peaks = [median(part, side, "mib") for side in SIDES]
        cells = [words, *(f"{s:.3f}" for s in times), f"{times[0] / times[1]:.2f}", *(f"{mib:.0f}" for mib in peaks)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "Times are processor seconds.", "", *how(__file__, seconds), ""])


if __name__ == "__main__":
    main()
