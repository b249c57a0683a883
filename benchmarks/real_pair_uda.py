"""carla34 → camvid-day without labels: `frugalseg bench uda` on the project of real_pair.py.

    FRUGALSEG_DATA=DATA python benchmarks/real_pair_uda.py --jobs 2 --work WORK --out benchmarks/results

Every method trains from the same source model of its seed, for the same number of steps, and is scored on the test
frames by its last network. Settings are those of real_pair.py (chosen on development splits); the adversarial methods'
are their papers'. `choose-model`'s label-free score stands beside the true one. A run that was stopped goes on with the
same command.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from _seeds import how, publish
from real_pair import make_project


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("real_pair_uda_runs"), help="where the project goes")
    parser.add_argument("--data", type=Path, default=os.environ.get("FRUGALSEG_DATA"), help="default: $FRUGALSEG_DATA")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=450, help="training steps of each method, all its rounds together")
    parser.add_argument("--methods", nargs="*", default=[], help="only these; default: all")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, one thread each")
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    options = parser.parse_args()
    if not options.data:
        sys.exit("Give --data FOLDER or set FRUGALSEG_DATA to the folder with carla34/ and camvid-day/.")

    from frugalseg.workflow.bench import BenchOptions
    from frugalseg.workflow.bench_uda import uda
    from frugalseg.workflow.stage import Options

    began_s = time.monotonic()
    project = make_project(Path(options.data).resolve(), options.work.resolve(), 0, None)
    asked = BenchOptions(
        methods=tuple(options.methods), seeds=tuple(options.seeds), steps=options.steps, jobs=options.jobs,
        allow_few=len(options.seeds) < 3,
    )  # fmt: skip
    result = uda(project, asked, Options())
    table = (result.where / "bench.md").read_text()
    text = "\n".join([table, "", *how(__file__, time.monotonic() - began_s), ""])
    publish(text, options.out, f"real_pair_uda_{options.steps}")
    if result.found["failed"]:
        sys.exit("\n".join(f"{name}: {why}" for name, why in result.found["failed"].items()))


if __name__ == "__main__":
    main()
