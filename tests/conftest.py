"""What all tests share. Threads are limited before anything imports torch: two test workers share two cores."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
# No test goes over the network, and none finds what an earlier download left. Read when huggingface_hub is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_CACHE", os.path.join(os.devnull, "no-cache"))

# The same examples on every run, and no deadline: a loaded machine must not make a test fail.
settings.register_profile("frugalseg", deadline=None, derandomize=True)
settings.load_profile("frugalseg")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="browser tests write docs/images/*.png anew")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images and weights that the environment variable FRUGALSEG_DATA names."""
    folder = os.environ.get("FRUGALSEG_DATA")
    if not folder:
        pytest.skip("needs real images: set FRUGALSEG_DATA to their folder")
    if not Path(folder).is_dir():
        pytest.fail(f"FRUGALSEG_DATA={folder} is not a folder; correct it or unset it")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_city() -> ModuleType:
    """The module `tests/tiny_city.py`: a few generated frames in two looks, and a tiny network (this imports torch)."""
    return _beside("tiny_city")


@pytest.fixture(scope="session")
def miniatures() -> ModuleType:
    """The module `tests/miniatures.py`: writes small copies of public data sets in their real layouts."""
    return _beside("miniatures")


@pytest.fixture(scope="session")
def videos() -> ModuleType:
    """The module `tests/videos.py`: writes small videos with B-frames, irregular times, damage, turns."""
    return _beside("videos")


@pytest.fixture(scope="session")
def slips() -> ModuleType:
    """The module `tests/slips.py`: a user's data in miniature, in order or with a slip that new users make."""
    return _beside("slips")


def _beside(name: str) -> ModuleType:
    """Return the module of that name beside this file; tests are no package, so that none can be imported by chance."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
