"""The main job on the example project, told step by step: ``make demo`` and ``director demo``.

What lives here: the story. Everything in it is real: key pair, ``hatch build`` with this very plugin,
an actor system, a live upgrade under a client that keeps asking. It leaves no process and no file behind.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from director.control import DirectorControl
from director.errors import BuildError, DirectorError, NotFound
from director.text import listing
from director.tls.keys import generate_key

#: Requests that must be answered in all, and at least on either side of the switch.
REQUESTS, EITHER_SIDE = 1000, 100
#: Seconds for one build, and for one answer.
BUILD_LIMIT, ANSWER_LIMIT = 300, 10


def run(tell: Callable[[str], None]) -> None:
    """Do it all in a temporary directory.

    Args:
        tell: given one line a step.

    Raises:
        DirectorError: what went wrong; everything that was started is stopped.
    """
    hatch = find_hatch()
    with tempfile.TemporaryDirectory(prefix="director-demo-") as folder:
        home = Path(folder)
        project = home / "example_project"
        shutil.copytree(example(), project, ignore=shutil.ignore_patterns("dist", "__pycache__"))
        host = home / "director"
        host.mkdir()

        key = generate_key()
        (home / "sourcekey.pem").write_bytes(key.private_pem(None))
        (home / "sourcekey.pem").chmod(0o600)
        (host / "sourcekey_tls.key").write_bytes(key.public_pem)
        tell(
            f"1. Made a key pair; its public half lies on the host ({key.public.fingerprint[:23]}…)."
        )

        wheels = home / "wheels"
        plugin_wheel(wheels)
        environment = build_environment(home, wheels)
        built = build(hatch, project, environment)
        tell("2. `hatch build` made " + ", ".join(sorted(path.name for path in built)) + ".")

        port = free_port()
        for name, text in {"adminport": str(port), "thesplogd": str(home / "log")}.items():
            (host / f"{name}.cfg").write_text(text, encoding="utf-8")
        with DirectorControl(host) as control:
            try:
                _live(control, hatch, project, environment, tell)
            finally:
                if control.running():
                    control.shutdown()
        tell("8. Shut down: every process has ended, every file is removed.")


def _live(
    control: DirectorControl,
    hatch: str,
    project: Path,
    environment: dict[str, str],
    tell: Callable[[str], None],
) -> None:
    first = control.install(next((project / "dist").glob("*-1.*.tls")))
    control.start()
    loaded = control.load("foo")
    tell(
        f"3. Started an actor system (port {control.config.admin_port}), installed and loaded "
        f"{first.name}: {loaded.source_hash}."
    )
    role = control.role("FlyingCow")
    if not role:
        raise DirectorError("No actor has the role FlyingCow.")
    question = {"ask": "weigh", "number": 0, "animal": "Bessie"}
    answer = control.system.ask(role.address, question, timedelta(seconds=ANSWER_LIMIT))
    if not isinstance(answer, dict) or answer.get("number") != 0:
        raise DirectorError(f"FlyingCow gave no answer but {answer!r}.")
    tell(f"4. Found {role.actor_class} by its role FlyingCow; {question} → {answer}")

    shutil.copytree(project / "upgrade", project, dirs_exist_ok=True)
    build(hatch, project, environment)
    newer = control.install(next((project / "dist").glob("*-2.*.tls")))
    tell(f"5. Built the next version, {newer.name}, and installed it; nothing was stopped.")

    client = Client(control.directory)
    client.start()
    try:
        client.reached.wait(120)
        control.load("foo")
        client.switched()
    finally:
        client.finish()
    if client.problem:
        raise DirectorError(f"The client failed: {client.problem}")
    old, new = client.answered.get("1", 0), client.answered.get("2", 0)
    tell(f"6. Loaded it while a client kept asking. First answer of it: {client.first_new}")
    tell(
        f"   asked {client.asked} / answered {old + new} / lost {client.lost} / wrong {client.wrong} "
        f"({old} by version 1, {new} by version 2)"
    )
    if client.lost or client.wrong or client.asked < REQUESTS or min(old, new) < EITHER_SIDE:
        raise DirectorError("The upgrade lost or falsified answers, or too few were asked.")
    tell("7. What runs now (`director list`):")
    for line in listing(control.loaded()):
        tell("   " + line)


class Client(threading.Thread):
    """Asks the role without pause, from before the switch until long enough after it.

    It is a client of its own: Thespian's connections are not shared between threads.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(name="demo-client", daemon=True)
        self.directory = directory
        self.asked = self.lost = self.wrong = 0
        self.answered: dict[str, int] = {}
        self.first_new: Any = None
        self.problem = ""
        #: Set when enough was asked for the upgrade to begin.
        self.reached = threading.Event()
        self._switch_done = threading.Event()

    def switched(self) -> None:
        """The load came back: ask a while longer, then stop."""
        self._switch_done.set()

    def finish(self) -> None:
        """Wait until it has ended."""
        self._switch_done.set()
        self.join(120)
        if self.is_alive():
            self.problem = self.problem or "it did not end"

    def run(self) -> None:
        """Ask, check, count."""
        try:
            command = [sys.executable, "-m", "director.demo", str(self.directory)]
            self._watch(command)
        except (OSError, ValueError) as problem:
            self.problem = str(problem)
        finally:
            self.reached.set()

    def _watch(self, command: list[str]) -> None:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101 - pipes
            asker = threading.Thread(target=self._stop_after_switch, args=(process.stdin,))
            asker.start()
            for line in process.stdout:
                told = json.loads(line)
                if told.get("reached"):
                    self.reached.set()
                else:
                    self.asked, self.lost, self.wrong = told["asked"], told["lost"], told["wrong"]
                    self.answered, self.first_new = told["answered"], told["first_new"]
            if process.wait(30):
                self.problem = f"it ended with {process.returncode}"
            self._switch_done.set()
            asker.join()

    def _stop_after_switch(self, stdin: Any) -> None:
        self._switch_done.wait()
        try:
            stdin.write("switched\n")
            stdin.close()
        except OSError:
            pass  # it has ended already; its exit code tells


