import json

import pytest

from frugalseg.annotation.store import Store
from frugalseg.cli.main import run
from frugalseg.core.errors import LoginError
from frugalseg.data.toycity import write_dataset
from frugalseg.workflow.project import init_project


@pytest.fixture
def project(tmp_path):
    write_dataset(tmp_path / "target", "street", 2, 1, 1, (48, 64))
    return init_project(tmp_path / "p", {"target": f"folder:{tmp_path / 'target'}"}, None).folder


def said(capsys, *arguments: str) -> dict:
    capsys.readouterr()
    assert run(["answers", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_inviting_and_revoking(project, capsys) -> None:
    found = said(capsys, str(project), "invite", "ann", "--role", "reviewer", "--host", "192.0.2.7", "--port", "81")
    assert found["link"].startswith("http://192.0.2.7:81/join#")
    assert said(capsys, str(project), "people")["people"] == [{"name": "ann", "role": "reviewer", "tokens": 1}]
    assert said(capsys, str(project), "revoke", "ann")["ended"] == 1
    store = Store(project / "answers.db")
    with pytest.raises(LoginError):
        store.accounts.login(found["link"].partition("#")[2])
    store.close()


def test_backup_and_restore(project, capsys, tmp_path) -> None:
    said(capsys, str(project), "invite", "ann")
    said(capsys, str(project), "backup", str(tmp_path / "saved.db"))
    said(capsys, str(project), "invite", "bob")
    said(capsys, str(project), "restore", str(tmp_path / "saved.db"))
    assert [person["name"] for person in said(capsys, str(project), "people")["people"]] == ["ann"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["invite"], "a name or file is needed"),
        (["people", "ann"], "takes no name"),
        (["invite", "ann", "--role", "king"], "role"),
        (["revoke", "eve"], "nobody has this name"),
        (["restore", "absent.db"], "there is no such backup"),
        (["backup", "x.db", "--database", "postgresql://h/d"], "pg_dump"),
    ],
)
def test_what_is_refused(project, capsys, arguments, words) -> None:
    assert run(["answers", str(project), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_dry_run_says_what_it_would_do_and_does_nothing(project, capsys) -> None:
    found = said(capsys, str(project), "invite", "ann", "--dry-run")
    assert found == {"action": "invite", "store": str(project / "answers.db"), "subject": "ann"}
    assert not (project / "answers.db").exists()
