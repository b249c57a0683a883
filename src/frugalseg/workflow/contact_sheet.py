"""From a finished look at the data to its page: which frames are shown, and everything else as arrays and text."""

from collections.abc import Mapping, Sequence

from frugalseg.core.chance import key_hash
from frugalseg.data.findings import TITLES, Finding, Kind, grouped
from frugalseg.data.glimpse import Glimpse, Glimpser
from frugalseg.data.remarks import Remark, Twins
from frugalseg.data.summary import LIGHT
from frugalseg.data.workers import each
from frugalseg.evaluation.data_page import DataPage, PageSet, ProblemRow, SheetFrame
from frugalseg.workflow.project import Project
from frugalseg.workflow.scan import CheckedSet

WRONG_FRAMES, OTHER_FRAMES = 12, 12  # on the sheet of a set
PAIRS = 6
EXAMPLES = 5  # files named for each reason

FrameName = tuple[str, str]  # set, key


def page_of(
    project: Project,
    sets: Mapping[str, CheckedSet],
    across: Sequence[Twins],
    remarks: Sequence[Remark],
    gap: str,
    created: str,
) -> DataPage:
    """Return the page of a check; the frames that it shows are read once more."""
    pairs = _pairs(sets, across)
    glimpses = _glimpses(project, sets, pairs)
    found = grouped((domain, finding) for domain, one in sets.items() for finding in one.findings)
    problems = [
        ProblemRow(
            group.title,
            len(group.findings),
            tuple((finding.path, finding.what) for finding in group.findings[:EXAMPLES]),
            group.mend,
        )
        for group in found
    ]
    alike = [
        (_frame(*first, glimpses[first]), _frame(*second, glimpses[second]))
        for first, second in pairs
        if first in glimpses and second in glimpses
    ]
    return DataPage(
        project=project.settings.name,
        created=created,
        classes=project.classes,
        sets=tuple(_page_set(domain, one, glimpses) for domain, one in sets.items()),
        problems=tuple(problems),
        remarks=tuple((remark.domain, remark.text, remark.warning) for remark in remarks),
        gap=gap,
        alike=tuple(alike),
    )


def _page_set(domain: str, one: CheckedSet, glimpses: Mapping[FrameName, Glimpse]) -> PageSet:
    summary, reasons = one.summary, _reasons(one.findings)
    frames = [
        SheetFrame(key, glimpse.image, glimpse.label, glimpse.usable, reasons.get(key, ()))
        for key in _shown(one)
        if (glimpse := glimpses.get((domain, key))) is not None
    ]
    (height, width), _ = summary.sizes.most_common(1)[0] if summary.sizes else ((0, 0), 0)
    more = f" and {len(summary.sizes) - 1} other sizes" if len(summary.sizes) > 1 else ""
    return PageSet(
        name=domain,
        frames=summary.frames,
        labelled=summary.labelled,
        refused=summary.refused,
        sizes=f"{height}x{width}{more}" if height else "no image could be read",
        light={name: summary.light[:, column] for column, name in enumerate(LIGHT)},
        pixels_C=summary.pixels_C,
        frames_C=summary.frames_C,
        sheet=tuple(frames),
    )


def _shown(one: CheckedSet) -> list[str]:
    """Return the keys on a set's sheet: frames with problems first, of each kind some, then others by chance."""
    wrong: dict[str, None] = {}
    by_kind: dict[Kind, list[str]] = {}
    for finding in one.findings:
        if finding.key:
            by_kind.setdefault(finding.kind, []).append(finding.key)
    for turn in range(WRONG_FRAMES):
        wrong |= {keys[turn]: None for keys in by_kind.values() if turn < len(keys)}
    bad = {finding.key for finding in one.findings}
    fine = sorted((frame.key for frame in one.manifest if frame.key not in bad), key=key_hash)
    return [*list(wrong)[:WRONG_FRAMES], *fine[:OTHER_FRAMES]]


def _reasons(findings: Sequence[Finding]) -> dict[str, tuple[str, ...]]:
    reasons: dict[str, tuple[str, ...]] = {}
    for finding in findings:
        first = finding.mend.partition("\n")[0]
        title = TITLES[finding.kind][0].upper() + TITLES[finding.kind][1:]
        reasons[finding.key] = (*reasons.get(finding.key, ()), f"{title}. {first}")
    return reasons


def _pairs(sets: Mapping[str, CheckedSet], across: Sequence[Twins]) -> list[tuple[FrameName, FrameName]]:
    """Return frames that look alike, those of two sets first."""
    twins = [*across, *(group for one in sets.values() for group in one.twins)]
    return [(group.members[0], group.members[1]) for group in twins[:PAIRS]]


def _glimpses(
    project: Project, sets: Mapping[str, CheckedSet], pairs: Sequence[tuple[FrameName, FrameName]]
) -> dict[FrameName, Glimpse]:
    names = [(domain, key) for domain, one in sets.items() for key in _shown(one)]
    names = list(dict.fromkeys([*names, *(name for pair in pairs for name in pair)]))
    work = Glimpser({domain: one.manifest.classes for domain, one in sets.items()}, project.classes)
    items = [(domain, sets[domain].manifest.by_key[key]) for domain, key in names]
    return {names[place]: glimpse for place, glimpse in each(work, items) if glimpse is not None}


def _frame(domain: str, key: str, glimpse: Glimpse) -> SheetFrame:
    return SheetFrame(f"{domain}: {key}", glimpse.image)
