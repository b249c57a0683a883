"""The reconstruction network: a coarse-to-fine search for where each pixel of a target was in a source.

SDC-net (Reda et al., ECCV 2018) is given frames and a flow and gives displacements (and kernels, which a label cannot
be warped with) that rebuild one frame from another. Ours is small enough for a CPU: one set of weights looks at every
size of the pictures, half the frame and less, compares what is around each place, and mends the flow that it was given:
a step towards what fits best, as long as a convolution says, and one more that it makes up itself. That layer is zero
at the start, so untrained it gives the flow back.

Legend: N pairs, C channels, H x W pixels of the frame, h x w of a level, 2 = (columns, rows) of flow in its pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugalseg.models.network import pad_to_multiple

RADIUS = 2  # pixels of a level that are compared, each way
SEEN = (2 * RADIUS + 1) ** 2
WINDOW_PX = 5  # side of the square that a fit is averaged over: single places fit in many ways
SHARP = 20.0  # how much more a place counts at the start that fits better by 1 (a cosine)


class Reconstructor(nn.Module):
    """Gives flows from N x 3 x H x W targets and sources (0–1) and a flow to begin with."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.channels, self.levels = channels, levels
        wide = 2 * channels
        self.features = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(SEEN + channels + 2, wide, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(wide, wide, 3, padding=2, dilation=2),
            nn.LeakyReLU(0.1),
        )
        self.sharpness = nn.Parameter(torch.tensor(SHARP))
        self.head = nn.Conv2d(wide, 3, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias if self.head.bias is not None else torch.empty(0))

    def forward(self, target_N3HW: Tensor, source_N3HW: Tensor, start_N2HW: Tensor) -> list[Tensor]:
        """Return the flow at each size, coarsest first; the last is the frame's own, in its pixels. Any size goes."""
        height, width = target_N3HW.shape[-2:]
        stride = 2**self.levels
        padded = [pad_to_multiple(x, stride, 2 * stride) for x in (target_N3HW, source_N3HW, start_N2HW)]
        sizes = list(zip(*(halves(x, self.levels) for x in padded), strict=True))[1:]
        mend_N2hw = torch.zeros_like(sizes[-1][2])
        flows: list[Tensor] = []
        for level, (target, source, start) in reversed(list(enumerate(sizes, 1))):
            own_N2hw = start / 2**level
            mend_N2hw = mend_N2hw if not flows else twice(mend_N2hw)
            here, there = (
                functional.normalize(functional.instance_norm(self.features(x)), dim=1) for x in (target, source)
            )
            seen_NKhw = compare(here, warp(there, own_N2hw + mend_N2hw))
            said_N3hw = self.head(self.decoder(torch.cat([seen_NKhw, here, mend_N2hw / RADIUS], dim=1)))
            towards_N2hw = best_fit(self.sharpness * seen_NKhw)
            mend_N2hw = mend_N2hw + said_N3hw[:, :1] * towards_N2hw + said_N3hw[:, 1:]
            flows.append(own_N2hw + mend_N2hw)
        whole_N2HW = padded[2] + twice(mend_N2hw)
        return [*flows, whole_N2HW[..., :height, :width]]


def best_fit(fit_NKhw: Tensor) -> Tensor:
    """Return the mean of the steps that `compare` took, weighed by the softmax of how well each fits."""
    steps = torch.arange(-RADIUS, RADIUS + 1, device=fit_NKhw.device, dtype=fit_NKhw.dtype)
    by_step = torch.stack([steps.repeat(len(steps)), steps.repeat_interleave(len(steps))], dim=1)
    return torch.einsum("nkhw,kc->nchw", fit_NKhw.softmax(dim=1), by_step)


def halves(images_NCHW: Tensor, levels: int) -> list[Tensor]:
    """Return the images at their own size and `levels` times halved, each pixel the mean of four."""
    sizes = [images_NCHW]
    for _ in range(levels):
        sizes.append(functional.avg_pool2d(sizes[-1], 2, ceil_mode=True, count_include_pad=False))
    return sizes


def twice(flow_N2hw: Tensor) -> Tensor:
    """Return a flow at twice the size, in pixels half as large."""
    return 2 * functional.interpolate(flow_N2hw, scale_factor=2.0, mode="bilinear", align_corners=False)


def warp(source_NChw: Tensor, flow_N2hw: Tensor) -> Tensor:
    """Return the source as seen from the target, bilinear, the outermost pixels repeated (as `warp.warp_picture`)."""
    height, width = flow_N2hw.shape[-2:]
    rows_h, columns_w = (torch.arange(size, device=flow_N2hw.device, dtype=flow_N2hw.dtype) for size in (height, width))
    columns_Nhw = (2 * (flow_N2hw[:, 0] + columns_w) + 1) / width - 1  # grid_sample's measure: -1 to 1, edge to edge
    rows_Nhw = (2 * (flow_N2hw[:, 1] + rows_h[:, None]) + 1) / height - 1
    grid_Nhw2 = torch.stack([columns_Nhw, rows_Nhw], dim=3)
    return functional.grid_sample(source_NChw, grid_Nhw2, "bilinear", "border", align_corners=False)


def compare(here_NChw: Tensor, there_NChw: Tensor) -> Tensor:
    """Return N x SEEN x h x w: how the places here fit those so many steps away there, step by step in rows.

    Products of features (0 outside), averaged over a square.
    """
    height, width = here_NChw.shape[-2:]
    wide = functional.pad(there_NChw, (RADIUS, RADIUS, RADIUS, RADIUS))
    around = range(2 * RADIUS + 1)
    products = [(here_NChw * wide[..., r : r + height, c : c + width]).sum(dim=1) for r in around for c in around]
    return functional.avg_pool2d(torch.stack(products, dim=1), WINDOW_PX, 1, WINDOW_PX // 2, count_include_pad=False)
