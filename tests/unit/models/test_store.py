import hashlib
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ModelError
from frugalseg.models.build import build
from frugalseg.models.network import Normalization
from frugalseg.models.store import INFO, WEIGHTS, load_model, read_model_info, save_model

THREE = ClassSet(
    "three",
    tuple(SemanticClass(name, (c, 0, 9), (c, c + 10), (f"{name} too",)) for c, name in enumerate(("a", "é", "<b>"))),
    ignored_ids=(200, 255),
    subsets={"some": ("a", "é")},
)
Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_model(tmp_path / "model", build("shuffle_lite", THREE, seed=4), {"input_height": 240})
    return tmp_path / "model"


def edit_info(model: Path, edit: Edit) -> None:
    info = json.loads((model / INFO).read_text())
    edit(info)
    (model / INFO).write_text(json.dumps(info))


def replace_weights(model: Path, edit: Edit, honest: bool = True) -> None:
    state = load_file(model / WEIGHTS)
    edit(state)
    save_file(state, model / WEIGHTS)
    if honest:
        sha256 = hashlib.sha256((model / WEIGHTS).read_bytes()).hexdigest()
        edit_info(model, lambda info: info.update(sha256=sha256))


def test_everything_worth_knowing_comes_back(model: Path) -> None:
    network, info = load_model(model), read_model_info(model)
    assert network.classes == THREE
    assert (network.name, network.channels, info["input_height"]) == ("shuffle_lite", 3, 240)
    assert sorted(path.name for path in model.iterdir()) == [INFO, WEIGHTS]


def test_saving_the_same_twice_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "again", load_model(model), {"input_height": 240})
    for name in (WEIGHTS, INFO):
        assert (tmp_path / "again" / name).read_bytes() == (model / name).read_bytes()


def test_weights_laid_out_bands_innermost_are_saved_alike(model: Path, tmp_path: Path) -> None:
    network = load_model(model).to(memory_format=torch.channels_last)
    save_model(tmp_path / "again", network, {})
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (model / WEIGHTS).read_bytes()


def test_a_normalisation_other_than_the_names_own_is_kept(tmp_path: Path) -> None:
    network = build("shuffle_lite", THREE)
    network.set_normalization(Normalization(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0), order=(0, 1, 2)))
    save_model(tmp_path, network, {})
    loaded = load_model(tmp_path)
    assert loaded.normalization == network.normalization
    assert torch.equal(loaded.mean, network.mean) and torch.equal(loaded.std, network.std)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_could_not_be_loaded_again_is_not_saved(tmp_path: Path, value: float) -> None:
    network = build("shuffle_lite", THREE)
    with torch.no_grad():
        network.get_parameter("body.head.bias")[1] = value
    with pytest.raises(ModelError, match=r"nothing was saved: (.|\n)*not finite \(1\): body.head.bias"):
        save_model(tmp_path / "model", network, {})
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_claims_billions_of_weights_is_refused_before_memory_is_given(model: Path) -> None:
    edit_info(model, lambda info: info.update(network="vit:vit_7b_patch16_dinov3"))  # 27 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=r"missing \(\d+\): body.encoder.model"):
        load_model(model)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kB


def test_a_named_pipe_is_refused_without_waiting(model: Path) -> None:
    for name in (WEIGHTS, INFO):
        (model / name).unlink()
        os.mkfifo(model / name)
        with pytest.raises(ModelError, match=f"{name}: this is no file"):
            load_model(model)


def test_an_encoder_that_computes_while_it_is_built_loads_too(tmp_path: Path) -> None:
    save_model(tmp_path, build("segformer:mit_b0", THREE), {})
    assert load_model(tmp_path).name == "segformer:mit_b0"


def test_extra_facts_do_not_replace_the_models_own(tmp_path: Path) -> None:
    save_model(tmp_path, build("shuffle_lite", THREE), {"network": "other", "sha256": "0"})
    assert load_model(tmp_path).name == "shuffle_lite"


