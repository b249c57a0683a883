"""The application: routes, errors, guard. Every route says what it needs, or the application is not built."""

from fastapi import FastAPI
from fastapi.routing import APIRoute

from frugalseg import __version__
from frugalseg.web import api, errors, pages
from frugalseg.web.guard import Guard
from frugalseg.web.site import ANYBODY, Needs, Site


def create_app(site: Site) -> Guard:
    """Return the ASGI application that serves `site`."""
    return Guard(create_inner(site), site.hosts)


def create_inner(site: Site) -> FastAPI:
    """Return the application behind the guard.

    Raises:
        RuntimeError: a route that does not say who may call it.
    """
    app = FastAPI(
        title="frugalseg",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # an address that is none is not found, whatever it ends with
    )
    app.state.site = site
    errors.install(app)
    app.router.routes.extend([*api.router.routes, *pages.router.routes])  # flat, so that none is overlooked below

    @app.get("/api/openapi.json", dependencies=[ANYBODY], include_in_schema=False)
    def openapi() -> dict[str, object]:
        """What all routes take and give."""
        return app.openapi()

    for route in app.routes:
        if not isinstance(route, APIRoute) or len(declared(route)) != 1:
            raise RuntimeError(f"{getattr(route, 'path', route)}: a route declares exactly one right.")
    return app


def routes(app: FastAPI) -> list[APIRoute]:
    """Return all routes of an application."""
    return [route for route in app.routes if isinstance(route, APIRoute)]


def declared(route: APIRoute) -> list[Needs]:
    """Return the rights a route declares."""
    return [part.call for part in route.dependant.dependencies if isinstance(part.call, Needs)]
