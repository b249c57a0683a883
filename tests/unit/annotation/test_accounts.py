import pytest
from sqlalchemy import text

from frugalseg.annotation.accounts import INVITATION_MS, RIGHTS, SESSION_MS, Account, Right, Role
from frugalseg.core.errors import ForbiddenError, LoginError, NotFoundError, StoreError


def test_an_invitation_opens_sessions_until_it_expires(store, clock) -> None:
    invitation = store.accounts.invite("ann", Role.ANNOTATOR, "admin").secret
    sessions = [store.accounts.login(invitation).secret for _ in range(2)]
    assert {store.accounts.who(session) for session in sessions} == {Account(1, "ann", Role.ANNOTATOR)}
    clock.ms += SESSION_MS
    with pytest.raises(LoginError, match="session has ended"):
        store.accounts.who(sessions[0])
    clock.ms += INVITATION_MS - SESSION_MS
    with pytest.raises(LoginError, match="invitation has ended"):
        store.accounts.login(invitation)


def test_a_token_opens_only_what_its_scope_says(store) -> None:
    invitation = store.accounts.invite("ann", Role.ADMIN, "admin").secret
    session = store.accounts.login(invitation).secret
    for secret in (invitation, None, "", "x", session + "x", session[:-1], session.upper()):
        with pytest.raises(LoginError):
            store.accounts.who(secret)
    with pytest.raises(LoginError):
        store.accounts.login(session)


def test_revoking_ends_everything_of_one_person_at_once(store) -> None:
    tickets = {name: store.accounts.invite(name, Role.ANNOTATOR, "admin").secret for name in ("ann", "bob")}
    sessions = {name: store.accounts.login(secret).secret for name, secret in tickets.items()}
    assert store.accounts.revoke("ann", "admin") == 2
    for attempt, secret in ((store.accounts.who, sessions["ann"]), (store.accounts.login, tickets["ann"])):
        with pytest.raises(LoginError):
            attempt(secret)
    assert store.accounts.who(sessions["bob"]).name == "bob"
    assert [(p["name"], p["tokens"]) for p in store.accounts.people()] == [("ann", 0), ("bob", 2)]
    with pytest.raises(NotFoundError):
        store.accounts.revoke("eve", "admin")


def test_logging_out_ends_one_session(store) -> None:
    invitation = store.accounts.invite("ann", Role.ANNOTATOR, "admin").secret
    one, other = (store.accounts.login(invitation).secret for _ in range(2))
    store.accounts.logout(one)
    store.accounts.logout("never seen")
    with pytest.raises(LoginError):
        store.accounts.who(one)
    assert store.accounts.who(other).name == "ann"


def test_no_secret_is_in_the_store(store) -> None:
    invitation = store.accounts.invite("ann", Role.ANNOTATOR, "admin").secret
    secrets = (invitation, store.accounts.login(invitation).secret)
    with store.database.read() as session:
        everything = str([session.execute(text(f"SELECT * FROM {t}")).all() for t in ("tokens", "audit", "accounts")])
    assert not [secret for secret in secrets if secret in everything]


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\nb", "a\u202eb"])
def test_names_that_cannot_be_read_are_refused(store, name) -> None:
    with pytest.raises(StoreError, match="printable letters"):
        store.accounts.invite(name, Role.ANNOTATOR, "admin")


def test_one_name_has_one_role(store) -> None:
    store.accounts.invite("ann", Role.ANNOTATOR, "admin")
    store.accounts.invite(" ann ", Role.ANNOTATOR, "admin")
    with pytest.raises(StoreError, match="ann is annotator already"):
        store.accounts.invite("ann", Role.ADMIN, "admin")


def test_roles_and_rights() -> None:
    assert set(RIGHTS[Role.ANNOTATOR]) < set(RIGHTS[Role.REVIEWER]) < set(RIGHTS[Role.ADMIN]) == set(Right)
    Account(1, "ann", Role.REVIEWER).need(Right.REVIEW)
    with pytest.raises(ForbiddenError, match="ann is annotator; this needs the right to review"):
        Account(1, "ann", Role.ANNOTATOR).need(Right.REVIEW)


def test_the_audit_says_who_did_what(store) -> None:
    store.accounts.login(store.accounts.invite("ann", Role.ANNOTATOR, "admin").secret)
    store.accounts.revoke("ann", "admin")
    lines = [(line["account"], line["action"]) for line in store.accounts.audit()]
    assert lines == [("admin", "revoke"), ("ann", "login"), ("admin", "invite")]
