"""`pushforward explore`: a local web page about a model of a table or of pictures."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import TYPE_CHECKING

from ..errors import DataError, FileError
from ..signals import Terminated
from .console import Terminal
from .options import MachineOptions, ReadOptions
from .task import TrainedModel, start
from .trained_pictures import TrainedPictures
from .trained_table import TrainedTable

if TYPE_CHECKING:
    from ..web.server import Answers


def explore_model(
    kind: type[TrainedModel],
    path: str,
    source: str | None,
    port: int | None,
    reading: ReadOptions,
    machine: MachineOptions,
    *,
    browser: bool,
) -> int:
    """Serve the page until Ctrl-C.

    Args:
        kind: Class of the model.
        path: Model file.
        source: Table to show beside samples; None for none.
        port: Port; None for a free one.
        reading: Options for reading the table.
        machine: Options of the command.
        browser: Whether a browser is opened.

    Raises:
        FlowError: The web extra is not installed, a file or the port cannot be used, or the model is not one of a table.
    """
    try:
        from ..web.explore_pictures import PictureExplorer
        from ..web.server import address, listen, new_token, server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise FileError(
            "the page needs starlette and uvicorn; install them with pip install 'pushforward[web]'"
        ) from None
    terminal = Terminal(quiet=machine.quiet)
    if issubclass(kind, TrainedPictures):
        if source is not None:
            raise DataError(f"expected only {path}, a model of pictures, got also {source}; leave it out")
        pictures = kind.open_alone(path, start(machine))
        explorer: Answers = PictureExplorer(pictures.model, pictures.spec, pictures.training, path, machine.seed)
    else:
        explorer = _table_explorer(kind, path, source, reading, machine)
    token = new_token()
    with listen(port) as listening:
        url = address(listening, token)
        terminal.show(url)
        terminal.tell("open this address in a browser on this machine; Ctrl-C ends the page")
        if browser:
            _open(url, terminal)
        try:
            server(explorer, listening, token).run(sockets=[listening])
        except KeyboardInterrupt as error:
            if isinstance(error, Terminated):
                raise
    return 0


def _table_explorer(
    kind: type[TrainedModel], path: str, source: str | None, reading: ReadOptions, machine: MachineOptions
) -> Answers:
    from ..web.explore import Explorer

    trained = kind.open(path, start(machine))
    if not isinstance(trained, TrainedTable):
        raise DataError(f"expected a model of a table or of pictures in {path}, got another one")
    if source is not None:
        trained.prepare(source, (), reading)
    return Explorer(trained.fitted, trained.asked if source is not None else None, machine.seed)


def _open(url: str, terminal: Terminal) -> None:
    """Open a browser in a window of its own, where there is a screen."""
    screen = (
        os.name == "nt" or sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if not screen or not webbrowser.open(url):
        terminal.warn("expected a browser to open, found none; open the address yourself")
