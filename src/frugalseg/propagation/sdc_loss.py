"""What a flow is worth whose truth nobody knows: how well it rebuilds the target, where the target can be rebuilt.

The public SDC-net code weighs colour (.7), gradient (.2) and smoothness (.1) and counts every pixel, so what comes into
view drags the flow along. Ours counts a pixel where its place is in view and the flow back leads home (UnFlow, Meister
et al., AAAI 2018); structure is compared by SSIM whose windows see such pixels only; smoothness lets go at edges.

Legend: N pairs, H x W pixels, flows 2 = (columns, rows) in pixels, images 0–1, visible 1 or 0.
"""

import torch
from torch import Tensor
from torch.nn import functional

from frugalseg.propagation.sdc_net import halves, warp

STRUCTURE = 0.85  # of SSIM beside colour, as in Godard et al., CVPR 2017
SSIM_1, SSIM_2 = 0.01**2, 0.03**2
SOFT = 1e-3  # Charbonnier's
HOME_SHARE, HOME_PX2 = 0.01, 0.5  # how far from home the way back may end: a share of both ways squared, and px squared
EDGE = 10.0  # colour step at which smoothness has fallen to 1/e: a tenth of the range


def loss_of(
    targets_N3HW: Tensor, sources_N3HW: Tensor, flows: list[Tensor], backs: list[Tensor], smoothness: float, check: bool
) -> Tensor:
    """Return the mean loss over the sizes of a flow (`Reconstructor`'s list); `backs` are flows source → target.

    Without `check` only what is out of view is left out: flows that have not learned anything lead nowhere.
    """
    levels = len(flows) - 1
    images = list(zip(*(halves(x, levels) for x in (targets_N3HW, sources_N3HW)), strict=True))[::-1]
    total = targets_N3HW.new_zeros(())
    for (target, source), flow, back in zip(images, flows, backs, strict=True):
        own = flow[..., : target.shape[2], : target.shape[3]]  # a padded frame's
        visible = visible_in(own, back[..., : target.shape[2], : target.shape[3]] if check else None)
        total = total + photometric(target, warp(source, own), visible) + smoothness * roughness(own, target)
    return total / len(flows)


@torch.no_grad()
def visible_in(flow_N2HW: Tensor, back_N2HW: Tensor | None) -> Tensor:
    """Return N x 1 x H x W: 1 where a target's pixel is in the source's view and, given `back`, not hidden there."""
    height, width = flow_N2HW.shape[-2:]
    columns_NHW = flow_N2HW[:, 0] + torch.arange(width, device=flow_N2HW.device)
    rows_NHW = flow_N2HW[:, 1] + torch.arange(height, device=flow_N2HW.device)[:, None]
    seen_NHW = (columns_NHW >= -0.5) & (columns_NHW < width - 0.5) & (rows_NHW >= -0.5) & (rows_NHW < height - 0.5)
    if back_N2HW is not None:
        home_N2HW = warp(back_N2HW, flow_N2HW)
        length_NHW = flow_N2HW.square().sum(dim=1) + home_N2HW.square().sum(dim=1)
        seen_NHW &= (flow_N2HW + home_N2HW).square().sum(dim=1) <= HOME_SHARE * length_NHW + HOME_PX2
    return seen_NHW[:, None].to(flow_N2HW.dtype)


def photometric(target_N3HW: Tensor, warped_N3HW: Tensor, visible_N1HW: Tensor) -> Tensor:
    """Return the mean over visible pixels of colour and structure that do not fit; hidden ones change nothing."""
    colour_N1HW = ((target_N3HW - warped_N3HW).square() + SOFT**2).sqrt().mean(dim=1, keepdim=True)
    structure_N1HW = (1 - ssim(target_N3HW, warped_N3HW, visible_N1HW)).mean(dim=1, keepdim=True) / 2
    misfit_N1HW = STRUCTURE * structure_N1HW + (1 - STRUCTURE) * colour_N1HW
    return (misfit_N1HW * visible_N1HW).sum() / visible_N1HW.sum().clamp(min=1)


def ssim(one_N3HW: Tensor, other_N3HW: Tensor, visible_N1HW: Tensor) -> Tensor:
    """Return structural similarity of the visible pixels of 3 x 3 windows (Wang et al., 2004), for visible centres."""

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values * visible_N1HW, 3, 1, 1) / share_N1HW

    share_N1HW = functional.avg_pool2d(visible_N1HW, 3, 1, 1).clamp(min=1 / 9)
    mean_1, mean_2 = mean(one_N3HW), mean(other_N3HW)
    variance_1, variance_2 = mean(one_N3HW.square()) - mean_1.square(), mean(other_N3HW.square()) - mean_2.square()
    covariance = mean(one_N3HW * other_N3HW) - mean_1 * mean_2
    above = (2 * mean_1 * mean_2 + SSIM_1) * (2 * covariance + SSIM_2)
    return above / ((mean_1.square() + mean_2.square() + SSIM_1) * (variance_1 + variance_2 + SSIM_2))


def roughness(flow_N2HW: Tensor, target_N3HW: Tensor) -> Tensor:
    """Return the mean step of a flow from pixel to pixel, where the picture has no step itself."""
    total = flow_N2HW.new_zeros(())
    for axis in (2, 3):
        step_N1HW = target_N3HW.diff(dim=axis).abs().mean(dim=1, keepdim=True)
        bend_N2HW = (flow_N2HW.diff(dim=axis).square() + SOFT**2).sqrt()
        total = total + (torch.exp(-EDGE * step_N1HW) * bend_N2HW).mean()
    return total / 2
