"""Do the source's spatial priors fit the target? For each class, where its target pixels lie under the source's prior.

    FRUGALSEG_DATA=DATA python benchmarks/spatial_prior.py --out benchmarks/results

Evidence for what `st_sp` and `cbst_sp` do on carla34 → camvid-day: q·p can only choose a class where the source has
shown it. The target's labels (of its training drives) are used here to look, by no training.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _seeds import how, publish
from real_pair import make_project

STRIDE = 8  # input pixels a cell, as in adaptation/self_training.py
FAINT = 0.01  # of the prior's maximum


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("FRUGALSEG_DATA"), help="default: $FRUGALSEG_DATA")
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    options = parser.parse_args()
    if not options.data:
        sys.exit("Give --data FOLDER or set FRUGALSEG_DATA to the folder with carla34/ and camvid-day/.")
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        text = table(make_project(Path(options.data).resolve(), Path(folder), 0, None))
    publish("\n".join([*text, "", *how(__file__, time.monotonic() - began_s), ""]), options.out, "spatial_prior")


def table(project) -> list[str]:
    from frugalseg.adaptation.self_training import SelfTrainingConfig
    from frugalseg.data.labels import LabelReader
    from frugalseg.training.spatial_prior import SpatialCounts

    config = project.stage_config("method", "cbst_sp", None, [])
    assert isinstance(config, SelfTrainingConfig)
    counted, frames = {}, {}
    for domain in ("source", "target"):
        manifest = project.manifest(domain)
        frames[domain] = len(manifest)
        reader = LabelReader(manifest.classes, project.classes)
        grid_hw = (config.height // STRIDE, config.width // STRIDE)
        counted[domain] = SpatialCounts(len(project.classes), grid_hw)
        for frame in manifest:
            counted[domain].add(reader.read(frame))
    source_Chw, target_Chw = (counted[domain].prior(config.prior_sigma) for domain in ("source", "target"))
    pixels_Chw = counted["target"].counts
    lines = [
        f"# Spatial priors of {frames['source']} source frames, on {frames['target']} of the target",
        "",
        f"*Faint*: share of the class's target pixels where the source's prior is below {FAINT:.0%} of its maximum.",
        "*Likeness*: correlation of the two domains' priors over the frame.",
        "",
        "| class | source pixels, % | target pixels, % | faint, % | likeness |",
        "|---|---:|---:|---:|---:|",
    ]
    shares = {domain: counts.counts.sum(axis=(1, 2)) / counts.counts.sum() for domain, counts in counted.items()}
    for number, name in enumerate(project.classes.names):
        faint_hw = source_Chw[number] < FAINT * source_Chw[number].max()
        faint = pixels_Chw[number][faint_hw].sum() / pixels_Chw[number].sum()
        like = np.corrcoef(source_Chw[number].ravel(), target_Chw[number].ravel())[0, 1]
        lines.append(
            f"| {name} | {100 * shares['source'][number]:.1f} | {100 * shares['target'][number]:.1f} | "
            f"{100 * faint:.0f} | {like:.2f} |"
        )
    return lines


if __name__ == "__main__":
    main()
