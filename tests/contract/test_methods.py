"""One test over the whole table of methods: an entry is tested by being listed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from frugalseg.core.config import describe
from frugalseg.models.network import Network
from frugalseg.training.loop import train
from frugalseg.training.progress import TrainingLog
from frugalseg.training.settings import TrainConfig
from frugalseg.workflow.catalog import METHODS

ROUNDS = {"rounds": 2, "discriminator_width": 4}  # for methods that have rounds, or discriminators
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "no_ema": {"ema": 0.0},
    "ema_recomputed": {"ema": 0.8, "recompute_statistics": 4},
    "sgd_shared": {"optimizer": "sgd", "batch_statistics": "shared"},
    "mixed": {"precision": "bf16-mixed"},
}


class PowerCut(Exception):
    pass


@pytest.fixture(params=sorted(METHODS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def city(tiny_city: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_city.domain_data(tmp_path_factory.mktemp("city"), count=4)


@pytest.fixture
def make(tiny_city: ModuleType, city: Any, name: str) -> Callable[..., Any]:
    """Return a function that builds the method afresh, as a new process would."""

    def build(**settings: Any) -> Any:
        config_class = METHODS[name].load_config()
        rounds = {key: value for key, value in ROUNDS.items() if key in config_class.model_fields}
        config = config_class(**{**tiny_city.SETTINGS, **rounds, **settings})
        data = replace(city, teacher=tiny_city.network(seed=1))
        fabric = tiny_city.fabric(config.precision)
        method = METHODS[name].load()(tiny_city.network(), config, fabric, data)
        method.fabric = fabric
        return method

    return build


def run(method: Any, folder: Path) -> Network:
    return train(method, folder, method.fabric, TrainingLog(folder / "log.jsonl", "test", quiet=True))


def cut_at(method: Any, kind: str, count: int) -> Any:
    """Make the power fail before the `count`-th step, or in the middle of the `count`-th preparation."""
    if kind == "step":
        steps, taken = method.step, []

        def step(batch: Any) -> dict[str, float]:
            taken.append(batch.step)
            if len(taken) == count:
                raise PowerCut
            result: dict[str, float] = steps(batch)
            return result

        method.step = step
        return method
    phases = method.phases()

    def prepare(folder: Path) -> None:
        phases[count - 1].prepare(folder)
        raise PowerCut

    cut = [*phases]
    cut[count - 1] = replace(phases[count - 1], prepare=prepare)
    method.phases = lambda: cut
    return method


def test_every_setting_is_described_and_has_a_default(name: str) -> None:
    config_class = METHODS[name].load_config()
    assert issubclass(config_class, TrainConfig)
    config_class()
    for setting in describe(config_class):
        assert len(setting.description) > 5, setting.name
    assert config_class.model_config["frozen"] and config_class.model_config["extra"] == "forbid"


def test_a_method_keeps_what_the_loop_was_promised(make: Callable[..., Any], tmp_path: Path) -> None:
    method = make()
    phases = method.phases()
    assert len({phase.name for phase in phases}) == len(phases) > 0
    assert all(phase.steps == method.config.steps for phase in phases)
    network = run(method, tmp_path / "run")
    assert isinstance(network, Network) and not network.training
    assert all(bool(torch.isfinite(value).all()) for value in network.state_dict().values())


def test_the_weights_move(make: Callable[..., Any], tmp_path: Path, tiny_city: ModuleType) -> None:
    before, after = tiny_city.network().state_dict(), run(make(), tmp_path / "run").state_dict()
    assert all(not torch.equal(before[key], after[key]) for key in before if key.endswith(("weight", "running_mean")))


def test_the_same_seed_twice_is_bit_identical_and_another_differs(
    make: Callable[..., Any], tmp_path: Path, tiny_city: ModuleType
) -> None:
    first, second, other = (
        tiny_city.weights(run(make(seed=seed, loader_threads=threads), tmp_path / folder))
        for seed, threads, folder in ((0, 1, "a"), (0, 3, "b"), (1, 1, "c"))
    )
    assert tiny_city.same_weights(first, second)
    assert not tiny_city.same_weights(first, other)


@pytest.mark.parametrize("variant", VARIANTS)
def test_interrupted_and_resumed_equals_uninterrupted(
    make: Callable[..., Any], tmp_path: Path, tiny_city: ModuleType, variant: str
) -> None:
    settings = VARIANTS[variant]
    expected = tiny_city.weights(run(make(**settings), tmp_path / "whole"))
    phases = len(make().phases())
    cuts = [("prepare", 1), ("step", 2), ("step", 4), ("step", 2)]
    if phases > 1:
        cuts += [("prepare", phases), ("step", 3)]
    for kind, count in cuts:  # one cut after the other in the same folder
        with pytest.raises(PowerCut):
            run(cut_at(make(**settings), kind, count), tmp_path / "cut")
    assert tiny_city.same_weights(expected, tiny_city.weights(run(make(**settings), tmp_path / "cut")))
    assert tiny_city.same_weights(expected, tiny_city.weights(run(make(**settings), tmp_path / "cut")))  # finished


def test_the_checkpoint_is_plain_data(make: Callable[..., Any], tmp_path: Path) -> None:
    method = make(ema=0.5)
    run(method, tmp_path / "run")
    torch.save(method.state(), tmp_path / "state.pt")
    make(ema=0.5).load_state(torch.load(tmp_path / "state.pt", weights_only=True))
