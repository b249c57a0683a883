"""Bad inputs 1-14 and 18-21 of the reliability page at the codec: refused by name with a reason, in bounded room."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from frugalseg.core.codec import ImageFacts, file_sha256, image_facts, image_size, read_image, read_label
from frugalseg.core.errors import ImageFileError
from frugalseg.core.jpeg import libjpeg_warning

SPEC = importlib.util.spec_from_file_location("bad_files", Path(__file__).parents[2] / "bad_files.py")
BAD = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BAD)
RGB, IDS = BAD.RGB, BAD.IDS
REFUSED = [pytest.param(bad, id=bad.case) for bad in BAD.BAD_FILES if bad.refused is not None]
READERS = (image_size, read_image, read_label)


@pytest.fixture
def put(tmp_path):
    def write(content, name="x.png"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def refused(path, message, readers=READERS, **options):
    for reader in readers:
        with pytest.raises(ImageFileError, match=message) as caught:
            reader(path, **options)
        assert str(path) in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("bad", REFUSED)
def test_case(put, bad):
    path = put(bad.content(), f"x{bad.suffix}")
    refused(path, bad.refused, [image_facts, read_image])  # so that what has been listed can be decoded
    with pytest.raises(ImageFileError):
        read_label(path)


def test_the_cap_is_inclusive(put):
    for kind in ("PNG", "JPEG", "TIFF"):
        path = put(BAD.saved(RGB, kind))
        assert read_image(path, pixel_cap=64 * 48).shape == (64, 48, 3)
        refused(path, "48 x 64 pixels; expected 1 to 3,071", [image_size, read_image], pixel_cap=64 * 48 - 1)


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("depth", [8, 16])
def test_case_4_in_every_layout(put, interlace, depth):
    data = BAD.rows(np.full((20, 48), 7, ">u2" if depth == 16 else np.uint8))
    refused(put(BAD.png(48, 64, depth, 0, data, interlace=interlace)), "of its rows are there")


@pytest.mark.parametrize("filtered", [False, True])
def test_an_interlaced_file_is_accepted_when_whole(put, filtered):
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    ids = IDS[:3, :3] if filtered else IDS  # 3 x 3 leaves some passes empty
    parts = [ids[top::down, left::right] for left, top, right, down in passes]
    data = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    path = put(BAD.png(ids.shape[1], ids.shape[0], 8, 0, zlib.compress(data), interlace=1))
    assert np.array_equal(read_label(path), ids)
    short = put(BAD.png(ids.shape[1], ids.shape[0], 8, 0, zlib.compress(data[:-1]), interlace=1))
    refused(short, "of its rows are there")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP", "JPEG"])
def test_case_5_truncated_anywhere(put, kind):
    whole = BAD.saved(RGB, kind)
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
    whole = BAD.saved(IDS)
    for place in range(0, len(whole) - 12, 7):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        refused(put(broken), "x.png: ", [read_image, read_label])


def test_a_cut_end_of_the_compressed_data(put):
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in IDS))
    refused(put(BAD.png(48, 64, 8, 0, packed[:-4])), "damaged", [read_image, read_label])


def test_a_png_has_one_header(put):
    whole = BAD.saved(IDS)
    refused(put(whole[:33] + whole[8:33] + whole[33:]), "does not begin with one header")
    refused(put(whole[:8] + BAD.chunk(b"gAMA", b"\0\0\0\1") + whole[8:]), "does not begin with one header")


@pytest.mark.parametrize("content", [b"\0" * 1000, BAD.MAGIC, BAD.MAGIC + b"\xff" * 100, b"\xff\xd8\xff", b"II*\0"])
def test_only_the_beginning_of_an_image(put, content):
    refused(put(content), "no image of a format we accept|damaged|too early")


# JPEG: no checksum, so what can be told is told


@pytest.mark.parametrize("quality", [5, 75, 100])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_blocks": 3}, {"progressive": True}])
def test_a_whole_jpeg_is_accepted_whatever_its_size_and_layout(put, quality, options):
    rng = np.random.default_rng(quality)
    for height in (1, 7, 8, 9, 16, 17, 33, 65):
        for array in (rng.integers(0, 256, (height, 40, 3), np.uint8), np.full((height, 300), 9, np.uint8)):
            for subsampling in (0, 1, 2):
                content = BAD.saved(array, "JPEG", quality=quality, subsampling=subsampling, **options)
                path = put(content, "x.jpg")
                with Image.open(path) as plain:
                    assert np.array_equal(read_image(path, strict=True), np.array(plain.convert("RGB")))


def test_what_stands_behind_the_end_of_a_jpeg_or_a_few_bytes_before_it_is_no_damage(put):
    whole = BAD.jpeg()
    plain = read_image(put(whole, "x.jpg"))
    for content in (whole + b"\0" * 5000, whole[:-2] + b"\0" * 5 + whole[-2:], whole[:-2] + b"\xff" * 3 + whole[-2:]):
        assert np.array_equal(read_image(put(content, "x.jpg"), strict=True), plain)


@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"progressive": True}])
def test_a_worker_also_refuses_what_libjpeg_warns_of(put, options):
    """Also names what is not found without it: damage between restart markers, and in progressive pictures."""
    whole = BAD.jpeg(**options)
    start = whole.find(b"\xff\xd0" if "restart_marker_rows" in options else b"\xff\xda") + 400
    noise = np.random.default_rng(3).integers(0, 255, 1500, np.uint8).tobytes()  # without 255: no marker among it
    for damage in (b"\0" * 1500, noise):
        path = put(whole[:start] + damage + whole[start + 1500 :], "x.jpg")
        refused(path, "the file is damaged .*(truncated|left over|Corrupt JPEG data)", [read_image], strict=True)
    assert libjpeg_warning(whole) == ""


def test_arithmetic_coding_is_refused_for_what_it_is(put):
    whole = BAD.jpeg()
    place = whole.find(b"\xff\xc0")
    refused(put(whole[:place] + b"\xff\xc9" + whole[place + 2 :]), "arithmetic coding is not supported", [read_image])


def test_a_label_in_a_lossy_tiff_has_lost_its_ids(put):
    path = put(BAD.saved(IDS, "TIFF", compression="jpeg"))
    assert read_image(path).shape == (64, 48, 3)
    refused(path, "a label in TIFF has lost its ids", [read_label])


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_whole_tiff_is_accepted(put, compression, mode):
    image = Image.fromarray(IDS.astype(np.uint16)) if mode == "I;16" else Image.fromarray(IDS).convert(mode)
    path = put(b"", "x.tif")
    image.save(path, "TIFF", **({"compression": compression} if compression else {}))
    assert read_image(path).shape == (64, 48, 3)


# What is accepted is inert


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.case) for bad in BAD.BAD_FILES if bad.refused is None])
def test_case_13_texts_do_not_reach_the_pixels(put, bad):
    path = put(bad.content(), f"x{bad.suffix}")
    image = read_image(path)
    expected = RGB if bad.suffix == ".png" else BAD.smooth(64, 48)
    assert np.abs(image.astype(int) - expected).max() < 20


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_no_traceback(put):
    for exif in (b"II*\0\xff\xff\xff\xff", b"junk", b"MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"):
        path = put(BAD.png(48, 64, 8, 0, BAD.rows(IDS), BAD.chunk(b"eXIf", exif)))
        try:
            assert image_size(path) == read_image(path).shape[:2] == read_label(path).shape
        except ImageFileError as error:
            assert "x.png" in str(error)


def test_case_15_a_label_in_colours_is_refused_with_its_cause(put):
    message = "expected one channel of class ids, got a RGB image.\nA label in colours is read with label_kind=colors"
    refused(put(BAD.saved(RGB)), message, [read_label])


@pytest.mark.parametrize("read", [read_image, read_label])
def test_case_19_a_file_that_is_not_what_was_listed(put, read):
    path = put(BAD.saved(IDS))
    facts = image_facts(path)
    assert facts == ImageFacts(64, 48, file_sha256(path))
    assert read(path, sha256=facts.sha256).shape[:2] == (64, 48)
    state = path.stat()
    put(BAD.saved(IDS[::-1].copy()))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # not the clock but the content tells
    refused(path, "has changed since it was listed. Run `frugalseg init`", [read], sha256=facts.sha256)


def test_case_19_what_is_hashed_is_what_is_decoded(put, monkeypatch):
    """A file that changes right after it has been read changes nothing: there is no second look at it."""
    path = put(BAD.saved(IDS.astype(np.uint16)))  # 16 bits are decoded by another library
    first = read_label(path)
    sha256 = file_sha256(path)
    opened = Image.open

    def overwrite(*arguments, **options):
        path.write_bytes(BAD.saved(IDS.astype(np.uint16) + 1))
        return opened(*arguments, **options)

    monkeypatch.setattr(Image, "open", overwrite)
    assert np.array_equal(read_label(path, sha256=sha256), first)


def test_case_21_pipes_folders_devices_and_links(tmp_path):
    answers = {}
    BAD.put_no_files(tmp_path)
    names = BAD.NO_FILES | {"none.png": "cannot be", "nul\0.png": "cannot be"}

    def ask():
        for name in names:
            for reader in (*READERS, file_sha256):
                try:
                    reader(tmp_path / name)
                except ImageFileError as error:
                    answers[name, reader.__name__] = str(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "a pipe or device blocks"
    assert len(answers) == len(names) * 4
    assert all(message in answers[name, reader.__name__] for name, message in names.items() for reader in READERS)


def test_a_file_over_the_limit_of_bytes_is_not_read(tmp_path):
    with open(tmp_path / "x.png", "wb") as file:
        file.truncate(10**12)  # a hole: no room on the disk
    refused(tmp_path / "x.png", r"1000000 MB; the limit is 512 MB", (*READERS, file_sha256))


# Bounds

MEASURE = """
import json, resource, sys, time, warnings
from pathlib import Path
from frugalseg.core.codec import read_image
warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
found = {}
for path in sorted(Path(sys.argv[2]).iterdir()):
    begin = time.process_time()
    try:
        said = str(read_image(path).shape)
    except Exception as error:
        said = type(error).__name__
    found[path.name] = [said, time.process_time() - begin]
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({"peak": int(status["VmHWM"].split()[0]) * 1024, "files": found}))
"""


def measure(folder, address_space):
    """Read every file of a folder in one process; return its largest resident size and each file's outcome."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEASURE, str(address_space), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="the largest resident size is read from /proc")


