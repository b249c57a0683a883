"""The import contracts in pyproject.toml catch what ARCHITECTURE's seven rules forbid, seen on a small planted tree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
CLEAN = {  # module -> its one import
    "cli/main.py": "import frugalseg.workflow.adapt",
    "web/app.py": "import frugalseg.annotation.store",
    "workflow/adapt.py": "import frugalseg.adaptation.x, frugalseg.data.readers.folder, frugalseg.annotation.store",
    "adaptation/self_training.py": "import frugalseg.training.loop, torch",
    "adaptation/advent.py": "import frugalseg.training.loop",
    "acquisition/grid.py": "import frugalseg.acquisition.view",
    "acquisition/view.py": "import numpy",
    "acquisition/random_points.py": "import frugalseg.acquisition.grid, frugalseg.acquisition.view",
    "acquisition/random_patches.py": "import frugalseg.acquisition.grid",
    "annotation/store.py": "import sqlalchemy, frugalseg.core.records",
    "annotation/exchange/cvat.py": "import frugalseg.annotation.store",
    "annotation/exchange/voc.py": "import frugalseg.annotation.store",
    "propagation/warp.py": "import frugalseg.training.loop",
    "evaluation/confusion.py": "import numpy",
    "training/loop.py": "import frugalseg.data.batches, frugalseg.models.network",
    "data/batches.py": "import torch",
    "data/readers/folder.py": "import frugalseg.core.records",
    "data/readers/camvid.py": "import frugalseg.core.records",
    "models/network.py": "import torch",
    "core/codec.py": "import frugalseg.core.records",
    "core/records.py": "import numpy",
}
FORBIDDEN = [  # a module, an import it must not have, the contract that says so
    ("core/records.py", "import frugalseg.data.batches", "layers"),
    ("workflow/adapt.py", "import frugalseg.web.app", "layers"),
    ("models/network.py", "import frugalseg.data.batches", "layers"),
    ("acquisition/view.py", "import frugalseg.annotation.store", "layers"),
    ("helpers/misc.py", "import numpy", "layers"),
    ("adaptation/self_training.py", "import frugalseg.adaptation.advent", "independent-methods"),
    ("acquisition/random_points.py", "import frugalseg.acquisition.random_patches", "independent-selectors"),
    ("acquisition/grid.py", "import frugalseg.acquisition.random_patches", "independent-selectors"),
    ("data/readers/folder.py", "import frugalseg.data.readers.camvid", "independent-readers"),
    ("annotation/exchange/cvat.py", "import frugalseg.annotation.exchange.voc", "independent-formats"),
    ("core/records.py", "def late():\n    import torch", "no-torch"),
    ("annotation/store.py", "import frugalseg.data.batches", "no-torch"),
    ("web/app.py", "import timm", "no-torch"),
    ("acquisition/view.py", "import frugalseg.data.readers.folder", "arrays-only"),
    ("evaluation/confusion.py", "import frugalseg.models.network", "arrays-only"),
    ("evaluation/confusion.py", "import frugalseg.training.loop", "arrays-only"),
    ("training/loop.py", "import frugalseg.data.readers.folder", "batches-only"),
    ("data/batches.py", "import frugalseg.data.readers.folder", "batches-only"),
    ("propagation/warp.py", "import frugalseg.data.readers.folder", "batches-only"),
    ("workflow/adapt.py", "import sqlite3", "sql-in-annotation"),
    ("web/app.py", "from sqlalchemy.orm import Session", "sql-in-annotation"),
    ("core/records.py", "import frugalseg.core.codec", "acyclic"),  # codec imports records
]


def lint(root: Path, tree: dict[str, str], *options: str) -> str:
    """Write `tree` as a package `frugalseg` under `root`, run import-linter with our contracts, return its report."""
    for name, code in tree.items():
        path = root / "frugalseg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code + "\n")
        for folder in list(path.relative_to(root).parents)[:-1]:
            (root / folder / "__init__.py").touch()
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    command += ["--config", str(PYPROJECT), "--no-cache", "--no-logo", *options]
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True).stdout


def test_a_tree_that_follows_the_rules_passes(tmp_path: Path) -> None:
    assert " 0 broken" in lint(tmp_path, CLEAN)


@pytest.mark.parametrize(("module", "code", "contract"), FORBIDDEN, ids=lambda value: value.replace("frugalseg.", ""))
def test_a_broken_rule_is_caught(tmp_path: Path, module: str, code: str, contract: str) -> None:
    tree = CLEAN | {module: f"{CLEAN.get(module, '')}\n{code}"}
    assert "0 kept, 1 broken" in lint(tmp_path, tree, "--contract", contract)
