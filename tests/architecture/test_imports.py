"""Imports are free of effects and cheap: what must not load torch does not, seen from a fresh interpreter."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import frugalseg

SRC = Path(frugalseg.__file__).parent
TORCH_FREE = [package for package in ("core", "annotation", "web") if (SRC / package).is_dir()]
HEAVY = {"torch", "numpy", "cv2", "PIL", "pyarrow", "pydantic", "matplotlib", "jinja2", "typer", "rich"}


def modules_of(package: str) -> list[str]:
    """All modules of `frugalseg.<package>`, with those of its sub-packages."""
    name = f"frugalseg.{package}"
    return [name, *(info.name for info in pkgutil.walk_packages([str(SRC / package)], prefix=f"{name}."))]


def loaded_after(*modules: str) -> set[str]:
    """Top-level names in `sys.modules` of a fresh interpreter after importing `modules`."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_frugalseg_loads_nothing_heavy() -> None:
    loaded = loaded_after("frugalseg")
    assert "frugalseg" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("package", TORCH_FREE)
def test_torch_free_packages_never_load_torch(package: str) -> None:
    assert not loaded_after(*modules_of(package)) & {"torch", "torchvision", "timm", "lightning"}


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: path.relative_to(SRC).as_posix())
def test_a_package_imports_from_defining_modules_not_from_its_own_init(path: Path) -> None:
    package = path.parent
    dotted = ".".join(("frugalseg", *package.relative_to(SRC).parts))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if package != SRC and isinstance(node, ast.ImportFrom) and node.module == dotted:
            for alias in node.names:
                defined = (package / alias.name).is_dir() or (package / f"{alias.name}.py").is_file()
                assert defined, f"line {node.lineno}: import {alias.name} from the module that defines it"
