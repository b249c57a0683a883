"""Case 19 of the reliability page: a frame or mask that is no longer what was listed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.codec import image_facts
from frugalseg.core.errors import ImageFileError
from frugalseg.core.records import Frame
from frugalseg.data.batches import ImageCache
from frugalseg.data.masks import askable


@pytest.fixture
def frame(tmp_path: Path) -> Frame:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((6, 8, 3), 50, np.uint8)).save(path)
    facts = image_facts(path)
    return Frame("a", str(path), None, "", 0, "", facts.width, facts.height, facts.sha256)


def test_a_frame_that_changed_since_it_was_listed_is_refused(frame: Frame) -> None:
    assert (ImageCache().read(frame) == 50).all()
    Image.fromarray(np.full((6, 8, 3), 51, np.uint8)).save(frame.image)
    with pytest.raises(ImageFileError, match="has changed since it was listed") as caught:
        ImageCache().read(frame)
    assert frame.image in str(caught.value)


def test_a_frame_of_a_manifest_without_hashes_keeps_at_least_its_size(frame: Frame) -> None:
    own = replace(frame, sha256="")
    assert ImageCache().read(own).shape == (6, 8, 3)
    Image.fromarray(np.full((8, 6, 3), 50, np.uint8)).save(frame.image)
    with pytest.raises(ImageFileError, match=r"8x6 \(height x width\), but the manifest says 6x8"):
        ImageCache().read(own)


def test_a_frame_that_is_gone_is_refused_by_name(frame: Frame) -> None:
    Path(frame.image).unlink()
    with pytest.raises(ImageFileError, match="a.png: cannot be read"):
        ImageCache().read(frame)


def test_a_mask_that_is_written_again_is_read_again(frame: Frame, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    masked = replace(frame, mask=str(mask))
    for value in (0, 255, 0):
        mask.unlink(missing_ok=True)
        Image.fromarray(np.full((6, 8), value, np.uint8)).save(mask)
        usable_HW = askable(masked)
        assert usable_HW is not None and (usable_HW == bool(value)).all()
    assert askable(masked) is usable_HW  # not read again while it stays
    mask.unlink()
    with pytest.raises(ImageFileError, match="mask.png: cannot be read"):
        askable(masked)
