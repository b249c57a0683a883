"""Learning-rate schedules: a factor for each step, to be multiplied with each group's own rate."""


def poly(step: int, steps: int, power: float = 0.9, warm_up: int = 0) -> float:
    """Return (1 - step / steps) ** power after a linear warm-up of `warm_up` steps (DeepLab, Chen et al. 2017).

    `step` counts from 0; the last step still has a rate above 0.
    """
    ramp = min(1.0, (step + 1) / (warm_up + 1))
    return float(ramp * max(0.0, 1 - step / steps) ** power)
