"""Pages, their scripts and styles, and the media of questions; all of them are read or made once, at the start."""

import hashlib
import mimetypes
import re
from collections.abc import Iterable
from pathlib import Path

import jinja2
from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from frugalseg.core.errors import NotFoundError
from frugalseg.core.files import safe_join
from frugalseg.web.api import TheSite
from frugalseg.web.site import ANNOTATOR, ANYBODY

STATIC = Path(__file__).parent / "static"
MEDIA_NAME = re.compile(r"[0-9a-f]{64}\.(jpg|png)")
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FOREVER = "private, max-age=31536000, immutable"
router = APIRouter()


@router.get("/", dependencies=[ANYBODY], include_in_schema=False)
def label_page() -> Response:
    """The page that asks."""
    return _page("label")


@router.get("/review", dependencies=[ANYBODY], include_in_schema=False)
def review_page() -> Response:
    """The page on which a reviewer decides."""
    return _page("review")


@router.get("/dashboard", dependencies=[ANYBODY], include_in_schema=False)
def dashboard_page() -> Response:
    """The page of figures."""
    return _page("dashboard")


@router.get("/join", dependencies=[ANYBODY], include_in_schema=False)
def join_page() -> Response:
    """The page that an invitation link opens; the secret stands behind the # and is never sent with an address."""
    return _page("join")


@router.get("/static/{name}", dependencies=[ANYBODY], include_in_schema=False)
def static(name: str) -> Response:
    """A script or a style of the pages."""
    return _static(name)


@router.get("/media/{name}", dependencies=[ANNOTATOR])
def media(site: TheSite, name: str) -> Response:
    """What a question shows. A name never means anything else."""
    if not MEDIA_NAME.fullmatch(name):
        raise NotFoundError("There is no such picture.")
    path = safe_join(site.media, name)
    if not path.is_file():
        raise NotFoundError("There is no such picture.")
    kind = mimetypes.types_map[path.suffix]
    return FileResponse(path, media_type=kind, headers={"cache-control": FOREVER, "etag": f'"{path.stem}"'})


def _page(name: str) -> Response:
    return _response(_PAGES[name], "text/html")


def _static(name: str) -> Response:
    """Return one of the files in `static`, which lie in one folder: a name with a slash is none of them."""
    if name not in _FILES:
        raise NotFoundError("There is no such page.")
    return _response(_FILES[name], TYPES[Path(name).suffix])


def _response(content: bytes, kind: str) -> Response:
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return Response(content, media_type=f"{kind}; charset=utf-8", headers={"cache-control": "no-cache", "etag": etag})


def _filled(names: Iterable[str]) -> dict[str, bytes]:
    """Return pages, by name, made of their templates' blocks."""
    loader = jinja2.PackageLoader("frugalseg.web", "templates")
    templates = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return {name: templates.get_template(f"{name}.html.j2").render().encode() for name in names}


_PAGES = _filled(("label", "review", "dashboard", "join"))
_FILES = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir()) if path.suffix in TYPES}
