"""Motion sources find known motion, and neighbouring flows are computed once."""

from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.errors import ConfigError, DataError, ModelError
from frugalseg.propagation.dis import Dis, DisConfig
from frugalseg.propagation.flow import FIXED_PER_PX, Flow
from frugalseg.propagation.motion import Neighbours, Picture


def moved(picture, columns, rows):
    return Picture(f"{picture.key} moved", np.roll(picture.rgb_HWC, (-rows, -columns), (0, 1)))


@pytest.mark.parametrize("config", [DisConfig(), DisConfig(finest_scale=0), DisConfig(preset="fast")], ids=str)
def test_dis_finds_where_the_target_was_in_the_source(noise, config) -> None:
    source = noise(0, (96, 128))
    target = moved(source, 3, -2)  # target[p] = source[p + (3, -2)]
    flow = Dis(config).flow(target, source)
    inner = flow.px_HW2[20:-20, 20:-20]
    assert np.abs(np.median(inner.reshape(-1, 2), axis=0) - [3, -2]).max() < 0.2
    assert not flow.valid_HW[40, -1] and flow.valid_HW[40, 60]


def test_dis_on_the_toy_city_is_near_the_true_flow(clip, pictures) -> None:
    dis = Dis(DisConfig(finest_scale=0))
    for number in range(1, 4):
        truth = clip[number].flow_px
        flow = dis.flow(pictures[number], pictures[number - 1])
        error = np.linalg.norm(flow.px_HW2 - truth, axis=2)[np.isfinite(truth).all(axis=2)]
        still = np.linalg.norm(truth, axis=2)[np.isfinite(truth).all(axis=2)]
        assert np.median(error) < 0.5 and error.mean() < 0.5 * still.mean()


def test_dis_leaves_the_start_as_it_was_and_uses_it(noise) -> None:
    source = noise(1, (96, 128))
    target = moved(source, 9, 0)
    start = Flow.of(np.broadcast_to(np.array([9, 0], np.float32), (96, 128, 2)))
    before, dis = start.px_HW2.copy(), Dis(DisConfig(preset="ultrafast"))
    from_start = dis.flow(target, source, start)
    assert (start.px_HW2 == before).all()
    assert not np.array_equal(from_start.px_HW2, dis.flow(target, source).px_HW2)
    assert np.abs(np.median(from_start.px_HW2[20:-20, 20:-20].reshape(-1, 2), axis=0) - [9, 0]).max() < 0.2


def test_one_dis_gives_the_same_bits_again_and_its_results_are_its_own(noise) -> None:
    dis, a, b = Dis(), noise(2), noise(3)
    first = dis.flow(a, b)
    kept = first.px_HW2.copy()
    dis.flow(b, a)
    assert (first.px_HW2 == kept).all() and (dis.flow(a, b).px_HW2 == kept).all()


def test_every_setting_is_part_of_the_identity() -> None:
    names = {Dis(c).identity for c in (DisConfig(), DisConfig(finest_scale=0), DisConfig(preset="fast"))}
    assert len(names) == 3
    assert Dis(DisConfig()).identity == Dis(DisConfig(finest_scale=1)).identity, "medium's own finest scale"


def test_two_sizes_or_too_few_pixels_are_refused_by_name(noise) -> None:
    with pytest.raises(DataError, match=r"noise 0 is \(48, 64\) and noise 1 is \(64, 48\).*different sizes"):
        Dis().flow(noise(0), noise(1, (64, 48)))
    with pytest.raises(DataError, match="at least 16 pixels"):
        Dis().flow(noise(0, (8, 64)), noise(1, (8, 64)))


@pytest.mark.parametrize("array", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.uint16)])
def test_a_picture_is_rgb_of_eight_bits(array) -> None:
    with pytest.raises(DataError, match=r"k: got a picture of .* expected height x width x 3 uint8"):
        Picture("k", array)


def test_a_pictures_digest_is_of_its_pixels_and_shape(noise) -> None:
    one = noise(0)
    assert one.digest == Picture("other", one.rgb_HWC.copy()).digest != noise(1).digest
    assert one.digest != Picture("k", one.rgb_HWC.reshape(64, 48, 3)).digest


