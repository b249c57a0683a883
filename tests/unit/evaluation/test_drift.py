"""Drift: the distance by hand and by the textbook's formula; no drift is about 1, a shift is more; order is nothing."""

import dataclasses

import numpy as np
import pytest

from frugalseg.core.errors import ArtifactError, DataError
from frugalseg.evaluation.domain_sample import DomainSample, FrameSummary, light_of, sampled
from frugalseg.evaluation.drift import LEAST, Halver, Shift, frechet_distance, measure_drift
from frugalseg.evaluation.drift_findings import DriftFindings


def summaries(seed, frames=40, shift=0.0, sequences=10, features=6, scale=1.0, name="f"):
    """Frames of one look; `shift` moves every measure but contrast."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(frames):
        share = np.clip(0.3 + shift / 4 + rng.normal(0, 0.05), 0, 1)
        bright = np.clip(0.5 + shift / 4 + rng.normal(0, 0.05), 0, 1)
        light = [bright, 0.2 + rng.normal(0, 0.01), bright + shift / 10, bright, bright]
        found.append(
            FrameSummary(
                key=f"{name}{seed}_{number}",
                sequence=f"s{number % sequences}",
                features=(scale * (shift + rng.normal(size=features))).astype(np.float32),
                entropy=float(np.clip(0.3 + shift / 5 + rng.normal(0, 0.05), 0, 1)),
                shares=np.array([share, 1 - share], np.float32),
                light=np.array(light, np.float32),
            )
        )
    return found


def sample(*arguments, limit=100, **options):
    return DomainSample(limit, summaries(*arguments, **options))


def textbook_frechet(one, other):
    """Heusel et al., 2017, with covariances and the matrix root, whose trace is the sum of its eigenvalues."""
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    roots = np.sqrt(np.clip(np.linalg.eigvals(first @ second).real, 0, None)).sum()
    return np.sqrt(((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(first + second) - 2 * roots)


def distance(one, other):
    rows = np.arange(len(one) + len(other))
    return frechet_distance(np.concatenate([one, other]))(rows[: len(one)], rows[len(one) :])


def test_hand_worked_distance():
    # one dimension: (m1 - m2)^2 + (s1 - s2)^2 with means 0 and 3, sample deviations sqrt(2) and 2 sqrt(2)
    one, other = np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])
    assert distance(one, other) == pytest.approx(np.sqrt(9 + 2))


@pytest.mark.parametrize("features", [2, 5, 30])  # 30: more than there are frames
def test_distance_is_the_textbooks(features):
    rng = np.random.default_rng(features)
    one, other = rng.normal(size=(20, features)), 1 + 2 * rng.normal(size=(25, features))
    assert distance(one, other) == pytest.approx(textbook_frechet(one, other), rel=1e-6)


def test_distance_limits_and_invariance():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(12, 4)), rng.normal(size=(9, 4)) + 1
    assert distance(one, one) == pytest.approx(0, abs=1e-6)
    assert distance(np.ones((3, 4)), np.ones((5, 4))) == 0
    turned = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    expected = distance(one, other)
    assert distance(other, one) == pytest.approx(expected)
    assert distance(one[::-1] @ turned + 1000, other @ turned + 1000) == pytest.approx(expected, rel=1e-6)
    assert distance(3 * one, 3 * other) == pytest.approx(3 * expected)


def test_the_same_look_is_about_the_zero_level():
    for seed in range(3):
        drift = measure_drift(("source", "target"), sample(seed), sample(seed + 100))
        assert 0.7 < drift.score < 1.4
        shifts = [getattr(drift, field.name) for field in dataclasses.fields(drift)]
        assert not any(shift.certain for shift in shifts if isinstance(shift, Shift))


def test_a_shift_is_seen_grows_and_is_named():
    drifts = [measure_drift(("source", "target"), sample(0), sample(2, shift=shift)) for shift in (0, 0.5, 1, 2)]
    assert np.all(np.diff([drift.score for drift in drifts]) > 0)
    far = drifts[-1]
    assert far.score > 2 and all(s.certain for s in (far.features, far.entropy, far.shares, far.brightness, far.colour))
    assert not far.contrast.certain
    assert far.other.light[0] - far.reference.light[0] == pytest.approx(0.5, abs=0.05)
    assert far.brightness.value == pytest.approx(0.5, abs=0.05) and far.shares.value == pytest.approx(0.5, abs=0.05)


def test_the_order_of_frames_and_the_unit_of_features_change_nothing():
    rows = summaries(0), summaries(1, shift=1)
    expected = measure_drift(("a", "b"), *(DomainSample(100, part) for part in rows))
    assert measure_drift(("a", "b"), *(DomainSample(100, part[::-1]) for part in rows)) == expected
    scaled = measure_drift(("a", "b"), sample(0, scale=8), sample(1, shift=1, scale=8))
    assert scaled.score == pytest.approx(expected.score) and scaled.features.value == pytest.approx(
        8 * expected.features.value
    )


def test_frames_that_are_all_alike_have_no_zero_level():
    def alike(shift):
        return DomainSample(
            9, [dataclasses.replace(summaries(0, 1, shift)[0], key=f"{shift} {number}") for number in range(9)]
        )

    same = measure_drift(("a", "b"), alike(0.0), alike(0.0))
    assert np.isnan(same.score) and not same.features.certain
    assert measure_drift(("a", "b"), alike(0.0), alike(1.0)).score == np.inf


def test_halves_keep_sequences_together_where_they_can():
    sequences = [f"s{number // 3}" for number in range(30)]
    halver = Halver(sequences)
    assert halver.by_sequence and halver.half == 13
    for seed in range(20):
        first, second = halver.draw(13, np.random.default_rng(seed))
        assert not {sequences[row] for row in first} & {sequences[row] for row in second}
        assert len(set(first) | set(second)) == 26
    one_drive = Halver(["d"] * 9)
    first, second = one_drive.draw(one_drive.half, np.random.default_rng(0))
    assert not one_drive.by_sequence and len(set(first) | set(second)) == 8


def test_drives_that_differ_raise_the_zero_level():
    def drives(seed):
        rng = np.random.default_rng(seed)
        moved = {f"s{number}": rng.normal(size=6) * 3 for number in range(8)}
        frames = summaries(seed, 48, sequences=8)
        return [dataclasses.replace(f, features=f.features + moved[f.sequence].astype(np.float32)) for f in frames]

    known, unknown = drives(0), [dataclasses.replace(frame, sequence="") for frame in drives(0)]
    by_drive = measure_drift(("a", "b"), DomainSample(99, known), DomainSample(99, drives(1)))
    by_frame = measure_drift(("a", "b"), DomainSample(99, unknown), DomainSample(99, drives(1)))
    assert by_drive.by_sequence and not by_frame.by_sequence
    assert by_drive.score < 0.7 * by_frame.score  # split frame by frame, other drives of the same place look like drift


def test_too_few_frames_and_other_networks_are_refused():
    with pytest.raises(DataError, match=f"at least {LEAST} frames"):
        measure_drift(("a", "b"), sample(0, LEAST - 1), sample(1))
    with pytest.raises(DataError, match="different networks"):
        measure_drift(("a", "b"), sample(0), sample(1, features=5))
    with pytest.raises(DataError, match="cannot be mixed"):
        DomainSample(50, [*summaries(0, 3), *summaries(1, 3, features=5)])
    with pytest.raises(DataError, match="not finite"):
        dataclasses.replace(summaries(0, 1)[0], entropy=float("nan"))


def test_a_sample_is_bounded_and_merging_parts_gives_the_whole():
    frames = summaries(0, 60)
    whole = DomainSample(20, frames)
    assert len(whole) == 20 and whole.keys == sampled([frame.key for frame in frames], 20)
    merged = DomainSample(20, frames[40:]).merge(DomainSample(20, frames[:45][::-1]))
    assert merged.keys == whole.keys
    for name in ("features", "entropy", "shares", "light"):
        assert np.array_equal(merged.stack(name), whole.stack(name))
    other = sample(1, shift=1)
    assert measure_drift(("a", "b"), merged, other) == measure_drift(("a", "b"), whole, other)
    assert len(DomainSample(0, frames)) == 0


def test_light():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0] = 255
    assert light_of(image) == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.5], abs=1e-6)
    red = np.zeros((4, 5, 3), np.uint8)
    red[..., 0] = 255
    assert light_of(red) == pytest.approx([0.299, 0, 1, 0, 0], abs=1e-6)
    assert light_of(red[..., :1]) == pytest.approx([1, 0, 1, 1, 1], abs=1e-6)  # one band is grey


def test_saved_and_loaded(tmp_path):
    kept = sample(0)
    kept.save(tmp_path / "s.npz")
    found = DomainSample.load(tmp_path / "s.npz")
    assert found.keys == kept.keys and found.sequences == kept.sequences and found.limit == 100
    drift = measure_drift(("a", "b"), found, sample(1))
    assert drift == measure_drift(("a", "b"), kept, sample(1))
    findings = DriftFindings((drift,), ("left <out>",), ("bad frame",))
    findings.save(tmp_path / "drift.json")
    assert DriftFindings.load(tmp_path / "drift.json") == findings
    for name, load in (("s.npz", DomainSample.load), ("drift.json", DriftFindings.load)):
        (tmp_path / name).write_bytes(b"PK{")
        with pytest.raises(ArtifactError, match="evaluation again"):
            load(tmp_path / name)
