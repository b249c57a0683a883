"""Warp-refine: the refinement network Ω of Warp-Refine Propagation (Ganeshan et al., ICCV 2021), equation 8.

Not in the text and in no public code: Ω's width, loss and schedule. The paper's pix2pix-like Ω reads OCR features of
its g; with hundreds of labelled frames ours is a small U-Net that starts as the identity. Of each pixel it says how far
to believe the draft, what motion alone gave, and g, whichever classes these name, and adds a residual of each class:

    logits = 5 ((1 + a) draft + b carried + c guess) + r

with a, b, c and r from a last layer that starts at zero. It sees these three, the frame, the photometric error, M, the
distance to the draft's nearest edge and how far the label was carried. Cross entropy, no discriminator: an adversary
invents plausible objects. IGNORE is a class, as in the paper.

Axis legend: N drafts, C classes, F features, H x W pixels.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from frugalseg.core.classes import IGNORE
from frugalseg.models.network import pad_to_multiple
from frugalseg.propagation.inpaint import NOWHERE, REFINED, Draft
from frugalseg.propagation.networks import REFINE
from frugalseg.propagation.stored import load_network, save_network
from frugalseg.propagation.warp import edge_distance

IDENTITY_LOGIT = 5.0  # of the draft's class at the start: 93 % for 11 classes
ERROR_UNIT, EDGE_REACH_PX, K_UNIT = 50.0, 32.0, 10.0  # which bring the extra inputs to about 0–1
STRIDE = 8  # of the deepest layer
GATES = 3  # how much draft, warp and guess are believed


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


class Refiner(nn.Module):
    """Ω: a small U-Net over a draft's features that gives logits N x (C + 1) x H x W, IGNORE last."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.classes, self.channels = classes, channels
        widths = (channels, 2 * channels, 3 * channels, 3 * channels)
        self.stem = _block(feature_count(classes), widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(nn.AvgPool2d(2), _block(narrow, wide))
            for narrow, wide in zip(widths, widths[1:], strict=False)
        )
        self.up = nn.ModuleList(
            _block(deep + shallow, shallow) for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], GATES + classes + 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias if self.head.bias is not None else torch.empty(0))

    def forward(self, features_NFHW: Tensor) -> Tensor:
        """Return logits; drafts of any size."""
        height, width = features_NFHW.shape[-2:]
        padded = pad_to_multiple(features_NFHW, STRIDE, STRIDE)
        levels = [self.stem(padded)]
        for down in self.down:
            levels.append(down(levels[-1]))
        deep = levels.pop()
        for up in self.up:
            shallow = levels.pop()
            wider = functional.interpolate(deep, shallow.shape[-2:], mode="bilinear")
            deep = up(torch.cat([wider, shallow], dim=1))
        parts = [GATES, self.classes + 1]
        gates, residual = torch.split(self.head(deep)[..., :height, :width], parts, dim=1)
        known = [self.classes + 1, self.classes + 1, self.classes]
        draft, carried, guess = torch.split(features_NFHW[:, : sum(known)], known, dim=1)
        guess = functional.pad(guess, (0, 0, 0, 0, 0, 1))  # it is never IGNORE
        said = (1 + gates[:, :1]) * draft + gates[:, 1:2] * carried + gates[:, 2:] * guess
        logits: Tensor = IDENTITY_LOGIT * said + residual
        return logits

    @torch.no_grad()
    def refine(self, draft: Draft) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return a draft's refined class ids (equation 8), and where each pixel's label comes from."""
        self.eval()
        inputs = torch.from_numpy(features(draft, self.classes))[None].to(self.head.weight.device)
        ids_HW = self(inputs)[0].argmax(dim=0).cpu().numpy().astype(np.uint8)
        ids_HW[ids_HW == self.classes] = IGNORE
        source_HW = np.where(ids_HW == draft.label_HW, draft.source_HW, REFINED).astype(np.uint8)
        source_HW[ids_HW == IGNORE] = NOWHERE
        return ids_HW, source_HW


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
    save_network(folder, REFINE, refiner, {"classes": refiner.classes, "channels": refiner.channels})


def load_refiner(folder: Path) -> Refiner:
    """Return what `save_refiner` wrote.

    Raises:
        ModelError: it is missing, damaged, or does not fit together.
    """
    return load_network(folder, REFINE, lambda info: Refiner(info["classes"], info["channels"]))
