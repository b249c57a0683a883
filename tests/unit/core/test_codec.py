"""What the codec accepts and what it gives back; what it refuses stands in test_codec_bad_files.py."""

import importlib.util
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from frugalseg.core.codec import (
    image_size,
    read_image,
    read_label,
    read_label_png,
    write_label_png,
)
from frugalseg.core.errors import ImageFileError

SPEC = importlib.util.spec_from_file_location("bad_files", Path(__file__).parents[2] / "bad_files.py")
BAD = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BAD)
RGB, IDS = BAD.RGB, BAD.IDS
chunk, png, rows, saved = BAD.chunk, BAD.png, BAD.rows, BAD.saved
READERS = [read_image, read_label]


@pytest.fixture
def put(tmp_path):
    def write(content, name="x.png"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def refused(path, message, readers=(image_size, read_image, read_label), **options):
    for reader in readers:
        with pytest.raises(ImageFileError, match=message) as caught:
            reader(path, **options)
        assert str(path) in str(caught.value)


# What is accepted


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("BMP", {}), ("WEBP", {"lossless": True})],
)
def test_lossless_formats_by_content_not_by_name(put, kind, options):
    path = put(saved(RGB, kind, **options), "x.jpg")
    assert np.array_equal(read_image(path), RGB)
    assert image_size(path) == (64, 48)


def test_jpeg(put):
    smooth = np.dstack([np.tile(np.arange(0, 240, 5, dtype=np.uint8), (64, 1))] * 3)
    path = put(saved(smooth, "JPEG", quality=95), "x.png")
    assert np.abs(read_image(path).astype(int) - smooth).max() < 5
    with pytest.raises(ImageFileError, match="a label in JPEG has lost its ids"):
        read_label(path)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_stay_sixteen_bits(tmp_path, kind):
    deep = np.random.default_rng(0).integers(0, 65_536, (8, 6, 3), np.uint16)
    for name, array in (("rgb", deep), ("grey", deep[..., 0]), ("alpha", np.dstack([deep, deep[..., 0]]))):
        path = tmp_path / f"{name}.{kind.lower()}"
        bgr = array if array.ndim == 2 else array[..., [2, 1, 0, 3][: array.shape[2]]]
        assert cv2.imwrite(str(path), bgr)
        image = read_image(path)
        assert image.dtype == np.uint16
        assert np.array_equal(image, np.repeat(array[..., None], 3, 2) if array.ndim == 2 else array[..., :3])


def test_sixteen_bit_grey_with_alpha(put):
    pair = np.random.default_rng(0).integers(0, 65_536, (8, 6, 2)).astype(">u2")
    assert np.array_equal(read_image(put(png(6, 8, 16, 4, rows(pair)))), np.repeat(pair[..., :1], 3, 2))


def test_palette_cmyk_alpha_and_grey_become_rgb(put):
    palette = Image.fromarray(IDS)
    palette.putpalette([value for n in range(256) for value in (n, 255 - n, 7)])
    path = put(b"", "p.png")
    palette.save(path)
    assert read_image(path)[3, 4].tolist() == [IDS[3, 4], 255 - IDS[3, 4], 7]
    assert np.array_equal(read_image(put(saved(IDS))), np.repeat(IDS[..., None], 3, 2))
    transparent = np.dstack([RGB, np.zeros((64, 48), np.uint8)])
    assert np.array_equal(read_image(put(saved(transparent))), RGB)
    cmyk = Image.new("CMYK", (2, 1), (0, 255, 255, 0))
    cmyk.save(put(b"", "c.tif"), "TIFF")
    assert read_image(path.with_name("c.tif"))[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "deep PNG", "late PNG", "deep TIFF"])