@needs_proc
def test_no_bad_file_takes_much_memory_or_time(tmp_path):
    for number, bad in enumerate(BAD.BAD_FILES):
        (tmp_path / f"{number:02} {bad.case}{bad.suffix}").write_bytes(bad.content())
    found = measure(tmp_path, 4 << 30)
    assert {said for said, _ in found["files"].values()} == {"ImageFileError", "(64, 48, 3)"}
    assert max(seconds for _, seconds in found["files"].values()) < 2
    assert found["peak"] < 250e6


@needs_proc
@pytest.mark.slow
def test_the_worst_accepted_files_stay_in_bounds(tmp_path):
    """64 million pixels: of 16 bits in the largest file allowed, in a JPEG of the most passes allowed, in 40 bytes."""
    height, width = 7_990, 8_000
    tags = {256: width, 257: height, 258: (16,) * 4, 259: 1, 262: 2, 274: 6, 277: 4, 338: 2, 278: height}
    start, length = 4096, height * width * 8
    (tmp_path / "a.tif").write_bytes(BAD.tiff({**tags, 273: start, 279: length}, b""))
    os.truncate(tmp_path / "a.tif", start + length)  # half a gigabyte of zeros that the disk need not hold
    whole = BAD.saved(np.full((8_000, 8_000, 3), 99, np.uint8), "JPEG", progressive=True, subsampling=0)
    scans = whole.count(b"\xff\xda")
    (tmp_path / "b.jpg").write_bytes(whole[:-2] + whole[whole.rfind(b"\xff\xda") : -2] * (100 - scans) + whole[-2:])
    Image.new("RGB", (8_000, 8_000)).save(tmp_path / "c.webp", lossless=True, quality=0, method=0)
    found = measure(tmp_path, 8 << 30)
    assert [said for said, _ in found["files"].values()] == ["(8000, 7990, 3)", "(8000, 8000, 3)", "(8000, 8000, 3)"]
    assert found["peak"] < 1.8e9
    assert max(seconds for _, seconds in found["files"].values()) < 30
