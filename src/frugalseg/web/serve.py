"""Runs the server until it is stopped, and knows its addresses."""

import contextlib
import ipaddress
import socket
from collections.abc import Callable

import uvicorn

from frugalseg.core.errors import ConfigError
from frugalseg.web.app import create_app
from frugalseg.web.guard import LOCAL_HOSTS
from frugalseg.web.site import Site

MOST_CONNECTIONS = 500
STOP_WAIT_S = 5


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        ConfigError: the address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
        server.listen(128)
    except OSError as error:
        server.close()
        raise ConfigError(
            f"{host}:{port}: cannot listen there: {error.strerror}. Give another --host or --port."
        ) from error
    return server


def names_of(host: str) -> tuple[str, ...]:
    """Return the names by which a server on `host` may be called: local ones, and on a LAN the machine's own."""
    names = {*LOCAL_HOSTS, host.lower()}
    if host not in LOCAL_HOSTS:
        name = socket.gethostname().lower()
        names |= {name, f"{name}.local", _outward_address()}
    return tuple(sorted(names - {"0.0.0.0", "::"}))


def address(host: str, port: int) -> str:
    """Return the address that people type."""
    shown = _outward_address() if host in ("0.0.0.0", "::") else host
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def serve(site: Site, server: socket.socket, started: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished first. `started` is called once it listens."""
    config = uvicorn.Config(
        create_app(site),
        log_level="warning",
        access_log=False,
        lifespan="off",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=STOP_WAIT_S,
        server_header=False,
    )
    running = uvicorn.Server(config)
    started()
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again once it has stopped
        running.run(sockets=[server])


def _outward_address() -> str:
    """Return this machine's address on its network; nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation, RFC 5737
            return str(ipaddress.ip_address(probe.getsockname()[0]))
        except OSError:
            return "127.0.0.1"
