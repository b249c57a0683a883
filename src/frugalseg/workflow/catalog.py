"""The product's table of contents: every reader, network, method and selector, by name.

Entries are import paths, so that listing them loads nothing; `load` turns one into the object.
"""

import importlib
from dataclasses import dataclass
from typing import Any

from frugalseg.core.choose import choose


@dataclass(frozen=True)
class Entry:
    """One thing that can be chosen by name: what it is in one line, where that comes from, where the code is."""

    summary: str
    source: str
    target: str
    config: str = ""

    def load(self) -> Any:
        """Import and return the object."""
        return _import(self.target)

    def load_config(self) -> Any:
        """Import and return its config class."""
        return _import(self.config)


READERS = {
    "folder": Entry(
        "images/ and labels/ of PNG, JPEG or TIFF, with classes.toml", "ours", "frugalseg.data.readers.folder:read"
    ),
}

NETWORKS = {
    "shuffle_lite": Entry(
        "ShuffleNetV2 0.5x with a light decoder, for CPUs and edge devices",
        "Ma et al., ECCV 2018; decoder ours",
        "frugalseg.models.build:build",
    ),
    "ARCHITECTURE:ENCODER": Entry(
        "any segmentation-models-pytorch architecture over any timm encoder, e.g. deeplabv3plus:resnet101",
        "segmentation-models-pytorch, timm",
        "frugalseg.models.build:build",
    ),
}

METHODS = {
    "source_only": Entry(
        "learns the labelled source and nothing else; the start of every other method",
        "baseline",
        "frugalseg.adaptation.source_only:SourceOnly",
        "frugalseg.adaptation.source_only:SourceOnlyConfig",
    ),
    "cbst": Entry(
        "class-balanced self-training in rounds",
        "Zou et al., ECCV 2018",
        "frugalseg.adaptation.cbst:Cbst",
        "frugalseg.adaptation.cbst:CbstConfig",
    ),
    "point_da": Entry(
        "source labels, people's points, pseudo-labels outside the selected cells",
        "Pan et al., Labeling Where Adapting Fails",
        "frugalseg.adaptation.point_da:PointDa",
        "frugalseg.adaptation.point_da:PointDaConfig",
    ),
}

# Methods that learn from people's answers are for `retrain`; the others for `adapt`.
WITH_ANSWERS = ("point_da",)

SELECTORS = {
    "entropy_patches": Entry(
        "points in the cells with the highest mean entropy",
        "Pan et al., Labeling Where Adapting Fails, equation 5",
        "frugalseg.acquisition.entropy_patches:EntropyPatches",
        "frugalseg.acquisition.entropy_patches:EntropyPatchesConfig",
    ),
    "random_patches": Entry(
        "points in randomly chosen cells",
        "the same paper's control",
        "frugalseg.acquisition.random_patches:RandomPatches",
        "frugalseg.acquisition.random_patches:RandomPatchesConfig",
    ),
    "random_points": Entry(
        "pixels drawn uniformly over the frame",
        "baseline",
        "frugalseg.acquisition.random_points:RandomPoints",
        "frugalseg.acquisition.random_points:RandomPointsConfig",
    ),
}

TABLES = {"reader": READERS, "network": NETWORKS, "method": METHODS, "selector": SELECTORS}


def entry(kind: str, name: str) -> Entry:
    """Return the entry `name` of the table `kind`.

    Raises:
        UnknownNameError: with the nearest name.
    """
    return choose(kind, name, TABLES[kind])


def _import(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
