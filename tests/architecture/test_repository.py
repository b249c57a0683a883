"""What may lie in the repository: small files, readable modules, nothing that works on one machine only."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src").rglob("*.py"))
MAX_BYTES = 600_000
MAX_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_STEP_LINES = 60  # of a method's `step`, which reads like the paper's algorithm

MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:work|root|home|Users|tmp)/")
INDEX_ADDRESS = re.compile(r"pypi[.]org|python[h]osted|download[.]pytorch|registry[.]npmjs|deb[.]debian")


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """All files under version control."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, docstring not counted."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    documented = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
    return function.end_lineno - function.lineno + 1 - documented


def test_no_tracked_file_is_large(tracked: list[Path]) -> None:
    assert not [f"{name_of(path)}: {size} bytes" for path in tracked if (size := path.stat().st_size) > MAX_BYTES]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, INDEX_ADDRESS], ids=["machine paths", "index addresses"])
def test_tracked_files_work_on_every_machine(tracked: list[Path], pattern: re.Pattern[str]) -> None:
    found = []
    for path in tracked:
        lines = path.read_text(encoding="utf-8", errors="ignore").splitlines()
        found += [f"{name_of(path)}:{number}: {line}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    assert not found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_is_documented_and_of_readable_length(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says in its docstring what it is for"
    assert len(text.splitlines()) <= MAX_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            limit = MAX_STEP_LINES if node.name == "step" else MAX_FUNCTION_LINES
            assert code_lines(node) <= limit, f"{node.name} has {code_lines(node)} lines, at most {limit}"
