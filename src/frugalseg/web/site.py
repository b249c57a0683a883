"""What the server serves: one selection of one project's store, its media, and the rights each route declares."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import Depends, Request

from frugalseg.annotation.accounts import Account, Right
from frugalseg.annotation.questions import Selection
from frugalseg.annotation.store import Store
from frugalseg.core.errors import ForbiddenError
from frugalseg.web.guard import LOCAL_HOSTS


@dataclass(frozen=True)
class Site:
    """What one server serves. `hosts` are the names it answers to; `on_answer` is called after each stored event."""

    store: Store
    selection: Selection
    media: Path
    hosts: tuple[str, ...] = LOCAL_HOSTS
    on_answer: Callable[[], None] = field(default=lambda: None)

    @property
    def cookie(self) -> str:
        """The session cookie's name: cookies do not know ports, and another project may be served on the next one."""
        return f"frugalseg_{self.store.project}"


def site_of(request: Request) -> Site:
    """Return the site that a request came to."""
    site: Site = request.app.state.site
    return site


def session_of(request: Request) -> str | None:
    """Return the secret of a request's session: a bearer token, else the cookie."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else request.cookies.get(site_of(request).cookie)


class Needs:
    """A dependency that lets in who has a right (None: everybody), and refuses the numbers of other projects.

    Raises:
        LoginError, ForbiddenError: no session, no right, or another project's address.
    """

    def __init__(self, right: Right | None) -> None:
        self.right = right

    def __call__(self, request: Request) -> Account | None:
        """Return who asks."""
        if self.right is None:
            return None
        site = site_of(request)
        account = site.store.accounts.who(session_of(request))
        account.need(self.right)
        if request.path_params.get("project", site.store.project) != site.store.project:
            raise ForbiddenError("This server serves another project.")
        return account


def needs(right: Right | None) -> Any:
    """Declare what a route needs; every route does."""
    return Depends(Needs(right))


ANYBODY = needs(None)
ANNOTATOR = needs(Right.ANSWER)
REVIEWER = needs(Right.REVIEW)
ADMIN = needs(Right.ADMIN)
