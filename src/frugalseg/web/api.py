"""The routes under /api: parse, one call of the store, an answer in JSON."""

import re
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from frugalseg.annotation.accounts import SESSION_MS, Account, Role
from frugalseg.annotation.events import Event
from frugalseg.core.errors import NotFoundError
from frugalseg.web import figures
from frugalseg.web.body import body_of, describe
from frugalseg.web.site import ADMIN, ANNOTATOR, ANYBODY, REVIEWER, Site, session_of, site_of

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
router = APIRouter(prefix="/api")
TheSite = Annotated[Site, Depends(site_of)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Login(_Body):
    """An invitation, as it stands in the link."""

    invitation: str = Field(max_length=200)


class Lease(_Body):
    """How many questions a page wants to hold."""

    count: int = Field(ge=1, le=32)


class Nothing(_Body):
    """An empty object."""


class Invitation(_Body):
    """Whom to invite, and as what."""

    name: str = Field(max_length=200)
    role: Annotated[Role, Field(strict=False)]


@router.post("/session", openapi_extra=describe(Login), dependencies=[ANYBODY])
def login(site: TheSite, response: Response, given: Annotated[Login, body_of(Login)]) -> dict[str, Any]:
    """Open a session with an invitation; the secret is a cookie that scripts cannot read."""
    ticket = site.store.accounts.login(given.invitation)
    response.set_cookie(
        site.cookie, ticket.secret, max_age=SESSION_MS // 1000, path="/", httponly=True, samesite="strict"
    )
    return figures.session(site, ticket.account)


@router.get("/session")
def session(site: TheSite, account: Annotated[Account, ANNOTATOR]) -> dict[str, Any]:
    """Say who is logged in, and what is to be answered."""
    return figures.session(site, account)


@router.delete("/session", dependencies=[ANNOTATOR])
def logout(site: TheSite, request: Request, response: Response) -> dict[str, Any]:
    """End this session."""
    site.store.accounts.logout(session_of(request) or "")
    response.delete_cookie(site.cookie, path="/")
    return {}


@router.post("/{project}/leases", openapi_extra=describe(Lease))
def lease(
    site: TheSite, project: str, account: Annotated[Account, ANNOTATOR], wanted: Annotated[Lease, body_of(Lease)]
) -> dict[str, Any]:
    """Return the questions this person holds, and new ones up to the number wanted."""
    questions = site.store.lease(site.selection, account, wanted.count)
    return {"questions": questions, "progress": asdict(site.store.progress(site.selection))}


@router.post("/{project}/heartbeat", openapi_extra=describe(Nothing))
def heartbeat(
    site: TheSite, project: str, account: Annotated[Account, ANNOTATOR], nothing: Annotated[Nothing, body_of(Nothing)]
) -> dict[str, Any]:
    """Renew this person's leases; return the questions still held."""
    return {"held": site.store.heartbeat(site.selection, account)}


@router.put("/{project}/events/{uuid}", openapi_extra=describe(Event))
def put_event(
    site: TheSite,
    project: str,
    uuid: str,
    account: Annotated[Account, ANNOTATOR],
    event: Annotated[Event, body_of(Event)],
) -> dict[str, Any]:
    """Store an event. 200: it is on the disk, now or since an earlier request; 409: another event has this uuid."""
    if not UUID.fullmatch(uuid):
        raise NotFoundError(f"{uuid}: no event has such a name; expected a UUID in small letters.")
    receipt = site.store.put(uuid, event, account, site.selection)
    site.on_answer()
    return asdict(receipt)


@router.get("/{project}/review", dependencies=[REVIEWER])
def review(site: TheSite, project: str) -> dict[str, Any]:
    """Return the questions on which people differ, and late answers that say something else."""
    return {"items": figures.review(site)}


@router.get("/{project}/dashboard", dependencies=[REVIEWER])
def dashboard(site: TheSite, project: str) -> dict[str, Any]:
    """Return progress, hours, agreement and each person's figures."""
    return figures.dashboard(site)


@router.get("/{project}/people.csv", dependencies=[REVIEWER])
def people_csv(site: TheSite, project: str) -> Response:
    """Return each person's figures as a table for a spreadsheet."""
    headers = {"content-disposition": 'attachment; filename="people.csv"'}
    return Response(figures.people_csv(site), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/{project}/people", dependencies=[ADMIN])
def people(site: TheSite, project: str) -> dict[str, Any]:
    """Return everybody with an account, and what was done to accounts."""
    return {"people": site.store.accounts.people(), "audit": site.store.accounts.audit()}


@router.post("/{project}/people", openapi_extra=describe(Invitation))
def invite(
    site: TheSite, project: str, account: Annotated[Account, ADMIN], whom: Annotated[Invitation, body_of(Invitation)]
) -> dict[str, Any]:
    """Make an invitation; its secret is shown this once."""
    ticket = site.store.accounts.invite(whom.name, whom.role, account.name)
    return {"invitation": ticket.secret, "expires_ms": ticket.expires_ms}


@router.delete("/{project}/people/{name}/tokens")
def revoke(site: TheSite, project: str, name: str, account: Annotated[Account, ADMIN]) -> dict[str, Any]:
    """End all sessions and invitations of a person."""
    return {"ended": site.store.accounts.revoke(name, account.name)}