def test_pixels_labels_and_size_agree_on_the_orientation(put, orientation, kind):
    image = Image.fromarray(IDS)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if "TIFF" in kind:
        content = saved(IDS.astype(np.uint16) if "deep" in kind else IDS, "TIFF", exif=exif)
    else:
        deep = kind == "deep PNG"
        tag = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
        data = rows(IDS.astype(">u2") if deep else IDS)
        late = {"after": tag} if kind == "late PNG" else {"before": tag}
        content = png(48, 64, 16 if deep else 8, 0, data, **late)
    path = put(content)
    turns = [None, None, *(Image.Transpose(n) for n in (0, 3, 1, 5, 4, 6, 2))]  # EXIF 2.3, tag 0x0112
    turn = turns[orientation]
    expected = np.array(image if turn is None else image.transpose(turn))
    assert image_size(path) == expected.shape
    assert np.array_equal(read_label(path), expected)
    assert np.array_equal(read_image(path)[..., 0], expected)


def test_a_label_is_grey_values_or_palette_indices(put):
    path = put(saved(IDS))
    assert np.array_equal(read_label(path), IDS)
    palette = Image.fromarray(IDS)
    palette.putpalette([255 - n // 3 for n in range(768)])
    palette.save(path)
    assert np.array_equal(read_label(path), IDS)
    cv2.imwrite(str(path), IDS.astype(np.uint16) * 1000)
    assert np.array_equal(read_label(path), IDS.astype(int) * 1000)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("colour", [0, 3])
def test_ids_of_few_bits_are_not_stretched(put, depth, colour):
    ids = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2**depth
    bits = np.unpackbits(ids[..., None], axis=2)[..., 8 - depth :].reshape(8, -1)
    palette = chunk(b"PLTE", bytes(range(3 * 2**depth))) if colour == 3 else b""
    path = put(png(8, 8, depth, colour, rows(np.packbits(bits, axis=1)), palette))
    assert np.array_equal(read_label(path), ids)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_ids_of_a_tiff_are_what_is_stored(put, depth, white_is_zero):
    ids = np.arange(64, dtype=np.uint8).reshape(8, 8) & (2**depth - 1)
    bits = np.unpackbits(ids[..., None], axis=2)[..., 8 - depth :].reshape(8, -1)
    data = np.packbits(bits, axis=1).tobytes()
    tags = {256: 8, 257: 8, 258: depth, 259: 1, 262: int(not white_is_zero), 273: 8, 277: 1, 278: 8, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(tags))
    assert np.array_equal(read_label(put(head + entries + struct.pack("<I", 0))), ids)


def test_a_label_in_colours_is_refused_with_its_cause(put):
    refused(
        put(saved(RGB)),
        "expected one channel of class ids, got a RGB image.\nA label in colours is read with label_kind=colors",
        [read_label],
    )


def test_written_labels_read_back(tmp_path):
    write_label_png(tmp_path / "l.png", IDS)
    assert np.array_equal(read_label_png(tmp_path / "l.png"), IDS)
    assert read_label_png(tmp_path / "l.png").dtype == np.uint8


def test_ids_above_255_are_not_wrapped(tmp_path):
    cv2.imwrite(str(tmp_path / "l.png"), np.full((2, 2), 300, np.uint16))
    with pytest.raises(ImageFileError, match="class ids are 0–255, got 300"):
        read_label_png(tmp_path / "l.png")


# Damage of every kind: test_codec_bad_files.py


def test_another_library_cannot_switch_truncated_files_on(put, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = saved(RGB, "JPEG")
    refused(put(whole[: len(whole) // 2]), "damaged", [read_image])


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["PNG", "TIFF", "BMP", "WEBP", "JPEG"]),
    cuts=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6),
)
@pytest.mark.filterwarnings("ignore")
def test_no_damage_gives_another_error_or_another_size(tmp_path_factory, kind, cuts):
    content = bytearray(saved(RGB[:16, :12], kind))
    for place, value in cuts:
        content[place % min(len(content), 300)] = value
    path = tmp_path_factory.getbasetemp() / "fuzzed.png"
    path.write_bytes(content)
    for reader in READERS:
        try:
            assert reader(path).shape[:2] == image_size(path)
        except ImageFileError as error:
            assert str(path) in str(error)