def keep_asking(directory: Path, done: threading.Event) -> dict[str, Any]:
    """The client's own process: ask the role, over and over, until enough after the switch.

    Returns:
        asked, lost, wrong, answered (by major version), first_new.
    """
    told: dict[str, Any] = {"asked": 0, "lost": 0, "wrong": 0, "answered": {}, "first_new": None}
    newest = "1"
    expected = 0.0
    after = 0
    with DirectorControl(directory) as control:
        while after < EITHER_SIDE * 2 or told["asked"] < REQUESTS:
            role = control.role("FlyingCow")
            told["asked"] += 1
            number = told["asked"]
            if not role:
                told["lost"] += 1
                continue
            question = {"ask": "weigh", "number": number, "animal": "Bessie"}
            answer = control.system.ask(role.address, question, timedelta(seconds=ANSWER_LIMIT))
            if answer is None:
                told["lost"] += 1
                continue
            version = str(answer.get("version", "?")).partition(".")[0]
            expected = expected or answer.get("kilograms", 0.0)
            # Wrong: another question's answer, another weight, or an old version after a newer one.
            told["wrong"] += (
                answer.get("number") != number
                or answer.get("kilograms") != expected
                or version < newest
            )
            if version > newest:
                newest, told["first_new"] = version, answer
            told["answered"][version] = told["answered"].get(version, 0) + 1
            if number == REQUESTS // 2:
                sys.stdout.write('{"reached": true}\n')
                sys.stdout.flush()
            after += done.is_set()
    return told


