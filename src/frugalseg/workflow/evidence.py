"""What answers said beside what the model had said when it asked, by the strategy that chose the question."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from frugalseg.core.runs import RunInfo
from frugalseg.core.table import read_records
from frugalseg.evaluation.surprise import Guess, Reply
from frugalseg.workflow.project import GUESSES
from frugalseg.workflow.rounds import questions_and_answers


def guesses(selection: Path) -> dict[str, Guess]:
    """Return what the model said of each point that a `select` stage asks about; nothing of whole images."""
    path = selection / GUESSES
    return {guess.query: guess for guess in read_records(path, Guess)} if path.is_file() else {}


def replies(labels: Iterable[RunInfo]) -> dict[str, list[Reply]]:
    """Return what holds of each answered question about a pixel, by strategy, with all the seconds people gave it.

    Questions without a guess are left out.
    """
    found: dict[str, list[Reply]] = defaultdict(list)
    for run in labels:
        if not run.has_input("questions"):
            continue
        guessed = guesses(run.input("questions"))
        queries, answers = questions_and_answers([run])
        last, seconds = {answer.query: answer for answer in answers}, defaultdict[str, float](float)
        for given in answers:  # the last row may have taken no time: it settles what several people said
            seconds[given.query] += given.seconds
        for query in queries:
            guess, answer = guessed.get(query.id), last.get(query.id)
            if guess is not None and answer is not None:
                reply = Reply(query.key, guess.class_id, answer.class_id, seconds[query.id], guess.at_edge)
                found[query.strategy].append(reply)
    return dict(found)
