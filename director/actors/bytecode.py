"""Byte-compiling what the first actors of a source did not import, behind its activation and at the lowest priority.

What lives here: the process that does it (``python -I -m director.actors.bytecode DIRECTORY``), and its start and end.
A source runs without it; a module that is imported later is only quicker with it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path


class Compilers:
    """The compiling processes of a Director, one a directory."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, directory: str) -> None:
        """Compile a directory beside everything else; one that is being compiled goes on."""
        self.reap()
        if directory not in self._running:
            with contextlib.suppress(OSError):  # no process to be had: it runs without byte code
                self._running[directory] = subprocess.Popen(
                    [sys.executable, "-I", "-m", "director.actors.bytecode", directory],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                )

    def stop(self, directory: str) -> None:
        """End the process of a directory that is about to go."""
        process = self._running.pop(directory, None)
        if process is not None:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        """End them all."""
        for directory in list(self._running):
            self.stop(directory)

    def reap(self) -> None:
        """Those that have ended stay no zombies."""
        self._running = {
            directory: process
            for directory, process in self._running.items()
            if process.poll() is None
        }


def compile_tree(directory: Path) -> None:
    """Byte-compile every module below that has no byte code of this Python yet; what does not compile is left.

    Args:
        directory: an unpacked source.
    """
    import compileall  # not in the Director, whose forks the actors are

    compileall.compile_dir(str(directory), quiet=2, maxlevels=64, workers=1)


def main(arguments: list[str]) -> int:
    """The process's whole life."""
    os.nice(19)
    compile_tree(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
