"""How far each person's answers can be believed: confusion matrices from gold and from shared questions.

Dawid & Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm", Applied Statistics 28
(1979): a question's truth is not known and is weighed by what everybody said about it (the E step, equation 2.5); each
person's confusion matrix and the classes' shares are counted with these weights (the M step, 2.3 and 2.4).

Differs: a truth that is known (gold, or decided by a reviewer) stays; counts are smoothed, a person's towards
everybody's and everybody's towards PRIOR_RIGHT (maximum a posteriori with Dirichlet priors), since a person sees one or
two gold questions a class; what one person alone answered says nothing of right and wrong and is left out.

Q questions, A annotators, C classes; a matrix' rows are true classes, its columns answers.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.annotation.history import History, known_class, people
from frugalseg.core.errors import ArtifactError

PRIOR_RIGHT = 0.95  # share of right answers taken for granted before anything is known
PRIOR_ANSWERS = 4.0  # answers a class that a prior weighs
ROUNDS, STILL = 200, 1e-9  # EM stops after so many steps, or when no weight moves by more
COUNTED = 0.5  # expected answers from which on a mistake is named

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """A question that tells something: the class each person named, and the true one if it is known."""

    said: Mapping[str, int]
    truth: int | None = None


@dataclass(frozen=True)
class Mistake:
    """`count` answers, as expected, named `said` where the truth was `truth`; `share` of the answers to that class."""

    truth: int
    said: int
    count: float
    share: float


@dataclass(frozen=True, eq=False)
class Annotators:
    """What is known of people: `counts_ACC` are their answers by true class, expected ones where it is not known.

    `answers_A` says how many answers each gave that name a class, to whatever question.
    """

    names: tuple[str, ...]
    counts_ACC: Floats
    answers_A: NDArray[np.int64]

    @property
    def everybody_CC(self) -> Floats:
        """All people's matrix: P(answer | truth), every row sums to 1."""
        classes = self.counts_ACC.shape[-1]
        prior_CC = np.full((classes, classes), (1 - PRIOR_RIGHT) / max(classes - 1, 1))
        np.fill_diagonal(prior_CC, PRIOR_RIGHT if classes > 1 else 1.0)
        return _smoothed(self.counts_ACC.sum(axis=0), prior_CC)

    @property
    def matrices_ACC(self) -> Floats:
        """Each person's matrix, smoothed towards everybody's."""
        return _smoothed(self.counts_ACC, self.everybody_CC)

    @property
    def mixture_CC(self) -> Floats:
        """P(answer | truth) of an answer drawn from all that were given: the matrices weighed by people's answers."""
        if not self.answers_A.any():
            return self.everybody_CC
        mixture_CC: Floats = np.tensordot(self.answers_A / self.answers_A.sum(), self.matrices_ACC, axes=1)
        return mixture_CC

    @property
    def right_A(self) -> Floats:
        """The estimated share of right answers of each person, over the classes as often as they were judged."""
        seen_C = self.counts_ACC.sum(axis=(0, 2)) + 1.0
        right_A: Floats = np.diagonal(self.matrices_ACC, axis1=1, axis2=2) @ (seen_C / seen_C.sum())
        return right_A

    def judged(self, name: str) -> int:
        """Return on how many of a person's answers the matrix rests; 0 for one who is not known."""
        return round(float(self.counts_ACC[self.names.index(name)].sum())) if name in self.names else 0

    def right(self, name: str) -> float | None:
        """Return the estimated share of a person's right answers; None where there was nothing to judge."""
        return float(self.right_A[self.names.index(name)]) if self.judged(name) else None

    def mistakes(self, name: str) -> list[Mistake]:
        """Return what a person takes for what, the most frequent first."""
        if name not in self.names:
            return []
        counts_CC = self.counts_ACC[self.names.index(name)]
        given_C = counts_CC.sum(axis=1)
        found = [
            Mistake(truth, said, float(counts_CC[truth, said]), float(counts_CC[truth, said] / given_C[truth]))
            for truth, said in np.argwhere(counts_CC >= COUNTED).tolist()
            if truth != said
        ]
        return sorted(found, key=lambda one: (-one.count, one.truth, one.said))

    def __add__(self, other: "Annotators") -> "Annotators":
        """Return both together, for instance two rounds."""
        names = tuple(sorted({*self.names, *other.names}))
        found = Annotators.nobody(self.counts_ACC.shape[-1], names)
        for part in (self, other):
            places = [names.index(name) for name in part.names]
            found.counts_ACC[places] += part.counts_ACC
            found.answers_A[places] += part.answers_A
        return found

    @classmethod
    def nobody(cls, classes: int, names: Sequence[str] = ()) -> "Annotators":
        """Return people of whom nothing is known."""
        return cls(tuple(names), np.zeros((len(names), classes, classes)), np.zeros(len(names), np.int64))

    @classmethod
    def of(cls, histories: Iterable[History], classes: int) -> "Annotators":
        """Learn from everything people said about a selection; answers after a look at the guess are left out."""
        judged, answers = [], Counter[str]()
        for history in histories:
            replies = {name: reply for name, reply in history.answers.items() if reply.class_id is not None}
            answers.update(list(replies) if history.truth is None else ())
            said = {name: reply.class_id for name, reply in replies.items() if not reply.revealed}
            judged.append(Judged({n: c for n, c in said.items() if c is not None}, known_class(history)))
        return learn(judged, classes, answers)

    def to_json(self) -> dict[str, Any]:
        """Return what annotators.json holds: sparse counts, and the matrices that follow from them to look at."""
        people = {}
        for place, name in enumerate(self.names):
            cells = np.argwhere(self.counts_ACC[place] > 0).tolist()
            counts = [[truth, said, float(self.counts_ACC[place, truth, said])] for truth, said in cells]
            people[name] = {"answers": int(self.answers_A[place]), "counts": counts,
                            "right": float(self.right_A[place])}  # fmt: skip
        return {"classes": self.counts_ACC.shape[-1], "people": people, "confusion": self.mixture_CC.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str) -> "Annotators":
        """Read what `to_json` returned.

        Raises:
            ArtifactError: it is something else.
        """
        try:
            names = sorted(content["people"])
            found = cls.nobody(int(content["classes"]), names)
            for place, name in enumerate(names):
                found.answers_A[place] = content["people"][name]["answers"]
                for truth, said, count in content["people"][name]["counts"]:
                    found.counts_ACC[place, truth, said] = count
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ArtifactError(f"{where}: no file of annotators ({error!r}). Export the answers anew.") from error
        return found


