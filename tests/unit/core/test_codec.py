"""Bad inputs 1–13 and 21 of the reliability page, made on the spot."""

import io
import os
import struct
import threading
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from frugalseg.core.codec import (
    PIXEL_CAP,
    decode_rle,
    encode_rle,
    file_sha256,
    image_size,
    read_image,
    read_label,
    read_label_png,
    write_label_png,
)
from frugalseg.core.errors import ImageFileError

MAGIC = b"\x89PNG\r\n\x1a\n"
RGB = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
IDS = np.random.default_rng(1).integers(0, 12, (64, 48), np.uint8)
READERS = [read_image, read_label]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, data, before=b"", after=b"", interlace=0):
    """A PNG from its parts; all checksums are right."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return MAGIC + header + before + chunk(b"IDAT", data) + after + chunk(b"IEND", b"")


def rows(array):
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in array))


def saved(array, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


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
    refused(put(saved(RGB)), "expected one channel of class ids, got a RGB image.\nIt looks like", [read_label])


def test_written_labels_read_back(tmp_path):
    for durable in (False, True):
        write_label_png(tmp_path / "l.png", IDS, durable)
        assert np.array_equal(read_label_png(tmp_path / "l.png"), IDS)
        assert read_label_png(tmp_path / "l.png").dtype == np.uint8


def test_ids_above_255_are_not_wrapped(tmp_path):
    cv2.imwrite(str(tmp_path / "l.png"), np.full((2, 2), 300, np.uint16))
    with pytest.raises(ImageFileError, match="class ids are 0–255, got 300"):
        read_label_png(tmp_path / "l.png")


# What is refused


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(20_000, 20_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_case_1_and_2_a_header_over_the_cap(put, size):
    refused(put(png(*size, 8, 2, zlib.compress(b""))), "pixels")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_case_3_a_small_file_that_unpacks_to_many_pixels(put):
    packer = zlib.compressobj(9)
    row = b"\0" * 13_001 * 100
    data = b"".join([packer.compress(row) for _ in range(130)]) + packer.flush()
    path = put(png(13_000, 13_000, 8, 0, data))
    assert path.stat().st_size < 200_000
    refused(path, f"13000 x 13000 pixels; expected 1 to {PIXEL_CAP:,}")


def test_the_cap_is_inclusive(put):
    path = put(saved(RGB))
    assert read_image(path, pixel_cap=64 * 48).shape == (64, 48, 3)
    refused(path, "48 x 64 pixels; expected 1 to 3,071", pixel_cap=64 * 48 - 1)


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("depth", [8, 16])
def test_case_4_valid_checksums_but_20_of_64_rows(put, interlace, depth):
    data = rows(np.full((20, 48), 7, ">u2" if depth == 16 else np.uint8))
    refused(put(png(48, 64, depth, 0, data, interlace=interlace)), "of its rows are there")


@pytest.mark.parametrize("filtered", [False, True])
def test_an_interlaced_file_is_accepted_when_whole(put, filtered):
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    ids = IDS[:3, :3] if filtered else IDS  # 3 x 3 leaves some passes empty
    parts = [ids[top::down, left::right] for left, top, right, down in passes]
    data = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    path = put(png(ids.shape[1], ids.shape[0], 8, 0, zlib.compress(data), interlace=1))
    assert np.array_equal(read_label(path), ids)
    short = put(png(ids.shape[1], ids.shape[0], 8, 0, zlib.compress(data[:-1]), interlace=1))
    refused(short, "of its rows are there")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP", "JPEG"])
def test_case_5_a_truncated_file(put, kind):
    whole = saved(RGB, kind)
    for share in (0.02, 0.3, 0.6, 0.95):
        refused(put(whole[: int(len(whole) * share)]), "x.png: ", [read_image])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_case_5_a_truncated_deep_file(tmp_path, put, kind):
    cv2.imwrite(str(tmp_path / f"d.{kind.lower()}"), RGB.astype(np.uint16) * 257)
    whole = (tmp_path / f"d.{kind.lower()}").read_bytes()
    for share in (0.3, 0.6, 0.95):
        refused(put(whole[: int(len(whole) * share)]), "x.png: ", [read_image])


def test_case_6_a_flipped_bit_anywhere_in_a_png(put):
    whole = saved(IDS)
    for place in range(0, len(whole) - 12, 7):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        refused(put(broken), "x.png: ", READERS)


def test_a_cut_end_of_the_compressed_data(put):
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in IDS))
    refused(put(png(48, 64, 8, 0, packed[:-4])), "damaged", READERS)


@pytest.mark.parametrize("size", [(0, 4), (4, 0)])
def test_case_7_zero_width(put, size):
    refused(put(png(*size, 8, 0, zlib.compress(b""))), "x.png: ")


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;",
        b"",
        b"\0" * 1000,
        MAGIC,
        MAGIC + b"\xff" * 100,
        MAGIC + struct.pack(">I4s", 2**31 - 1, b"IDAT"),
    ],
    ids=["8 EPS", "9 SVG", "GIF", "empty", "zeros", "magic", "garbage", "long chunk"],
)
def test_cases_8_and_9_other_formats(put, content):
    refused(put(content), "no image of a format we accept|damaged|too early")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_case_10_several_pictures(put, kind):
    second = [Image.fromarray(255 - RGB)]
    refused(put(saved(RGB, kind, save_all=True, append_images=second)), "holds 2 pictures; expected one")


def test_case_11_what_cannot_be_converted_is_refused(put):
    refused(put(saved(np.ones((4, 4), np.float32), "TIFF")), "float32 pixels; expected 8 or 16 bits", [read_image])
    refused(put(saved(np.ones((4, 4), np.int32), "TIFF")), "8 or 16 bits|cannot be decoded", READERS)


def test_case_13_texts_do_not_reach_the_pixels(put):
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "<script>" * 1_250_000)
    assert np.array_equal(read_image(put(saved(RGB, pnginfo=text))), RGB)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_case_14_a_bomb_in_a_text_or_colour_profile(put, kind):
    packed = zlib.compress(b"\0" * 30_000_000, 1)
    data = b"a\0\1\0\0\0" + packed if kind == b"iTXt" else b"a\0\0" + packed
    refused(put(png(48, 64, 8, 0, rows(IDS), chunk(kind, data))), "x.png: the file is damaged", READERS)


def test_data_after_the_last_row_is_bounded(put):
    refused(put(png(48, 64, 8, 0, zlib.compress(b"\0" * 30_000_000, 1))), "more data than", READERS)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_no_traceback(put):
    for exif in (b"II*\0\xff\xff\xff\xff", b"junk", b"MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"):
        path = put(png(48, 64, 8, 0, rows(IDS), chunk(b"eXIf", exif)))
        try:
            assert image_size(path) == read_image(path).shape[:2] == read_label(path).shape
        except ImageFileError as error:
            assert "x.png" in str(error)


def test_case_21_pipes_folders_devices_and_links(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "lost.png").symlink_to("nowhere.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    answers = {}

    def ask():
        for name in ("pipe", "folder", "zero", "loop", "lost", "none", "nul\0"):
            for reader in (image_size, read_image, read_label, file_sha256):
                try:
                    reader(tmp_path / f"{name}.png")
                except ImageFileError as error:
                    answers[name, reader.__name__] = str(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "a pipe or device blocks"
    assert len(answers) == 7 * 4
    assert all("not a regular file" in answers[name, "read_image"] for name in ("pipe", "folder", "zero"))


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


# Run lengths


@given(st.integers(0, 7), st.integers(0, 7), st.data())
def test_every_mask_reads_back_as_itself(height, width, data):
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = np.array(bits, bool).reshape(height, width)
    counts = encode_rle(mask)
    assert np.array_equal(decode_rle(counts, (height, width)), mask)
    assert sum(counts) == mask.size
    assert all(type(count) is int for count in counts)
    assert all(counts[1:]) or mask.size == 0


def test_run_lengths_by_hand():
    assert encode_rle(np.array([[1, 1, 0], [0, 1, 0]], bool)) == [0, 2, 2, 1, 1]


@pytest.mark.parametrize("counts", [[5], [7], [], [-1, 7], [3.0, 3], ["6"], [True, 5], [10**30], [2**63, -(2**63) + 6]])
def test_run_lengths_that_do_not_fit_are_refused(counts):
    with pytest.raises(ImageFileError, match="run lengths"):
        decode_rle(counts, (2, 3))