class TestNeighbours:
    def test_each_flow_is_computed_once_for_its_content(self, tmp_path: Path, noise, shift) -> None:
        motion = shift(1.23, 0)
        for _ in range(2):
            neighbours = Neighbours(motion, tmp_path)
            neighbours.flow(noise(0), noise(1))
            neighbours.flow(Picture("renamed", noise(0).rgb_HWC), noise(1))
        assert motion.calls == 1
        neighbours.flow(noise(1), noise(0))
        assert motion.calls == 2 and neighbours.computed == 1

    def test_other_parameters_have_other_entries(self, tmp_path: Path, noise, shift) -> None:
        flows = [Neighbours(shift(px, 0), tmp_path).flow(noise(0), noise(1)).px_HW2[0, 0, 0] for px in (1, 2)]
        assert flows == [1, 2]

    def test_with_and_without_a_cache_the_flow_is_the_same(self, tmp_path: Path, pictures) -> None:
        plain = Neighbours(Dis()).flow(pictures[1], pictures[0])
        for _ in range(2):
            cached = Neighbours(Dis(), tmp_path).flow(pictures[1], pictures[0])
            assert (cached.px_HW2 == plain.px_HW2).all() and (cached.valid_HW == plain.valid_HW).all()
        exact = Dis().flow(pictures[1], pictures[0])
        assert np.abs(plain.px_HW2 - exact.px_HW2).max() <= 0.5 / FIXED_PER_PX

    @pytest.mark.parametrize("damage", ["cut", "flip", "empty", "shape"])
    def test_a_damaged_entry_is_computed_again(self, tmp_path: Path, noise, shift, damage: str) -> None:
        motion = shift(1, 0)
        Neighbours(motion, tmp_path).flow(noise(0), noise(1))
        (entry,) = tmp_path.iterdir()
        content = bytearray(entry.read_bytes())
        if damage == "cut":
            entry.write_bytes(content[: len(content) // 2])
        elif damage == "flip":
            content[len(content) // 2] ^= 1
            entry.write_bytes(content)
        elif damage == "empty":
            entry.write_bytes(b"")
        else:
            entry.write_bytes(content[:4] + bytes(36))
        assert (Neighbours(motion, tmp_path).flow(noise(0), noise(1)).px_HW2 == [1, 0]).all()
        assert motion.calls == 2
        Neighbours(motion, tmp_path).flow(noise(0), noise(1))
        assert motion.calls == 2 and len(list(tmp_path.iterdir())) == 1


class TestRaft:
    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        import torch

        from frugalseg.propagation.raft import build

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            torch.save(build("small").state_dict(), tmp_path / "raft.pth")
        return tmp_path / "raft.pth"

    def test_raft_gives_flow_of_the_frames_own_size(self, weights: Path, noise) -> None:
        from frugalseg.propagation.networks import RaftConfig
        from frugalseg.propagation.raft import Raft

        raft = Raft(RaftConfig(raft_weights=weights, raft_size="small", raft_updates=2))
        flow = raft.flow(noise(0, (45, 61)), noise(1, (45, 61)))
        assert flow.px_HW2.shape == (45, 61, 2) and np.abs(flow.px_HW2).max() > 0
        again = raft.flow(noise(0, (45, 61)), noise(1, (45, 61)))
        assert (again.px_HW2 == flow.px_HW2).all()

    def test_weights_that_are_missing_or_anothers_are_refused(self, weights: Path) -> None:
        from frugalseg.propagation.networks import RaftConfig
        from frugalseg.propagation.raft import Raft

        with pytest.raises(ConfigError, match="weights are needed"):
            Raft(RaftConfig())
        with pytest.raises(ModelError, match="raft.pth"):
            Raft(RaftConfig(raft_weights=weights, raft_size="large"))

    def test_the_weights_are_part_of_the_identity(self, weights: Path) -> None:
        import torch

        from frugalseg.propagation.networks import RaftConfig
        from frugalseg.propagation.raft import Raft

        state = torch.load(weights, weights_only=True)
        state[next(iter(state))] += 1
        torch.save(state, weights.with_name("other.pth"))
        configs = [
            RaftConfig(raft_weights=weights.with_name(name), raft_size="small") for name in ("raft.pth", "other.pth")
        ]
        assert len({Raft(config).identity for config in configs}) == 2
