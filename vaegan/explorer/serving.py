"""The server of the explorer's page: one address, nothing that leaves the machine, and a quiet end."""

import os
import socket
import tempfile
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

from vaegan.errors import UserError
from vaegan.text import get_reason

from .template_files import read_template

if TYPE_CHECKING:
    import gradio as gr

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
"""Names by which a browser on the same machine finds it."""
MAX_UPLOAD = "64mb"
"""Largest file that can be dropped on the page."""
SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "sans-serif")
SYSTEM_CODE_FONTS = ("ui-monospace", "Consolas", "monospace")
GRACE_SECONDS = 1
"""Seconds that open connections have left at the end."""
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_SSR_MODE": "False",
    "GRADIO_SHARE": "False", "GRADIO_NODE_SERVER_NAME": "",
}  # fmt: skip
"""Environment under which gradio asks for nothing outside."""


def keep_gradio_quiet(folder: str) -> None:
    """Set the environment of gradio, which reads it as it is imported: no analytics, and uploads into a folder."""
    os.environ.update(QUIET, GRADIO_TEMP_DIR=folder)


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Args:
        host: Address or name of this machine.
        port: Port; 0: any that is free.

    Raises:
        UserError: The port is taken, or the address is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UserError(f"--host {host}: {get_reason(error)}; name an address of this machine") from None
    if os.name != "nt":  # there it would share a port that is taken
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise UserError(f"--port {port}: cannot listen at {host} ({get_reason(error)}); name another one") from None
    return listener


def build_app(page: "gr.Blocks", hosts: tuple[str, ...] | None) -> Any:
    """Return the application that serves a page.

    Args:
        page: The page.
        hosts: Names of this machine that requests must carry, so that no other site can speak to it under a name of its
            own; None: any.
    """
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*hosts, "[::1]"])
    theme = gr.themes.Default(primary_hue="teal", font=SYSTEM_FONTS, font_mono=SYSTEM_CODE_FONTS)
    return gr.mount_gradio_app(
        app, page, path="/", footer_links=[], run_history=False, show_error=False, max_file_size=MAX_UPLOAD,
        ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False, theme=theme,
        head=f"<style>{read_template('page.css')}</style>",
    )  # fmt: skip


def serve(app: Any, listener: socket.socket) -> None:
    """Serve an application until it is interrupted.

    Raises:
        KeyboardInterrupt: It was.
    """
    import uvicorn

    config = uvicorn.Config(
        app, log_level="critical", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS, lifespan="on"
    )
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):  # gradio prints tracebacks
        uvicorn.Server(config).run(sockets=[listener])


def make_upload_folder() -> "tempfile.TemporaryDirectory[str]":
    """Return a folder for what is dropped on the page, which is removed at the end."""
    return tempfile.TemporaryDirectory(prefix="vaegan-explore-", ignore_cleanup_errors=True)
