import pytest
import torch

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.config import load_config
from frugalseg.core.errors import UnknownNameError
from frugalseg.models.build import build
from frugalseg.training.preset import load_preset, presets
from frugalseg.training.settings import TrainConfig
from frugalseg.workflow.catalog import METHODS

NINETEEN = ClassSet("19", tuple(SemanticClass(f"class {c}", (c, 0, 0), (c,)) for c in range(19)))


@pytest.mark.parametrize("name", presets())
def test_settings_are_ones_that_training_takes(name: str) -> None:
    preset = load_preset(name)
    config = load_config(TrainConfig, overrides=preset.overrides)
    for key, value in preset.settings.items():
        assert getattr(config, key) == value
    # What only we do is off, so that a preset's run is the paper's.
    assert (config.ema, config.class_weighting, config.warm_up) == (0, 0, 0)
    assert config.batch_statistics == "shared"


def test_a_methods_own_settings_are_ones_that_it_takes() -> None:
    given = [(name, method) for name in presets() for method in load_preset(name).own]
    assert given == [("mada_paper", "adaptsegnet"), ("point_da_paper", "point_da")]
    configs = []
    for name, method in given:
        preset = load_preset(name)
        config = load_config(METHODS[method].load_config(), overrides=preset.overrides_of(method))
        assert {key: getattr(config, key) for key in preset.settings_of(method)} == preset.settings_of(method)
        assert preset.overrides_of("source_only") == preset.overrides, "nobody else's"
        configs.append(config)
    warm_up, config = configs
    assert (warm_up.discriminator, warm_up.adv_weight, warm_up.discriminator_width) == ("mada", 0.01, 64)
    assert (config.human_term, config.adv_weight, config.aux_adv_weight) == ("merged", 1e-3, 2e-4)
    assert (config.aux_seg_weight, config.discriminator_lr, config.pseudo_labels) == (0.1, 1e-4, "cells")


NETWORKS = sorted({load_preset(name).network for name in presets()})


@pytest.mark.parametrize(
    "network", [pytest.param(name, marks=[pytest.mark.slow] if "hrnet" in name else []) for name in NETWORKS]
)
def test_networks_are_ones_that_can_be_built(network: str) -> None:
    with torch.device("meta"):
        logits = build(network, NINETEEN).eval()(torch.zeros(1, 3, 64, 128)).logits
    assert logits.shape == (1, 19, 64, 128)


@pytest.mark.parametrize(
    ("name", "stated"),
    [  # read off the papers a second time, not off the files
        ("adaptsegnet_paper", ("deeplabv2:resnet101", "sgd", 2.5e-4, 5e-4, 0.9, 512, 1024)),
        ("advent_paper", ("deeplabv2:resnet101", "sgd", 2.5e-4, 5e-4, 0.9, 512, 1024)),
        ("intrada_paper", ("deeplabv2:resnet101", "sgd", 2.5e-4, 5e-4, 0.9, 512, 1024)),
        ("point_da_paper", ("deeplabv2:resnet101", "sgd", 2.5e-4, 1e-4, 0.9, 512, 1024)),
        ("cbst_paper_resnet38", ("resnet38", "sgd", 1e-4, None, None, 500, 500)),
        ("cbst_paper_vgg16", ("fcn8s:vgg16", "sgd", 1e-6, None, None, 500, 500)),
        ("mada_paper", ("deeplabv3plus:resnet101", "sgd", 2.5e-4, None, 0.9, 512, 896)),
        ("warp_refine_paper", ("hms:upernet:tu-hrnet_w48", "sgd", 0.01, 5e-4, 2.0, 1024, 2048)),
    ],
)
def test_numbers_are_the_papers(name: str, stated: tuple[object, ...]) -> None:
    preset = load_preset(name)
    keys = ("optimizer", "lr", "weight_decay", "poly_power", "height", "width")
    assert (preset.network, *(preset.settings.get(key) for key in keys)) == stated


def test_every_preset_is_among_those_with_checked_numbers() -> None:
    checked = test_numbers_are_the_papers.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {name for name, _ in checked} == set(presets())


@pytest.mark.parametrize(("ratio", "zoom"), [(0.7, "zoom_min"), (1.3, "zoom_max")])
def test_windows_of_cbst_cover_what_the_papers_resizing_shows(ratio: float, zoom: str) -> None:
    """A crop of 500 pixels from a Cityscapes frame resized by `ratio` shows 500 / ratio of its 1024 rows."""
    preset = load_preset("cbst_paper_resnet38")
    largest_window = 1024
    assert largest_window / float(preset.settings[zoom]) == pytest.approx(500 / ratio, rel=1e-3)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no preset named 'advent'. Did you mean 'advent_paper'"):
        load_preset("advent")
