import io

import cv2
import numpy as np
from PIL import Image

from frugalseg.core.chance import generator
from frugalseg.data.duplicates import HASH_BITS, THUMB_RATIO, UNIFORM, Fingerprints, across, groups
from frugalseg.data.facts import _look


def picture(seed, height=60, width=80):
    """Random fields of three scales with noise: structure of all sizes, as photographs have; no two look alike."""
    rng = generator(0, "picture", seed)
    image = np.full((height, width, 3), 110.0)
    for cells, strength in ((4, 45), (8, 30), (16, 20)):
        field = rng.normal(0, strength, (cells, cells, 3))
        image += cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)


def fingerprints(pictures):
    looks = [_look(image) for image in pictures]
    return Fingerprints.of([look[4] for look in looks], [look[5] for look in looks])


def saved_again(image):
    """As JPEG, smaller and a little darker: what the same frame looks like in another export."""
    buffer = io.BytesIO()
    small = Image.fromarray((image * 0.96).astype(np.uint8)).resize((40, 30))
    small.save(buffer, "JPEG", quality=70)
    return np.array(Image.open(buffer))


def naive_groups(frames):
    """The definition, pair by pair."""
    free, found = [bool(thumb.std() > UNIFORM) for thumb in frames.thumbs], []
    for first in range(len(frames)):
        if not free[first]:
            continue
        free[first], members = False, [first]
        for other in range(len(frames)):
            bits = int(frames.hashes[first] ^ frames.hashes[other]).bit_count()
            one, two = frames.thumbs[first].astype(float), frames.thumbs[other].astype(float)
            one, two = one - one.mean(), two - two.mean()
            if free[other] and bits <= HASH_BITS and np.abs(one - two).mean() <= THUMB_RATIO * one.std():
                free[other] = False
                members.append(other)
        if len(members) > 1:
            found.append(tuple(members))
    return found


def test_frames_saved_again_are_found_and_others_are_not():
    originals = [picture(seed) for seed in range(30)]
    frames = fingerprints([*originals, saved_again(originals[4]), saved_again(originals[17]), originals[4]])
    assert groups(frames) == [(4, 30, 32), (17, 31)]


def test_groups_are_what_pair_by_pair_comparison_gives():
    rng = generator(0, "chain")
    walk = [picture(1).astype(float)]
    for _ in range(25):  # a slow drift, as a film has it
        walk.append(walk[-1] + cv2.resize(rng.normal(0, 9, (5, 6, 3)), (80, 60), interpolation=cv2.INTER_CUBIC))
    frames = fingerprints([step.clip(0, 255).astype(np.uint8) for step in walk])
    found = groups(frames)
    assert found == naive_groups(frames)
    assert len(found) > 1, "a drift is cut into several groups"


def test_uniform_looking_frames_do_not_all_match():
    rng = generator(0, "fog")
    fog = [np.clip(150 + rng.normal(0, 2, (60, 80, 3)), 0, 255).astype(np.uint8) for _ in range(10)]
    haze = []
    for seed in range(10):  # the same grey with a faint scene in it
        haze.append((150 + 0.15 * (picture(seed).astype(float) - 110)).astype(np.uint8))
    assert groups(fingerprints([*fog, *haze])) == []


def test_across_two_sets_the_first_look_alike_is_named():
    train = [picture(seed) for seed in range(12)]
    test = [picture(100), saved_again(train[7]), picture(101), train[2]]
    assert list(across(fingerprints(test), fingerprints(train))) == [(1, 7), (3, 2)]
    assert list(across(fingerprints([]), fingerprints(train))) == []
    assert groups(fingerprints([])) == []
