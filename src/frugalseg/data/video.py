"""What is in a video file, frame by frame, and one way through it that gives nothing but whole frames.

A frame's identity is its presentation time (PTS) in ticks of its stream. It is unique, it does not depend on the order
in which frames are stored (B-frames), on the frame rate (which may vary) or on where reading began. Its number is its
place among all presentation times in the file.

Files are not trusted: the container is told from its first bytes, few codecs are opened, and FFmpeg gets an open file,
never a name, so that it can open nothing else. One damaged frame costs itself and what cannot be decoded without it, up
to the next keyframe; nothing is concealed (FFmpeg would paint over the hole).
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from frugalseg.core.errors import ImageFileError
from frugalseg.core.limits import check_size
from frugalseg.data.upright import Upright

CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mjpeg", "ffv1")
MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
TAIL_S = 0.5  # a file may end so much before what it promises
RANGES = 5  # stretches of lost frames that a message names


@dataclass(frozen=True)
class Shot:
    """One frame of a video: its presentation time in ticks, its number, seconds after the first, its size upright."""

    pts: int
    number: int
    time_s: float
    height: int
    width: int


@dataclass(frozen=True)
class Contents:
    """The frames of a video that can be decoded, in order of time, and a sentence for whatever is missing."""

    shots: tuple[Shot, ...]
    problems: tuple[str, ...]


def scan(path: Path, check: Callable[[], object] = lambda: None) -> Contents:
    """Decode a video once from beginning to end; one frame is in memory at a time. `check`, asked at each, may raise.

    Raises:
        ImageFileError: no video that we read, or one whose frames have no times of their own.
    """
    with opened(path) as (container, stream):
        way, sizes, upright = Way(path, container, stream), dict[int, tuple[int, int]](), None
        for pts, frame in way.frames():
            check()
            check_size(path, frame.width, frame.height)
            upright = upright or Upright.of(path, frame)
            sizes[pts] = upright.size_HW(frame.height, frame.width)
        if not (times := sorted(way.met)):
            raise ImageFileError(f"{path}: there is no frame in this video. Copy it again, or leave it out.")
        if strangers := sizes.keys() - way.met:
            raise ImageFileError(f"{path}: {len(strangers)} frames have times that no packet has. {REMUX}")
        seconds = [float((pts - times[0]) * way.tick_s) for pts in times]
        shots = [Shot(t, n, s, *sizes[t]) for n, (t, s) in enumerate(zip(times, seconds, strict=True)) if t in sizes]
        lost = [number for number, pts in enumerate(times) if pts not in sizes]
        return Contents(tuple(shots), (*_lost(lost, seconds), *_cut_short(container, stream, way)))


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video for reading; whatever FFmpeg finds wrong with it becomes one error.

    Raises:
        ImageFileError: no regular file, no container or codec that we read, or damaged at its start.
    """
    try:
        with _regular(path) as file:
            kind = _container(path, file)
            with av.open(file, "r", format=kind, metadata_errors="replace") as container:
                yield container, _stream(path, container)
    except av.FFmpegError as error:
        raise ImageFileError(f"{path}: {DAMAGED} ({getattr(error, 'strerror', None) or error}).") from error
    except OSError as error:
        raise ImageFileError(f"{path}: cannot be read: {error.strerror}.") from error


