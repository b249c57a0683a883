"""What a draw of benchmarks/points.py changes, and which selectors get several."""

from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest

from frugalseg.data.toycity import CLASSES
from frugalseg.workflow.project import Project, ProjectSettings


def test_a_draw_is_another_seed_and_nothing_else(points: ModuleType) -> None:
    project = Project(Path("folder"), ProjectSettings(name="any", target="folder:x", seed=3), CLASSES)
    drawn = [points.draw_of(project, draw) for draw in range(4)]
    assert drawn[0] == project
    assert len({one.settings.seed for one in drawn}) == 4
    assert all(one.settings.model_copy(update={"seed": 3}) == project.settings for one in drawn)
    assert {one.folder for one in drawn} == {project.folder}


@pytest.mark.parametrize(
    ("row", "draws"), [("random_points", 4), ("expected_gain:explore=0", 2), ("class_balanced", 2), ("margin", 1)]
)
def test_draws_are_for_selectors_that_draw(points: ModuleType, row: str, draws: int) -> None:
    assert points.draws_of(row, points.CONTROL, Namespace(draws=2, control_draws=4)) == draws