def find_hatch() -> str:
    """The hatch command, beside this Python or on the PATH.

    Raises:
        NotFound: there is none, with its remedy.
    """
    beside = Path(sys.executable).parent / ("hatch.exe" if os.name == "nt" else "hatch")
    found = str(beside) if beside.is_file() else shutil.which("hatch")
    if found is None:
        raise NotFound(
            "The demo builds the example with hatch, which is not installed here.",
            hint=f"Install it: {sys.executable} -m pip install hatch",
        )
    return found


def example() -> Path:
    """The example project: package data of an installed wheel, or the checkout's own folder."""
    here = Path(__file__).resolve().parent
    for place in (here / "example_project", here.parent / "example_project"):
        if (place / "pyproject.toml").is_file():
            return place
    raise NotFound("The example project is missing from this installation.", hint="Reinstall it.")


def plugin_wheel(folder: Path) -> Path:
    """A wheel of this very installation, so that hatch builds with it and no other.

    A checkout is built; an installed wheel is put together again from its RECORD.
    """
    folder.mkdir()
    distribution = importlib.metadata.distribution("hatch-thespian")
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "hatch_thespian").is_dir():
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        _run(command, checkout, dict(os.environ))
        return next(folder.glob("*.whl"))
    name = f"hatch_thespian-{distribution.version}"
    target = folder / f"{name}-py3-none-any.whl"
    lines = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in distribution.files or []:
            skip = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
            if ".." in path.parts or path.suffix == ".pyc" or path.name in skip:
                continue
            data = path.read_binary()
            wheel.writestr(str(path), data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(data)}")
        lines.append(f"{name}.dist-info/RECORD,,")
        wheel.writestr(f"{name}.dist-info/RECORD", "\n".join(lines) + "\n")
    return target


def build_environment(home: Path, wheels: Path) -> dict[str, str]:
    """The environment of ``hatch build``: the key, a private hatch directory, our own wheel."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("THESPIAN_")}
    for variable in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        joint = "," if variable.startswith("UV") else " "
        environment[variable] = joint.join(filter(None, [str(wheels), os.environ.get(variable)]))
    environment["THESPIAN_SIGNING_KEY_FILE"] = str(home / "sourcekey.pem")
    # A kept environment would keep an older plugin of the same version (hatch reinstalls none).
    environment["HATCH_DATA_DIR"] = str(home / "hatch")
    # uv leaves lock files among the temporary ones; here they go with the rest.
    environment["TMPDIR"] = str(home / "tmp")
    (home / "tmp").mkdir()
    return environment


def build(hatch: str, project: Path, environment: dict[str, str]) -> list[Path]:
    """Run ``hatch build`` and return what it left in ``dist/``."""
    _run([hatch, "build"], project, environment)
    return list((project / "dist").iterdir())


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_LIMIT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{' '.join(command)} took more than {BUILD_LIMIT} s.") from None
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def free_port() -> int:
    """A port that is free now, for TCP and UDP, and stays free: the kernel gives none of its kind to connections.

    A port that the kernel picks (``bind(("", 0))``) may go to any actor's own listener, or to a client's connection,
    before an Admin takes it; so the ports below those are asked.
    """
    try:
        given = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
        lowest = int(given[0])
    except (OSError, ValueError, IndexError):
        lowest = 32768
    ports = range(10_000, lowest) if lowest > 12_000 else range(1_024, 65_535)
    for port in random.sample(ports, len(ports)):
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            try:
                stream.bind(("", port))
                datagrams.bind(("", port))
            except OSError:
                continue
            return port
    raise DirectorError(
        "No free port was found.",
        hint=f"Close something that listens between {ports.start} and {ports.stop - 1}.",
        code="no-port",
    )


def _client_main() -> None:
    done = threading.Event()

    def until_told() -> None:
        sys.stdin.readline()
        done.set()

    threading.Thread(target=until_told, daemon=True).start()
    sys.stdout.write(json.dumps(keep_asking(Path(sys.argv[1]), done)) + "\n")


if __name__ == "__main__":
    _client_main()
