"""Warp-refine: the refinement network Ω of Warp-Refine Propagation (Ganeshan et al., ICCV 2021), equation 8.

Not in the text and in no public code: Ω's width, loss and schedule. The paper's Ω is pix2pix-like; with hundreds of
labelled frames ours is a small U-Net that starts as the identity. As the paper's reads OCR features of its g, ours
reads what g's last layer sees, at a quarter of the frame's size. Of each pixel it says how far to believe the draft,
what motion alone gave, and g, whichever classes these name, and adds a residual of each class:

    logits = 5 ((1 + a) draft + b carried + c guess) + r

with a, b, c and r from a last layer that starts at zero. It sees these three, the frame, the photometric error, M, the
distance to the draft's nearest edge and how far the label was carried. Cross entropy, no discriminator: an adversary
invents plausible objects. IGNORE is a class, as in the paper. In use it overrules motion's label only where another one
is likelier by `overrule`, for a change that is a toss-up is wrong as often as right, and wrong in the rare classes; and
never one that several labelled frames agree on.

Axis legend: N drafts, C classes, F features, H x W pixels, D of g's features, h x w a quarter of H x W, rounded up.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import DataError
from frugalseg.models.network import pad_to_multiple
from frugalseg.propagation.inpaint import NOWHERE, REFINED, WARPED, Draft
from frugalseg.propagation.networks import REFINE
from frugalseg.propagation.stored import load_network, save_network
from frugalseg.propagation.warp import edge_distance

IDENTITY_LOGIT = 5.0  # of the draft's class at the start: 93 % for 11 classes
ERROR_UNIT, EDGE_REACH_PX, K_UNIT = 50.0, 32.0, 10.0  # which bring the extra inputs to about 0–1
STRIDE = 8  # of the deepest layer
GATES = 3  # how much draft, warp and guess are believed
QUARTER, LEVEL = 4, 1  # g's features come in at a quarter of the frame's size, after the second halving


def feature_count(classes: int) -> int:
    """Return F."""
    return 2 * (classes + 1) + classes + 3 + 4


def features(draft: Draft, classes: int) -> NDArray[np.float32]:
    """Return what Ω sees of a draft, F x H x W; the first C + 1 are the one-hot draft, the next what motion gave."""
    one_hot_CHW, carried_CHW = (
        np.arange(classes + 1)[:, None, None] == np.minimum(label_HW, classes)[None]
        for label_HW in (draft.label_HW, draft.warped_HW)
    )
    error_HW = np.where(np.isfinite(draft.error_HW), draft.error_HW / ERROR_UNIT, 2.0).clip(0, 2)
    edge_HW = np.minimum(edge_distance(draft.label_HW), EDGE_REACH_PX) / EDGE_REACH_PX
    extra = np.stack([error_HW, draft.trusted_HW, edge_HW, np.full_like(edge_HW, draft.k / K_UNIT)])
    image_CHW = draft.picture.rgb_HWC.transpose(2, 0, 1).astype(np.float32) / 255
    guess_CHW = draft.guess.shares(classes)
    return np.concatenate([one_hot_CHW, carried_CHW, guess_CHW, image_CHW, extra]).astype(np.float32)


def deep_features(deep_Dhw: NDArray[np.float16], size_HW: tuple[int, int]) -> NDArray[np.float32]:
    """Return what g's last layer saw of a frame on whichever grid, at a quarter of the frame's size."""
    deep_NDhw = torch.from_numpy(deep_Dhw.astype(np.float32))[None]
    quarter_hw = [-(-length // QUARTER) for length in size_HW]
    if not deep_NDhw.shape[1]:
        return np.zeros((0, *quarter_hw), np.float32)
    return np.asarray(functional.interpolate(deep_NDhw, quarter_hw, mode="bilinear")[0].numpy())


class Refiner(nn.Module):
    """Ω: a small U-Net over a draft's features that gives logits N x (C + 1) x H x W, IGNORE last.

    Args:
        classes: C.
        channels: Of the first level; twice and thrice as many deeper down.
        deep: D; 0 to read nothing of g's features.
        overrule: How much likelier than motion's label another one must be to replace it, 0–1.
    """

    deep_mean: Tensor
    deep_gain: Tensor

    def __init__(self, classes: int, channels: int, deep: int = 0, overrule: float = 0.0) -> None:
        super().__init__()
        self.classes, self.channels, self.deep, self.overrule = classes, channels, deep, overrule
        widths = (channels, 2 * channels, 3 * channels, 3 * channels)
        self.stem = _block(feature_count(classes), widths[0])
        more = [channels if deep and level == LEVEL else 0 for level in range(len(widths) - 1)]
        self.down = nn.ModuleList(
            _block(narrow + extra, wide) for narrow, extra, wide in zip(widths, more, widths[1:], strict=False)
        )
        self.up = nn.ModuleList(
            _block(lower + shallow, shallow) for lower, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], GATES + classes + 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias if self.head.bias is not None else torch.empty(0))
        self.read = nn.Conv2d(deep, channels, 1) if deep else None
        self.register_buffer("deep_mean", torch.zeros(deep, 1, 1))
        self.register_buffer("deep_gain", torch.ones(deep, 1, 1))

    def forward(self, features_NFHW: Tensor, deep_NDhw: Tensor) -> Tensor:
        """Return logits; drafts of any size."""
        height, width = features_NFHW.shape[-2:]
        levels = [self.stem(pad_to_multiple(features_NFHW, STRIDE, STRIDE))]
        for level, down in enumerate(self.down):
            finer = functional.avg_pool2d(levels[-1], 2)
            if self.read is not None and level == LEVEL:
                deep_NDhw = pad_to_multiple(deep_NDhw, STRIDE // QUARTER, STRIDE // QUARTER)
                finer = torch.cat([finer, self.read((deep_NDhw - self.deep_mean) * self.deep_gain)], dim=1)
            levels.append(down(finer))
        last = levels.pop()
        for up in self.up:
            shallow = levels.pop()
            wider = functional.interpolate(last, shallow.shape[-2:], mode="bilinear")
            last = up(torch.cat([wider, shallow], dim=1))
        parts = [GATES, self.classes + 1]
        gates, residual = torch.split(self.head(last)[..., :height, :width], parts, dim=1)
        known = [self.classes + 1, self.classes + 1, self.classes]
        draft, carried, guess = torch.split(features_NFHW[:, : sum(known)], known, dim=1)
        guess = functional.pad(guess, (0, 0, 0, 0, 0, 1))  # it is never IGNORE
        said = (1 + gates[:, :1]) * draft + gates[:, 1:2] * carried + gates[:, 2:] * guess
        logits: Tensor = IDENTITY_LOGIT * said + residual
        return logits

    @torch.no_grad()
    def refine(self, draft: Draft) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return a draft's refined class ids (equation 8), and where each pixel's label comes from.

        Raises:
            DataError: the network that guesses has another number of features than those that Ω learned from.
        """
        self.eval()
        inputs = [features(draft, self.classes), np.zeros((0, 1, 1), np.float32)]
        if self.deep:
            if len(draft.guess.deep_Dhw) != self.deep:
                raise DataError(
                    f"{draft.picture.key}: the network that guesses has {len(draft.guess.deep_Dhw)} features, and the "
                    f"refinement network has learned from one with {self.deep}. Give networks of one kind, or let it "
                    "read none (deep = false)."
                )
            inputs[1] = deep_features(draft.guess.deep_Dhw, draft.picture.size_HW)
        device = self.head.weight.device
        share_CHW = self(*(torch.from_numpy(part)[None].to(device) for part in inputs))[0].softmax(dim=0)
        best_HW, ids_HW = share_CHW.max(dim=0)
        moved_HW = torch.from_numpy(np.minimum(draft.warped_HW, self.classes).astype(np.int64)).to(device)
        has_one_HW = np.isfinite(draft.error_HW) | (draft.warped_HW != IGNORE)  # else motion has nothing to say
        kept_HW = best_HW - share_CHW.gather(0, moved_HW[None])[0] <= self.overrule
        kept_HW &= torch.from_numpy(has_one_HW).to(device)
        if draft.agreed_HW is not None:
            kept_HW |= torch.from_numpy(draft.agreed_HW).to(device)
        label_HW = torch.where(kept_HW, moved_HW, ids_HW).cpu().numpy().astype(np.uint8)
        label_HW[label_HW == self.classes] = IGNORE
        moved_source = WARPED if draft.warped_source_HW is None else draft.warped_source_HW
        source_HW = np.where(label_HW == draft.warped_HW, moved_source, REFINED)
        source_HW = np.where(label_HW == draft.label_HW, draft.source_HW, source_HW).astype(np.uint8)
        source_HW[label_HW == IGNORE] = NOWHERE
        return label_HW, source_HW


def _block(inputs: int, outputs: int) -> nn.Module:
    """Two convolutions; groups instead of batch statistics, since batches are small and drafts alike."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.GroupNorm(4 if outputs % 4 == 0 else 1, outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.GroupNorm(4 if outputs % 4 == 0 else 1, outputs),
        nn.ReLU(inplace=True),
    )


def save_refiner(folder: Path, refiner: Refiner) -> None:
    """Write Ω to a folder."""
    sizes = {"classes": refiner.classes, "channels": refiner.channels, "deep": 1 + refiner.deep}  # sizes are 1 or more
    save_network(folder, REFINE, refiner, sizes)


def load_refiner(folder: Path, overrule: float) -> Refiner:
    """Return what `save_refiner` wrote, to be used with this `overrule`.

    Raises:
        ModelError: it is missing, damaged, or does not fit together.
    """
    return load_network(
        folder, REFINE, lambda info: Refiner(info["classes"], info["channels"], info["deep"] - 1, overrule)
    )
