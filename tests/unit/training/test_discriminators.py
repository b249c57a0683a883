import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from frugalseg.core.errors import ModelError
from frugalseg.training.adversarial import KINDS, Discriminator, Kind
from frugalseg.training.discriminators import INFO, MAPS, WEIGHTS, load_discriminator, save_discriminator
from frugalseg.training.method import Keeps


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Discriminator]:
    torch.manual_seed(0)
    discriminator = Discriminator(3, 4)
    save_discriminator(tmp_path / "it", discriminator, "softmax")
    return tmp_path / "it", discriminator


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maps", sorted(MAPS))
def test_likeness_is_the_mean_probability_of_its_map(tmp_path: Path, maps: str, kind: Kind) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(3, 4, kind).eval()
    save_discriminator(tmp_path, discriminator, maps)
    logits = torch.randn(2, 3, 70, 96)
    with torch.no_grad():
        expected = discriminator(MAPS[maps](logits)).sigmoid().mean(dim=(1, 2, 3))
    likeness = load_discriminator(tmp_path).likeness(logits)
    torch.testing.assert_close(likeness, expected.double())
    assert ((likeness > 0) & (likeness < 1)).all()


def test_a_changed_or_missing_file_is_refused(saved: tuple[Path, Discriminator]) -> None:
    folder, _ = saved
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-1] + b"?")
    with pytest.raises(ModelError, match="sha256 differs"):
        load_discriminator(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="no discriminator can be read"):
        load_discriminator(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": "softmix"}, "Did you mean 'softmax'"),
        ({"kind": "madam"}, "Did you mean 'mada'"),
        ({"kind": "mada"}, "other shape"),
        ({"classes": 10**9}, "no description of a discriminator"),
        ({"width": "4"}, "width"),
        ({"classes": 4}, "other shape"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    saved: tuple[Path, Discriminator], change: dict[str, object], message: str
) -> None:
    folder, _ = saved
    info = json.loads((folder / INFO).read_text())
    (folder / INFO).write_text(json.dumps(info | change))
    with pytest.raises(ModelError, match=message):
        load_discriminator(folder)


def test_nothing_is_saved_of_one_that_diverged(tmp_path: Path) -> None:
    discriminator = Discriminator(3, 4)
    with torch.no_grad():
        next(discriminator.parameters())[0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        save_discriminator(tmp_path / "it", discriminator, "softmax")
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize("name", ["advent", "adaptsegnet"])
def test_adversarial_methods_keep_theirs(name: str, tiny_city: ModuleType, tmp_path: Path) -> None:
    from frugalseg.workflow import catalog

    entry = catalog.entry("method", name)
    config = entry.load_config()(**tiny_city.SETTINGS, discriminator_width=4)
    data = tiny_city.domain_data(tmp_path, human=False)
    method = entry.load()(tiny_city.network(), config, tiny_city.fabric(), data)
    assert isinstance(method, Keeps)
    method.begin(0)
    method.keep(tmp_path)
    loaded = load_discriminator(tmp_path / "discriminator")
    own, kept = method._adversary.main.state_dict(), loaded.discriminator.state_dict()
    assert tiny_city.same_weights(dict(own), dict(kept))
    logits = torch.randn(1, 4, 32, 32)
    torch.testing.assert_close(loaded.maps(logits), method._adversary._maps(logits))


def test_its_description_is_no_summary_of_a_phase(saved: tuple[Path, Discriminator]) -> None:
    from frugalseg.training.discriminators import DISCRIMINATOR
    from frugalseg.workflow.train import _summaries

    folder, _ = saved
    stage = folder.parent
    folder.rename(stage / DISCRIMINATOR)
    (stage / "round-1").mkdir()
    (stage / "round-1" / "summary.json").write_text('{"easy": 3}')
    assert _summaries(stage) == {"round-1": {"easy": 3}}
