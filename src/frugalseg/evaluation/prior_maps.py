"""Spatial priors as heat maps, class by class, like figure 2 of CBST (Zou et al., ECCV 2018)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.evaluation import pictures
from frugalseg.evaluation.exhibits import SpatialPriors
from frugalseg.evaluation.panels import FramePanels, Panel

WIDTH = 320  # pixels of a map; the grid below it is coarser and spread bilinearly, as self-training spreads it


def prior_panels(priors: SpatialPriors) -> list[FramePanels]:
    """Return one heat map a class that the source holds; each is scaled to its own largest value."""
    _, rows, columns = priors.prior_Chw.shape
    height = max(1, round(WIDTH * rows / columns))
    found = []
    for name, prior_hw in zip(priors.classes.names, priors.prior_Chw, strict=True):
        if not prior_hw.any():
            continue
        alt = f"where the source shows {name}: {_place(prior_hw)}"
        peak = f"peak {prior_hw.max() * prior_hw.size:.1f} × even"
        panel = Panel(name, _heat_uri(prior_hw, (WIDTH, height)), alt, peak)
        found.append(FramePanels(name, height, WIDTH, (panel,)))
    return found


def absent(priors: SpatialPriors) -> list[str]:
    """Return the classes that the source does not hold: q = 0, so they take no pseudo-labels."""
    return [name for name, prior_hw in zip(priors.classes.names, priors.prior_Chw, strict=True) if not prior_hw.any()]


def heat_palette() -> NDArray[np.uint8]:
    """Return 256 x 3 colours: blue is low, yellow is high, as in the paper; lightness rises with the value."""
    from matplotlib import colormaps

    return np.round(255 * colormaps["viridis"](np.arange(256))[:, :3]).astype(np.uint8)


def _heat_uri(prior_hw: NDArray[np.float32], size_wh: tuple[int, int]) -> str:
    spread_HW = cv2.resize(prior_hw, size_wh, interpolation=cv2.INTER_LINEAR)
    index_HW = np.round(255 * spread_HW / prior_hw.max()).clip(0, 255).astype(np.uint8)
    return pictures.photo_uri(heat_palette()[index_HW], 88, max(size_wh))


def _place(prior_hw: NDArray[np.float32]) -> str:
    """Say where the middle of the mass lies, for those who cannot see the map."""
    rows, columns = prior_hw.shape
    middle = (prior_hw.sum(axis=1) @ np.arange(0.5, rows)) / prior_hw.sum() / rows
    across = (prior_hw.sum(axis=0) @ np.arange(0.5, columns)) / prior_hw.sum() / columns
    return f"its middle is {100 * middle:.0f} % down and {100 * across:.0f} % to the right"
