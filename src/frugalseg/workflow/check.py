"""`check`: everything that is wrong with a project's data, all at once and with pictures, before anything is trained.

The label check that stands before every training (`check_stage`) looks with the same eyes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.records import Manifest
from frugalseg.data import remarks
from frugalseg.data.diagnose import diagnose
from frugalseg.data.findings import Finding, Kind
from frugalseg.data.manifest import read_manifest
from frugalseg.data.quarantine import QUARANTINE, read_quarantine, write_quarantine
from frugalseg.data.remarks import Remark, Twins
from frugalseg.data.summary import summarise
from frugalseg.evaluation.data_page import write_page
from frugalseg.workflow.contact_sheet import page_of
from frugalseg.workflow.project import DOMAINS, Project
from frugalseg.workflow.scan import CheckedSet, files_state, look_at, refuse
from frugalseg.workflow.stage import Options, StageResult, run_stage

CHECK, PAGE = "check.json", "data.html"  # in the stage's folder


@dataclass(frozen=True)
class CheckResult:
    """A finished check: its stage, every problem with its set's name, every remark, and the sentence on the gap.

    `quarantined` counts the frames of each set that are left out; the problems of the others are `open`.
    """

    stage: StageResult
    problems: list[tuple[str, Finding]] = field(default_factory=list)
    open: list[tuple[str, Finding]] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    quarantined: dict[str, int] = field(default_factory=dict)
    gap: str = ""


def check(project: Project, quarantine: bool, options: Options) -> CheckResult:
    """Look at every file of every set; with `quarantine` leave the frames with problems out of all later stages.

    Raises:
        DataError: every frame of a set would be quarantined.
    """
    manifests = {domain: read_manifest(project.manifest_folder(domain)) for domain in DOMAINS if project.has(domain)}
    if options.dry_run:
        frames = {domain: len(manifest) for domain, manifest in manifests.items()}
        return CheckResult(StageResult("check", None, {"frames": frames, "quarantine": quarantine}))
    inputs = {"classes": project.folder / "classes.toml"}
    for domain in manifests:  # not the folder: its quarantine does not change what is found
        files = sorted(path for path in project.manifest_folder(domain).iterdir() if path.name != QUARANTINE)
        inputs |= {f"{domain}-{path.name}": path for path in files if path.is_file()}
    state = {domain: files_state(manifest) for domain, manifest in manifests.items()}

    def work(folder: Path) -> dict[str, Any]:
        return _check(project, manifests, folder, options)

    stage = run_stage(project, "check", inputs, {"files": state}, work, options)
    content = json.loads((stage.where / CHECK).read_text(encoding="utf-8"))
    problems = [(row.pop("domain"), Finding(Kind(row.pop("kind")), **row)) for row in content["problems"]]
    if quarantine:
        _quarantine(project, manifests, problems)
    return _result(project, manifests, stage, content, problems)


def check_stage(project: Project, domain: str, options: Options) -> NDArray[np.int64]:
    """Read every label of `domain` once; return the labelled pixels of each class. Done once for the same files.

    Trainings that begin at the same time wait for the first one's check.

    Raises:
        DataProblems: listing every missing, unreadable or mismatched label.
    """
    manifest = project.manifest(domain)

    def work(folder: Path) -> dict[str, Any]:
        options.say(f"Checking {len(manifest)} {domain} labels.")
        facts = look_at(domain, manifest, project.classes, options, images=False)
        refuse(manifest.name, manifest, facts, project.classes)
        return {"pixels": summarise(domain, manifest, facts, project.classes).pixels_C.tolist()}

    inputs = {domain: project.manifest_folder(domain), "classes": project.folder / "classes.toml"}
    result = run_stage(project, f"check-{domain}", inputs, {"files": files_state(manifest)}, work, options, wait=True)
    return np.array(result.found["pixels"], np.int64)


def _check(project: Project, manifests: Mapping[str, Manifest], folder: Path, options: Options) -> dict[str, Any]:
    sets: dict[str, CheckedSet] = {}
    for domain, manifest in manifests.items():
        facts = look_at(domain, manifest, project.classes, options)
        found = diagnose(manifest, facts, project.classes, need_labels=domain != "target")
        summary = summarise(domain, manifest, facts, project.classes)
        sets[domain] = CheckedSet(manifest, summary, found, remarks.twins_within(summary, manifest))
    across = _twins_across(sets)
    said = _remarks(sets, across, project)
    gap = remarks.describe_gap(sets["source"].summary, sets["target"].summary) if "source" in sets else ""
    problems = [{"domain": domain, **asdict(finding)} for domain, one in sets.items() for finding in one.findings]
    twins = [group.members for group in (*(group for one in sets.values() for group in one.twins), *across)]
    content = {
        "schema": 1,
        "ok": not problems,
        "domains": {domain: one.summary.to_dict(project.classes) for domain, one in sets.items()},
        "problems": problems,
        "remarks": [asdict(remark) for remark in said],
        "gap": gap,
        "look_alike": [[{"domain": domain, "key": key} for domain, key in members] for members in twins],
    }
    (folder / CHECK).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    write_page(folder / PAGE, page_of(project, sets, across, said, gap, created))
    counts = {domain: one.summary.frames for domain, one in sets.items()}
    return {"ok": not problems, "problems": len(problems), "remarks": len(said), "frames": counts}


def _twins_across(sets: Mapping[str, CheckedSet]) -> list[Twins]:
    """Return validation frames that look like frames that are learned from."""
    if "validation" not in sets:
        return []
    scored = sets["validation"]
    return [
        twins
        for domain in ("source", "target")
        if domain in sets
        for twins in remarks.twins_across(scored.summary, scored.manifest, sets[domain].summary, sets[domain].manifest)
    ]


def _remarks(sets: Mapping[str, CheckedSet], across: list[Twins], project: Project) -> list[Remark]:
    found: list[Remark] = []
    for one in sets.values():
        found += remarks.of_set(one.summary, one.manifest, project.classes)
        if one.twins:
            found.append(remarks.say_twins(one.twins, one.summary.frames))
    for domain in ("source", "target"):
        if "validation" not in sets or domain not in sets:
            continue
        alike = [twins for twins in across if twins.members[1][0] == domain]
        if alike:
            found.append(remarks.say_twins(alike, sets["validation"].summary.frames))
        drives = remarks.shared_drives(sets["validation"].manifest, sets[domain].manifest, ("validation", domain))
        found += [drives] if drives else []
    return sorted(found, key=lambda remark: not remark.warning)


def _quarantine(project: Project, manifests: Mapping[str, Manifest], problems: Sequence[tuple[str, Finding]]) -> None:
    reasons: dict[str, dict[str, str]] = {domain: {} for domain in manifests}
    for domain, finding in problems:
        if finding.name:
            reasons[domain].setdefault(finding.name, f"{finding.kind}: {finding.path}: {finding.what}")
    for domain, manifest in manifests.items():
        if len(manifest) and not manifest.by_key.keys() - reasons[domain].keys():
            raise DataError(
                f"{domain}: all {len(manifest)} frames have problems, so none would be left; nothing was quarantined.\n"
                f"Mend the cause first; it is told by: frugalseg check {project.folder}"
            )
    for domain in manifests:
        write_quarantine(project.manifest_folder(domain), reasons[domain])


def _result(
    project: Project,
    manifests: Mapping[str, Manifest],
    stage: StageResult,
    content: Mapping[str, Any],
    problems: list[tuple[str, Finding]],
) -> CheckResult:
    """Put what was found beside what is left out by name."""
    left_out = {domain: read_quarantine(project.manifest_folder(domain)) for domain in manifests}
    said, counts = [Remark(**row) for row in content["remarks"]], {}
    for domain, names in left_out.items():
        keys = names.keys() & manifests[domain].by_key.keys()
        if keys:
            counts[domain] = len(keys)
            wrong = {finding.name for owner, finding in problems if owner == domain}
            said += remarks.of_quarantine(domain, keys, keys - wrong)
    still = [(domain, finding) for domain, finding in problems if finding.name not in left_out[domain]]
    return CheckResult(stage, problems, still, said, counts, content["gap"])