class Way:
    """Packets of a stream from where its container stands, decoded to whole frames in order of time.

    It begins at the first keyframe. `met` are the times of the packets passed that are shown, `end` is where the last
    of them ends, `trimmed` counts those that the file says not to show.
    """

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        assert stream.time_base is not None  # every demuxer sets it
        self.tick_s: Fraction = stream.time_base
        self.met: set[int] = set()
        self.end = self.trimmed = 0
        self._lost: set[int] = set()
        self._order: dict[int, int] = {}  # of each packet decoded: its place in the order of decoding
        self._inside: set[int] = set()  # times of packets whose frames have not come out yet
        self._held: list[tuple[int, VideoFrame]] = []  # they lean on a frame that is still inside
        self._path, self._container, self._stream = path, container, stream
        self._start: int | None = None  # time of the keyframe that decoding began at; None: waiting for one

    def frames(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yield each frame that is whole, with its presentation time in ticks.

        Raises:
            ImageFileError: packets without presentation times, or two with the same.
        """
        for packet in self._packets():
            if packet.size == 0 and packet.pts is None:  # the end: what the decoder still holds
                yield from self._whole(self._drained())
                yield from self._released()
                return
            if packet.size == 0:  # the frame before is shown on
                continue
            pts = self._meet(packet)
            if self._start is None and packet.is_keyframe and not packet.is_corrupt:
                self._start = pts
            if self._start is None:
                self._lost.add(pts)
                continue
            self._order[pts] = len(self._order)
            self._inside.add(pts)
            frames = self._decoded(packet)
            if frames is not None:
                yield from self._whole(frames)
            else:  # of what came before, the decoder may still hold something
                self._lost.add(pts)
                yield from self._whole(self._drained())
                yield from self._released()
                self._start = None
                self._stream.codec_context.flush_buffers()

    def _packets(self) -> Iterator["Packet[Any]"]:
        """Yield the stream's packets; damage after which no packet is found is its end."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:
                yield Packet()
                return
            yield packet

    def _meet(self, packet: "Packet[Any]") -> int:
        if packet.pts is None:
            raise ImageFileError(f"{self._path}: it does not say when its frames are shown. {REMUX}")
        if packet.pts in self.met:
            raise ImageFileError(f"{self._path}: two frames are shown at the same time ({packet.pts} ticks). {REMUX}")
        if packet.is_discard:  # needed to decode others
            self.trimmed += 1
        else:
            self.met.add(packet.pts)
            self.end = max(self.end, packet.pts + (packet.duration or 0))
        return packet.pts

    def _whole(self, frames: list[VideoFrame]) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the frames that lean on nothing that is lost; after a damaged one wait for the next keyframe."""
        for frame in frames:
            if frame.pts is None:
                raise ImageFileError(f"{self._path}: a frame does not say when it is shown. {REMUX}")
            early = self._start is None or frame.pts < self._start  # before its keyframe: of what came before that
            if frame.is_corrupt:
                self._start = None
            self._inside = {pts for pts in self._inside if pts > frame.pts}  # what should have come before never will
            if frame.is_corrupt:
                self._forget_since(frame.pts)
            if early or frame.is_corrupt:
                self._lost.add(frame.pts)
            elif frame.pts not in self._lost:
                self._held.append((frame.pts, frame))
            yield from self._sure()

    def _forget_since(self, damaged: int) -> None:
        """Give up the held frames that were decoded after a damaged one, though they are shown before it."""
        after = {pts for pts, _ in self._held if self._order.get(pts, 0) > self._order.get(damaged, 0)}
        self._lost |= after
        self._held = [(pts, frame) for pts, frame in self._held if pts not in after]

    def _sure(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the held frames for which everything decoded before them has come out, whole."""
        first = min((self._order[pts] for pts in self._inside), default=len(self._order))
        while self._held and self._order.get(self._held[0][0], 0) < first:
            yield self._held.pop(0)

    def _released(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yield all held frames, when nothing more comes out."""
        self._inside.clear()
        yield from self._sure()

    def _decoded(self, packet: "Packet[Any]") -> list[VideoFrame] | None:
        try:
            return None if packet.is_corrupt else list(self._stream.codec_context.decode(packet))  # corrupt: cut off
        except av.FFmpegError:
            return None

    def _drained(self) -> list[VideoFrame]:
        try:
            return list(self._stream.codec_context.decode(None))
        except av.FFmpegError:
            return []


DAMAGED = (
    "the video is damaged or was cut off and cannot be opened. Copy it again; a recording that was never closed may be "
    "mended by its recorder's repair tool"
)
REMUX = "Write it anew as MP4: ffmpeg -i FILE -c:v libx264 -crf 12 -fps_mode passthrough NEW.mp4"


def _regular(path: Path) -> IO[bytes]:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ImageFileError(f"{path}: not a regular file (a folder, pipe or device).")
    return open(handle, "rb")


def _container(path: Path, file: IO[bytes]) -> str:
    """Return FFmpeg's name of a container by its first bytes: playlists and pictures are none that we open."""
    head = file.read(1024)
    file.seek(0)
    if head[4:8] in MOV_BOXES:
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"\x00\x00\x01\xba"):
        return "mpeg"
    if any(head[at : at + 1] == head[at + step : at + step + 1] == b"G" for at, step in ((0, 188), (4, 192))):
        return "mpegts"
    raise ImageFileError(f"{path}: no video of a kind that is read here (MP4, MOV, MKV, WebM, AVI, MPEG).")


def _stream(path: Path, container: InputContainer) -> VideoStream:
    covers = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        raise ImageFileError(f"{path}: there is no video in this file.")
    context = streams[0].codec_context
    name = context.codec.canonical_name if context is not None else "none"
    if context is None or name == "none":
        raise ImageFileError(f"{path}: {DAMAGED} (no codec is named).")
    if name not in CODECS:
        raise ImageFileError(f"{path}: codec {name} is not read here ({', '.join(CODECS)} are). {REMUX}")
    check_size(path, context.width, context.height)
    context.options = {"err_detect": "explode"}  # damage is an error, never painted over
    context.thread_count = 1  # what is decoded, and where damage shows, depends on no clock
    return streams[0]


def _lost(numbers: list[int], seconds: list[float]) -> Iterator[str]:
    """Say which frames could not be decoded."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if runs:
        stretches = [f"{_span(run, 'd')} ({_span([seconds[at] for at in run], '.2f')} s)" for run in runs[:RANGES]]
        more = f" and {len(runs) - RANGES} more stretches" if len(runs) > RANGES else ""
        yield (
            f"{len(numbers)} of {len(seconds)} frames are damaged or lean on damaged ones and are left out: "
            f"{', '.join(stretches)}{more}. Copy the file again."
        )


def _span(values: Sequence[float], how: str) -> str:
    first, last = format(values[0], how), format(values[-1], how)
    return first if first == last else f"{first}–{last}"


def _cut_short(container: InputContainer, stream: VideoStream, way: Way) -> Iterator[str]:
    """Say whether the file promises more than there is; MPEG streams promise nothing."""
    held, end_s = len(way.met) + way.trimmed, float(way.end * way.tick_s)
    in_index = stream.frames and container.format.name.startswith("mov")  # whose count takes no notice of trimming
    listed = len(stream.index_entries) if in_index else stream.frames
    if listed > held:
        yield f"the file was cut off: it lists {listed} frames and holds {held}. Copy it again."
    elif not stream.frames and len(container.streams) == 1 and container.duration:
        promised_s = container.duration / av.time_base
        if promised_s > end_s + TAIL_S:
            yield f"the file was cut off: it should last {promised_s:.1f} s and ends at {end_s:.1f} s. Copy it again."
