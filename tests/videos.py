"""Small videos made with PyAV, with the ways in which real ones are difficult. Loaded by the fixture `videos`."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 48, 64
MS, TICK = Fraction(1, 1000), Fraction(1, 25)
COUNTED = tuple(range(40))
BFRAMES = {
    "g": "12",
    "bf": "3",
    "x264-params": "b-adapt=0:scenecut=0:qp=18:threads=1:sync-lookahead=0",
}  # the same bytes each time
OPEN_GOP = {"g": "12", "bf": "3", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"}
HEVC = {"x265-params": "keyint=12:bframes=4:open-gop=1:log-level=none"}
IRREGULAR_MS = tuple(int(t) for t in np.cumsum(np.random.default_rng(0).integers(10, 90, 40)))


def picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """Return a coloured picture that changes from one to the next; six stripes at its top spell its number."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([20 + 5 * number + 0 * rows, 60 + 2 * (rows % 64), 40 + columns + number], axis=-1)
    image[: height // 2] = (number >> columns[: height // 2] * 6 // width & 1)[..., None] * 255
    return image.astype(np.uint8)


def number_of(image_HWC: NDArray[np.uint8]) -> int:
    """Return which `picture` (0–63) this is, compressed and read again."""
    height, width = image_HWC.shape[:2]
    return sum(1 << bit for bit in range(6) if image_HWC[height // 4, (2 * bit + 1) * width // 12].mean() > 127)


def write(
    path: Path,
    times: Sequence[int] = tuple(range(0, 1600, 40)),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pixels: str = "yuv444p",
    container: dict[str, str] | None = None,
    size_HW: tuple[int, int] = (HEIGHT, WIDTH),
    tick: Fraction = MS,
) -> Path:
    """Write frames 0, 1, 2 … to be shown at these times, in ticks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *size_HW, pixels
        stream.time_base = stream.codec_context.time_base = tick
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, *size_HW), format="rgb24")
            frame.pts, frame.time_base = time, tick
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def write_size_change(path: Path, first: int = 3, then: int = 3) -> Path:
    """Write frames of 48x64 and then of 64x80 into one stream of JPEGs, whose headers know their size."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.time_base = HEIGHT, WIDTH, "yuvj444p", MS
        for number in range(first + then):
            size_HW = (HEIGHT, WIDTH) if number < first else (HEIGHT + 16, WIDTH + 16)
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = *size_HW, "yuvj444p", Fraction(1, 25)
            frame = av.VideoFrame.from_ndarray(picture(number, *size_HW), format="rgb24")
            frame.pts = number
            for packet in [*encoder.encode(frame), *encoder.encode(None)]:
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                file.mux(packet)
    return path


def turn(path: Path, a: float, b: float, c: float, d: float) -> Path:
    """Write a display matrix into an MP4's track header, as phones do: (x, y) is shown at (a x + c y, b x + d y)."""
    content = bytearray(path.read_bytes())
    header = content.index(b"tkhd") + 4
    at = header + (4 + 20 + 16 if content[header] == 0 else 4 + 32 + 16)
    values = [round(value * 65536) for value in (a, b, 0, c, d, 0, 0, 0)]
    content[at : at + 36] = struct.pack(">9i", *values, 1 << 30)
    path.write_bytes(content)
    return path


def trim(path: Path, first: int) -> Path:
    """Let an MP4 begin with frame `first`, as a phone's editor does: by its edit list, nothing is removed."""
    with av.open(str(path)) as file:
        times = sorted(packet.pts for packet in file.demux(video=0) if packet.size)
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 8  # one entry: how long in the movie's time, from where in the stream's, rate
    count, length, begin, rate = struct.unpack_from(">IIiI", content, at)
    struct.pack_into(">IIiI", content, at, count, length, begin + times[first] - times[0], rate)
    path.write_bytes(content)
    return path


def cut(path: Path, ratio: float) -> Path:
    """Leave the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * ratio)])
    return path


def spoil(path: Path, number: int) -> Path:
    """Overwrite the data of the frame with this number in order of time."""
    with av.open(str(path)) as file:
        packets = sorted((p for p in file.demux(video=0) if p.size), key=lambda packet: packet.pts)
        at, size = packets[number].pos, packets[number].size
    content = bytearray(path.read_bytes())
    content[at + size // 4 : at + size] = b"\xff" * (size - size // 4)
    path.write_bytes(content)
    return path