def test_nothing_is_written_when_the_extra_facts_are_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_model(tmp_path, build("shuffle_lite", THREE), {"miou": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_is_found_before_anything_is_read(model: Path) -> None:
    content = bytearray((model / WEIGHTS).read_bytes())
    content[len(content) // 2] ^= 1
    (model / WEIGHTS).write_bytes(content)
    with pytest.raises(ModelError, match=r"sha256 differs\). Copy the model again"):
        load_model(model)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda state: state.pop("body.head.bias"), r"missing \(1\): body.head.bias"),
        (lambda state: state.update(more=torch.zeros(1)), r"unexpected \(1\): more"),
        (lambda state: state["body.head.bias"].fill_(float("nan")), r"not finite \(1\): body.head.bias"),
        (lambda state: state["body.encoder.first_conv.1.running_var"].fill_(float("inf")), r"not finite \(1\)"),
        (lambda state: state.update({"body.head.bias": torch.zeros(4)}), r"body.head.bias \(4,\) for \(3,\)"),
        (
            lambda state: state.update({"body.head.bias": torch.full((3,), 1e300, dtype=torch.float64)}),
            r"not finite \(1\): body.head.bias",
        ),
        (lambda state: state["body.encoder.first_conv.1.running_var"].fill_(-1.0), r"negative variance \(1\)"),
        (
            lambda state: state.update({"body.head.bias": torch.zeros(3, dtype=torch.int32)}),
            r"other kind of number \(1\): body.head.bias torch.int32",
        ),
    ],
    ids=["missing", "unexpected", "NaN", "infinite statistics", "another shape", "too large", "variance", "whole"],
)
def test_weights_that_do_not_fit_are_refused(model: Path, edit: Edit, message: str) -> None:
    replace_weights(model, edit)
    with pytest.raises(ModelError, match=message):
        load_model(model)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda info: info["classes"]["class"].pop(), r"body.head.weight \(3, 64, 1, 1\) for \(2, 64, 1, 1\)"),
        (lambda info: info["classes"].update(extra=1), "no key named 'extra'"),
        (lambda info: info.update(channels=4), "model.json: shuffle_lite: .* is for 3 bands, not 4"),
        (
            lambda info: (info.update(channels=4), info.pop("normalization")),
            r"first_conv.0.weight \(24, 3, 3, 3\) for \(24, 4, 3, 3\)",
        ),
        (lambda info: info.update(channels=10**9), "bands"),
        (lambda info: info.update(channels=True), "wrong type: channels"),
        (lambda info: info.update(network="os:system"), "no architecture named 'os'"),
        (lambda info: info.update(network="frugalseg.models.build.build"), "no network named"),
        (lambda info: info.update(network="unet:hf-hub:somebody/model"), "no encoder named"),
        (lambda info: info.update(schema=2), "expected a model description of schema 1, got 2"),
        (lambda info: info.pop("sha256"), "wrong type: sha256"),
        (lambda info: info.update(normalization={"mean": [0.0]}), "needs mean, std and order"),
        (lambda info: info["normalization"].update(std=[1, 0, 1]), "no normalisation"),
        (lambda info: info["normalization"].update(std=[1, 1e-320, 1]), "no normalisation"),
        (lambda info: info["normalization"].update(mean=[0, 10**400, 0]), "no normalisation"),
        (lambda info: info["normalization"].update(mean=[0, 1e300, 0]), "no normalisation"),
        (lambda info: info["normalization"].update(mean=["0", 0, 0]), "mean is none"),
        (lambda info: info["normalization"].update(std=[True, 1, 1]), "std is none"),
        (lambda info: info["normalization"].update(order=[0.5, 1, 2]), "order is none"),
        (lambda info: info.update(normalization=[1]), "needs mean, std and order"),
        (lambda info: info.update(network="unet:" + "x" * 100_000), "100,005 characters"),
        (lambda info: info.update(normalization={"mean": [0], "std": [1], "order": [0]}), "is for 1 bands"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(model: Path, edit: Edit, message: str) -> None:
    edit_info(model, edit)
    with pytest.raises(ModelError, match=message):
        load_model(model)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "schema 1, got 'list'"),
        (b"{", "not a model description"),
        (b"\xff\xfe", "not a model description"),
        (b'{"schema": 1, "schema": 1}', "key given twice: 'schema'"),
        (b'{"schema": NaN}', "NaN is not a number JSON knows"),
        (b"[" * 100_000, "not a model description"),
        (b" " * 4_000_001, "more than 4,000,000 bytes"),
    ],
    ids=["list", "cut", "bytes", "duplicate", "NaN", "deep", "large"],
)
def test_files_that_are_no_description_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / INFO).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_model_info(tmp_path)


def test_missing_files_are_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model here"):
        load_model(tmp_path / "nowhere")
    (model / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="cannot read the weights"):
        load_model(model)
