from pathlib import Path
from types import ModuleType

import pytest
import torch

from frugalseg.adaptation.source_only import SourceOnly, SourceOnlyConfig
from frugalseg.core.errors import TrainingError
from frugalseg.training.domain_data import DomainData
from frugalseg.training.loop import train
from frugalseg.training.losses import cross_entropy
from frugalseg.training.progress import TrainingLog


def make(tiny_city: ModuleType, data: DomainData, **settings: object) -> SourceOnly:
    config = SourceOnlyConfig(**{**tiny_city.SETTINGS, **settings})
    return SourceOnly(tiny_city.network(), config, tiny_city.fabric(), data)


def run(method: SourceOnly, tiny_city: ModuleType, folder: Path) -> torch.nn.Module:
    return train(method, folder, tiny_city.fabric(), TrainingLog(None, "t", quiet=True))


def test_the_loss_is_the_weighted_cross_entropy(tiny_city: ModuleType, tmp_path: Path) -> None:
    method = make(tiny_city, tiny_city.domain_data(tmp_path))
    batch = method.phases()[0].batches(tmp_path).batch(0)
    twin = tiny_city.network().train()
    torch.manual_seed(0)
    losses = method.step(batch)
    torch.manual_seed(0)
    expected = cross_entropy(twin(batch.source_images).logits, batch.source_labels, method._learner.class_weights)
    assert losses == {"source": pytest.approx(float(expected.detach()))}


def test_target_images_are_never_looked_at(tiny_city: ModuleType, tmp_path: Path) -> None:
    data = tiny_city.domain_data(tmp_path / "city")
    alone = DomainData(data.source, None, data.pixels_C)
    with_target, without = (
        tiny_city.weights(run(make(tiny_city, which), tiny_city, tmp_path / name))
        for name, which in (("a", data), ("b", alone))
    )
    assert tiny_city.same_weights(with_target, without)


def test_adabn_changes_the_running_statistics_only(tiny_city: ModuleType, tmp_path: Path) -> None:
    data = tiny_city.domain_data(tmp_path / "city")
    plain = run(make(tiny_city, data), tiny_city, tmp_path / "plain").state_dict()
    adabn = run(make(tiny_city, data, recompute_statistics=4), tiny_city, tmp_path / "adabn").state_dict()
    changed = {name.split(".")[-1] for name in plain if not torch.equal(plain[name], adabn[name])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}


def test_it_says_what_it_needs_before_training(tiny_city: ModuleType, tmp_path: Path) -> None:
    data = tiny_city.domain_data(tmp_path)
    with pytest.raises(TrainingError, match="source_only learns from a labelled source"):
        make(tiny_city, DomainData(None, data.target))
    alone = DomainData(data.source, None, data.pixels_C)
    make(tiny_city, alone)
    with pytest.raises(TrainingError, match="recompute_statistics learns from target images"):
        make(tiny_city, alone, recompute_statistics=8)


def test_it_learns(tiny_city: ModuleType, tmp_path: Path) -> None:
    """On this world of four colours, a few dozen steps get most pixels of unseen frames right."""
    data = tiny_city.domain_data(tmp_path / "city")
    settings = {"steps": 60, "save_every": 60, "lr": 0.02, "zoom_max": 1.0, "color_jitter": 0.0, "hue_jitter": 0.0}
    network = run(make(tiny_city, data, **settings), tiny_city, tmp_path / "run")
    image, label = tiny_city.draw("simulator", 5, 0)
    prediction = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255).logits[0].argmax(dim=0).numpy()
    assert (prediction == label)[label != 255].mean() > 0.8
