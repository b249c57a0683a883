"""Several results of points.py as one table and one plot: runs made on several days, more seeds for some rows.

    python benchmarks/points_together.py FIRST/points_DATE.json SECOND/points_DATE.json --out benchmarks/results

Results with other settings, or of other frames, are refused. A run that two have measured counts once, as in the last.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from _paired import Run, no_seed
from points import STARTS, report
from real_pair import DRIVES

NAME = re.compile(rf"points(_toy|_dev_({'|'.join(DRIVES)}))?_\d{{4}}-\d\d-\d\d")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="what points.py --out has written (JSON)")
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    found = {path: json.loads(path.read_text()) for path in options.results}
    settings = agreed({path: one["settings"] for path, one in found.items()})
    options.toy, options.dev = scored_on(options.results)
    options.start = next(name for name in STARTS if name in settings)
    every = list(found.values())
    ran = [line for one in every for line in one["how"]]
    put = f"Put together by `python benchmarks/points_together.py {' '.join(path.name for path in found)}`."
    report(together(every), every[-1]["true_class_shares"], settings, options, [*dict.fromkeys(ran), put])


def agreed(settings: dict[Path, dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the settings of all results; it ends the program where two have another start, or differ in a stage."""
    known: dict[str, tuple[Path, dict[str, Any]]] = {}
    starts = {path: [name for name in STARTS if name in stages] for path, stages in settings.items()}
    for path, stages in settings.items():
        first = next(iter(starts))
        if starts[path] != starts[first]:
            sys.exit(f"{path}: its points go on from {starts[path]}, those of {first} from {starts[first]}.")
        for stage, own in stages.items():
            where, others = known.setdefault(stage, (path, own))
            if names := differing(no_seed(others), no_seed(own)):
                sys.exit(f"{path}: {stage} has another {', '.join(names)} than in {where}; rows need equal settings.")
    return {stage: own for stage, (_, own) in known.items()}


def differing(one: dict[str, object], other: dict[str, object]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def scored_on(results: list[Path]) -> tuple[bool, str | None]:
    """Return whether results are of the toy city and of which development split, by their names."""
    said = {path: NAME.fullmatch(path.stem) for path in results}
    for path, match in said.items():
        if match is None:
            sys.exit(f"{path}: expected a result of points.py by its own name, like points_2026-11-28.json.")
        if match[1] != said[results[0]][1]:
            sys.exit(f"{path}: other frames were scored than in {results[0]}.")
    name, drive = said[results[0]].groups()
    return name == "_toy", drive


def together(found: list[dict[str, Any]]) -> list[Run]:
    """Return all runs, each once."""
    runs = [Run(**run) for one in found for run in one["runs"]]
    return list({(run.selector, run.points, run.seed, run.draw): run for run in runs}.values())


if __name__ == "__main__":
    main()
