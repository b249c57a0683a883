import pickle
import re

from frugalseg.core import errors
from frugalseg.core.errors import DataProblems, FrugalsegError, ImageFileError, LabelShapeError


def tree_in_docstring():
    """Name -> parent's name, as drawn: each level is indented by four characters."""
    parents, path = {}, []
    for line in errors.__doc__.splitlines():
        match = re.match(r"([│ ├└─]*)(\w+Error|DataProblems)(?= |$)", line)
        if match:
            depth = len(match[1]) // 4
            parents[match[2]] = path[depth - 1] if depth else "Exception"
            path = [*path[:depth], match[2]]
    return parents


def test_the_tree_drawn_is_the_tree():
    real = {
        name: kind.__bases__[0].__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, FrugalsegError)
    }
    assert tree_in_docstring() == real
    assert all(kind.__doc__ for kind in vars(errors).values() if isinstance(kind, type))


def test_problems_are_counted_listed_and_cut():
    problems = [ImageFileError(f"{number}.png: damaged") for number in range(5)]
    gathered = DataProblems(problems, "street", shown=3)
    assert gathered.problems == tuple(problems)
    lines = str(gathered).splitlines()
    assert lines == [
        "5 problem(s) in street:",
        "  1. 0.png: damaged",
        "  2. 1.png: damaged",
        "  3. 2.png: damaged",
        "  … and 2 more.",
    ]


def test_problems_cross_a_process_border():
    gathered = DataProblems([ImageFileError("a"), LabelShapeError("b")], "street", shown=1)
    back = pickle.loads(pickle.dumps(gathered))
    assert str(back) == str(gathered)
    assert [type(problem) for problem in back.problems] == [ImageFileError, LabelShapeError]
