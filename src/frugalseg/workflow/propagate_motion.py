"""The motion source of a plan, and the training of one that learns on the video itself."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from frugalseg.core.errors import DataError
from frugalseg.core.records import Frame
from frugalseg.data.pixels import read_frame
from frugalseg.data.sequences import Run
from frugalseg.propagation.cuts import scene_cut
from frugalseg.propagation.dis import Dis, DisConfig
from frugalseg.propagation.motion import Motion, Picture
from frugalseg.propagation.networks import SDC, RaftConfig, SdcConfig, is_stored
from frugalseg.workflow.propagate_config import PropagateConfig
from frugalseg.workflow.stage import Options


def open_motion(config: PropagateConfig, trained: Path) -> Motion:
    """Return what estimates motion; `trained` is where a network that was trained here lies."""
    dis = Dis(config.part(DisConfig))
    if config.motion == "dis":
        return dis
    if config.motion == "raft":
        from frugalseg.propagation.raft import Raft

        return Raft(config.part(RaftConfig))
    from frugalseg.propagation.sdc import Sdc

    return Sdc(config.sdc_weights or trained, dis if config.sdc_start == "dis" else None)


def trained_folder(folder: Path, flows: str | None, config: PropagateConfig, frames_hash: str) -> Path:
    """Return where a network trained on these frames with these settings is kept: beside the flows if they are kept."""
    if flows is None:
        return folder / SDC
    settings = config.part(SdcConfig).model_dump(mode="json") | config.part(DisConfig).model_dump(mode="json")
    settings |= {"cut_share": config.cut_share}
    content = json.dumps([settings, frames_hash], sort_keys=True)
    return Path(flows) / f"{SDC}-{hashlib.blake2b(content.encode(), digest_size=20).hexdigest()}"


def learn_motion(trained: Path, runs: Sequence[Run], config: PropagateConfig, options: Options) -> None:
    """Train the reconstruction network on a video's neighbouring frames and write it, if it is asked for and not there.

    Raises:
        TrainingError: no two neighbouring frames can be read and show one scene.
    """
    if config.motion != "sdc" or config.sdc_weights is not None or is_stored(trained, SDC):
        return
    from frugalseg.propagation.sdc import save_sdc
    from frugalseg.propagation.train_sdc import crops, train_sdc

    own = config.part(SdcConfig)
    dis = Dis(config.part(DisConfig))
    whole = (pair for pair in _neighbours(runs, own.sdc_pairs) if not _is_cut(*pair, dis, config.cut_share))
    pairs = crops(whole, dis if own.sdc_start == "dis" else None, own)
    options.say(f"sdc: learning motion from {len(pairs)} pairs of frames, {own.sdc_steps} steps; kept in {trained}")
    save_sdc(trained, train_sdc(pairs, own))


def _neighbours(runs: Sequence[Run], most: int) -> Iterator[tuple[Picture, Picture]]:
    """Yield at most `most` pairs of neighbouring frames of the commonest size, evenly spread, in order of time.

    Pairs that cannot be read are left out; spreading names their frames.
    """
    found = [pair for run in runs for pair in pairwise(run.frames)]
    sizes = Counter((one.height, one.width) for one, _ in found).most_common(1)
    found = [(one, other) for one, other in found if (one.height, one.width) == sizes[0][0]]
    for number in sorted({round(at) for at in np.linspace(0, len(found) - 1, min(most, len(found)))}):
        one, other = found[number]
        try:
            yield _picture(one), _picture(other)
        except DataError:
            continue


def _is_cut(one: Picture, other: Picture, dis: Dis, least_share: float) -> bool:
    """Tell whether a scene ends between two frames; by DIS, for what is to be trained knows no motion yet."""
    return one.size_HW == other.size_HW and bool(scene_cut(one, other, dis.flow(other, one), least_share))


def _picture(frame: Frame) -> Picture:
    return Picture(frame.key, read_frame(frame))
