"""Everything that can go wrong for reasons the user can mend.

FrugalsegError                     exit code 2, message only, never a traceback
├── ConfigError                    a setting that is unknown, out of range or contradicts another
│   ├── UnknownNameError           a name that is in no table; carries the nearest one
│   └── BudgetError                a budget that cannot be read or buys nothing
├── DataError                      something about the user's files
│   ├── ReaderError                a folder or SPEC that is not laid out as its reader expects
│   ├── ImageFileError             a file that is no image we accept, is damaged, or is over a limit
│   ├── LabelShapeError            label and image differ in size
│   ├── UnknownIdError             a label holds ids its class set does not know
│   ├── MissingPairError           an image without a label where one is needed, or the other way round
│   └── DataProblems               many of the above at once, gathered
├── ArtifactError                  a stage's folder is missing, unfinished or not what its hash says
│   ├── BusyError                  another process works on the same stage
│   └── StageOrderError            a stage needs another one first
├── CheckpointError                no checkpoint could be loaded, or there is no room to save one
├── ModelError                     a network name, weights file or model folder that cannot be used
├── TrainingError                  training cannot go on (diverged, no data)
├── AnswerError                    an answer that does not fit its question
└── StoreError                     the store of people's answers cannot be used as asked
    ├── StoreBusyError             somebody else writes at this moment; the same request again succeeds
    ├── StoreDownError             the database is gone or cannot write at this moment; try again
    ├── ConflictError              an event's identifier was used before, for something else
    ├── LoginError                 no token, or one that is unknown, expired or revoked
    ├── ForbiddenError             somebody without the right to it asks
    └── NotFoundError              nothing has that name or number

Every message says what, where, got, expected, and what to do.
"""

from collections.abc import Sequence


class FrugalsegError(Exception):
    """Base of all errors the user can mend; the CLI prints the message and exits with 2."""


class ConfigError(FrugalsegError):
    """A setting is unknown, out of range, or contradicts another."""


class UnknownNameError(ConfigError):
    """A name that stands in no table."""


class BudgetError(ConfigError):
    """A budget that cannot be read, or that buys nothing."""


class DataError(FrugalsegError):
    """Something about the user's files."""


class ReaderError(DataError):
    """A folder or SPEC that is not laid out as its reader expects."""


class ImageFileError(DataError):
    """A file that is no image we accept, is damaged, or is over a limit."""


class LabelShapeError(DataError):
    """Label and image differ in size."""


class UnknownIdError(DataError):
    """A label holds ids that its class set does not know."""


class MissingPairError(DataError):
    """An image without a label where one is needed, or a label without an image."""


class DataProblems(DataError):
    """Several data errors, reported together so that one run shows all there is to mend.

    `problems` keeps the single errors; the message lists at most `shown` of them.
    """

    def __init__(self, problems: Sequence[DataError], where: str, shown: int = 20) -> None:
        self.problems, self._where, self._shown = tuple(problems), where, shown
        lines = [f"{len(self.problems)} problem(s) in {where}:"]
        lines += [f"  {number}. {problem}" for number, problem in enumerate(self.problems[:shown], 1)]
        if len(self.problems) > shown:
            lines.append(f"  … and {len(self.problems) - shown} more.")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type["DataProblems"], tuple[object, ...]]:  # to cross from a worker process
        return DataProblems, (self.problems, self._where, self._shown)


class ArtifactError(FrugalsegError):
    """A stage's folder is missing, unfinished, or not what its hash says."""


class BusyError(ArtifactError):
    """Another process works on the same stage."""


class StageOrderError(ArtifactError):
    """A stage needs another one to have run before it."""


class CheckpointError(FrugalsegError):
    """No checkpoint could be loaded, or there is no room to save one."""


class ModelError(FrugalsegError):
    """A network name, a weights file or a model folder that cannot be used."""


class TrainingError(FrugalsegError):
    """Training cannot go on."""


class AnswerError(FrugalsegError):
    """An answer that does not fit its question."""


class StoreError(FrugalsegError):
    """The store of people's answers cannot be used as asked."""


class StoreBusyError(StoreError):
    """Somebody else writes at this moment; the same request again succeeds."""


class StoreDownError(StoreError):
    """The database is gone, restarting, or cannot write at this moment; the same request may succeed later."""


class ConflictError(StoreError):
    """An event's identifier was used before, for something else."""


class LoginError(StoreError):
    """No token, or one that is unknown, expired or revoked."""


class ForbiddenError(StoreError):
    """Somebody without the right to it asks."""


class NotFoundError(StoreError):
    """Nothing has that name or number."""