def people_figures(histories: Sequence[History], annotators: Annotators) -> list[dict[str, Any]]:
    """Return each person's figures (`history.people`), and what is estimated of their mistakes.

    `judged` says on how many answers the estimates rest, `estimated_right` and `mistakes` what came out.
    """
    return [
        {
            **person,
            "judged": annotators.judged(person["name"]),
            "estimated_right": annotators.right(person["name"]),
            "mistakes": [asdict(one) for one in annotators.mistakes(person["name"])],
        }
        for person in people(histories)
    ]


def learn(judged: Iterable[Judged], classes: int, answers: Mapping[str, int] | None = None) -> Annotators:
    """Estimate everybody's confusions by EM; a question that one person alone answered and nobody knows is left out.

    Args:
        judged: Questions.
        classes: How many there are.
        answers: Class answers that each person gave in all, also where nothing can be judged.
    """
    answers = answers or {}
    told = [one for one in judged if one.said and (one.truth is not None or len(one.said) > 1)]
    names = tuple(sorted({name for one in told for name in one.said} | set(answers)))
    found = Annotators.nobody(classes, names)
    found.answers_A[:] = [answers.get(name, 0) for name in names]
    triples = [(q, names.index(name), c) for q, one in enumerate(told) for name, c in one.said.items()]
    said = _Said(*np.array(triples, np.int64).reshape(-1, 3).T)
    known = np.array([one.truth is not None for one in told], bool)
    truth_QC = np.zeros((len(told), classes))
    np.add.at(truth_QC, (said.question_N, said.answer_N), 1)
    truth_QC /= truth_QC.sum(axis=1, keepdims=True)  # at first: the shares of votes
    truth_QC[known] = np.eye(classes)[[one.truth for one in told if one.truth is not None]]
    for _ in range(ROUNDS):
        found.counts_ACC[:] = said.count(truth_QC, len(names))
        weighed_QC = said.weigh(found.matrices_ACC, truth_QC)
        weighed_QC[known] = truth_QC[known]
        moved = float(np.abs(weighed_QC - truth_QC).max(initial=0.0))
        truth_QC = weighed_QC
        if moved < STILL:
            break
    return found


@dataclass(frozen=True, eq=False)
class _Said:
    """N answers: to which question, by whom, which class."""

    question_N: NDArray[np.int64]
    person_N: NDArray[np.int64]
    answer_N: NDArray[np.int64]

    def count(self, truth_QC: Floats, people: int) -> Floats:
        """Equation 2.3's numerators: each answer counts for every class, as much as that is the truth."""
        counts_ACC = np.zeros((people, truth_QC.shape[1], truth_QC.shape[1]))
        classes_C = np.arange(truth_QC.shape[1])
        np.add.at(counts_ACC, (self.person_N[:, None], classes_C, self.answer_N[:, None]), truth_QC[self.question_N])
        return counts_ACC

    def weigh(self, matrices_ACC: Floats, truth_QC: Floats) -> Floats:
        """Equation 2.5, P(truth | what was said); the classes' shares are those of 2.4, with one added to each."""
        share_C = (truth_QC.sum(axis=0) + 1) / (len(truth_QC) + truth_QC.shape[1])
        log_QC = np.broadcast_to(np.log(share_C), truth_QC.shape).copy()
        np.add.at(log_QC, self.question_N, np.log(matrices_ACC[self.person_N, :, self.answer_N]))
        weight_QC = np.exp(log_QC - log_QC.max(axis=1, keepdims=True, initial=-np.inf))
        normal: Floats = weight_QC / weight_QC.sum(axis=1, keepdims=True)
        return normal


def _smoothed(counts: Floats, prior_CC: Floats) -> Floats:
    """Return rows of counts as shares, with PRIOR_ANSWERS answers of the prior added to each row."""
    found: Floats = (counts + PRIOR_ANSWERS * prior_CC) / (counts.sum(axis=-1, keepdims=True) + PRIOR_ANSWERS)
    return found
