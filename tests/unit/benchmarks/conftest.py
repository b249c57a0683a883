"""Benchmarks are scripts that import each other by name, as they do when one of them is run."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str) -> ModuleType:
    sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="session")
def paired() -> ModuleType:
    return load("_paired")


@pytest.fixture(scope="session")
def evidence() -> ModuleType:
    return load("_evidence")


@pytest.fixture(scope="session")
def points_page() -> ModuleType:
    return load("_points_page")


@pytest.fixture(scope="session")
def points() -> ModuleType:
    return load("points")


@pytest.fixture(scope="session")
def points_together() -> ModuleType:
    return load("points_together")


@pytest.fixture(scope="session")
def images_page() -> ModuleType:
    return load("_images_page")


@pytest.fixture(scope="session")
def selection_pass() -> ModuleType:
    return load("selection_pass")


@pytest.fixture(scope="session")
def images() -> ModuleType:
    return load("images")


@pytest.fixture(scope="session")
def learning() -> ModuleType:
    return load("propagation_learning")


@pytest.fixture(scope="session")
def utility() -> ModuleType:
    return load("propagation_utility")
