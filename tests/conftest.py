"""What all tests share. Threads are limited before anything imports torch: two test workers share two cores."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# The same examples on every run, and no deadline: a loaded machine must not make a test fail.
settings.register_profile("frugalseg", deadline=None, derandomize=True)
settings.load_profile("frugalseg")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images and weights that the environment variable FRUGALSEG_DATA names."""
    folder = os.environ.get("FRUGALSEG_DATA")
    if not folder:
        pytest.skip("needs real images: set FRUGALSEG_DATA to their folder")
    if not Path(folder).is_dir():
        pytest.fail(f"FRUGALSEG_DATA={folder} is not a folder; correct it or unset it")
    return Path(folder)
