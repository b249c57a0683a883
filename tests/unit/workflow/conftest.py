"""A project with a source, a target and an untrained model, for stages that need a network but no training."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from frugalseg.data.toycity import write_dataset
from frugalseg.models.build import build
from frugalseg.models.store import save_model
from frugalseg.training.adversarial import Discriminator
from frugalseg.training.discriminators import DISCRIMINATOR, save_discriminator
from frugalseg.workflow.project import MODEL, Project, init_project
from frugalseg.workflow.stage import Options, run_stage

SIZE_HW = (48, 64)


@pytest.fixture(scope="session")
def two_looks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with source/ (4 frames) and target/ (2 drives of 3 frames); drawn once, never changed."""
    root = tmp_path_factory.mktemp("two_looks")
    write_dataset(root / "source", "simulator", 1, 4, 1, SIZE_HW)
    write_dataset(root / "target", "street", 2, 2, 3, SIZE_HW)
    return root


@pytest.fixture
def untrained(two_looks: Path, tmp_path: Path) -> Callable[..., Project]:
    """Return a maker of projects: up to 6 target frames, a source if wanted, a model with random weights."""

    def make(frames: int = 6, source: bool = True, discriminator: bool = True) -> Project:
        given = {"target": f"folder:{two_looks / 'target'}?limit={frames}", "adapt_method": "source_only"}
        given |= {"source": f"folder:{two_looks / 'source'}"} if source else {}
        project = init_project(tmp_path / "project", given, None)

        def work(folder: Path) -> dict[str, str]:
            network = build("shuffle_lite", project.classes, seed=0)
            save_model(folder / MODEL, network, {"input_height": SIZE_HW[0], "input_width": SIZE_HW[1]})
            if discriminator:
                torch.manual_seed(0)
                save_discriminator(folder / DISCRIMINATOR, Discriminator(len(project.classes), 4), "entropy")
            return {}

        run_stage(project, "adapt-source_only", {}, {}, work, Options(quiet=True))
        return project

    return make
