"""What an evaluation found about drift, as a JSON file."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from frugalseg.core.errors import ArtifactError
from frugalseg.core.files import write_atomic
from frugalseg.evaluation.drift import Drift


@dataclass(frozen=True)
class DriftFindings:
    """Measured pairs of domains, pairs that could not be measured with the reason, and frames that were refused."""

    pairs: tuple[Drift, ...] = ()
    left_out: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Write JSON."""
        write_atomic(path, TypeAdapter(DriftFindings).dump_json(self, indent=1))

    @classmethod
    def load(cls, path: Path) -> "DriftFindings":
        """Read what `save` wrote.

        Raises:
            ArtifactError: the file is missing or something else.
        """
        try:
            return TypeAdapter(DriftFindings).validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ArtifactError(f"{path}: cannot read the drift scores: {error}.\nRun the evaluation again.") from error

    def brief(self) -> dict[str, dict[str, float | bool]]:
        """Return score and certainty by pair, for run.json and `--json`."""
        return {
            f"{pair.other.domain} against {pair.reference.domain}": {
                "score": pair.score,
                "certain": pair.features.certain,
            }
            for pair in self.pairs
        }
