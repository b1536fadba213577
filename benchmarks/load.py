"""Loading sources: this project's way beside Thespian's own importer, same Python, same machine, one run.

    python benchmarks/load.py [--rounds N] [--docs DIR] [--only 20,300,2000,20MB] [--sections first,unrelated,memory]

Each measurement is a process of its own with a fresh actor system; the two ways take turns, with further actors create
by create. Thespian's own side gets a Source Authority that accepts everything without looking, so that its figures hold
no verification at all; ours verify and unpack, in a system as `director start` makes it. Medians are printed, and with
``--docs`` written there as a table and a plot (needs matplotlib); a section that was not measured stays as it is there.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

LIMIT = timedelta(seconds=120)
#: Further actors of each way and step in a round.
TURNS = 15
#: name → modules, of which imported, bytes of data.
KINDS = {
    "20": (20, 20, 0),
    "300": (300, 300, 0),
    "2000": (2000, 200, 0),
    "20MB": (20, 20, 20_000_000),
}
STEPS = {
    "cold": "load → first reply, cold",
    "warm": "load → first reply, byte code present",
    "inner": "further actor, by an actor of the source",
    "outer": "further actor, from outside",
}
#: What is measured, and how its part of the document begins.
SECTIONS = {
    "first": "Python ",
    "unrelated": "| 100 unrelated",
    "memory": "| resident memory",
}
#: Standard modules that nothing here imports by itself; the rest of the hundred is not there at all.
_STANDARD = (
    "bdb",
    "cProfile",
    "calendar",
    "cmd",
    "code",
    "codeop",
    "colorsys",
    "compileall",
    "configparser",
    "csv",
    "ctypes.util",
    "curses.ascii",
    "dbm.dumb",
    "difflib",
    "dis",
    "doctest",
    "email.mime.audio",
    "email.mime.image",
    "ensurepip",
    "filecmp",
    "fileinput",
    "ftplib",
    "getopt",
    "getpass",
    "gettext",
    "graphlib",
    "html.parser",
    "http.cookiejar",
    "http.server",
    "imaplib",
    "importlib.simple",
    "json.tool",
    "mailbox",
    "mimetypes",
    "modulefinder",
    "netrc",
    "optparse",
    "pdb",
    "pickletools",
    "plistlib",
    "poplib",
    "pprint",
    "profile",
    "pstats",
    "pty",
    "py_compile",
    "pyclbr",
    "pydoc",
    "quopri",
    "rlcompleter",
    "sched",
    "shelve",
    "site",
    "smtplib",
    "sqlite3.dump",
    "stringprep",
    "symtable",
    "tabnanny",
    "timeit",
    "tomllib",
    "trace",
    "tracemalloc",
    "unittest.mock",
    "venv",
    "wave",
    "webbrowser",
    "wsgiref.simple_server",
    "xml.dom.minidom",
    "xml.dom.pulldom",
    "xml.sax.expatreader",
    "xmlrpc.client",
    "xmlrpc.server",
    "zipapp",
    "zoneinfo",
)
UNRELATED = (*_STANDARD, *(f"no_such_module_{n}" for n in range(100 - len(_STANDARD))))

ACTOR = """
from thespian.actors import ActorTypeDispatcher
{imports}

class First(ActorTypeDispatcher):
    def receiveMsg_str(self, message, sender):
        self.send(sender, message)

    def receiveMsg_int(self, message, sender):
        import time
        self.asker, self.began = sender, time.perf_counter()
        self.send(self.createActor(Second), 0)

    def receiveMsg_tuple(self, message, sender):
        import time
        self.send(self.asker, time.perf_counter() - self.began)


class Second(ActorTypeDispatcher):
    def receiveMsg_int(self, message, sender):
        self.send(sender, ())
"""

MODULE = '''
"""Module {n}: of about the size and make of ordinary ones."""

import functools
import os.path

LIMIT_{n} = {n}


class Record{n}:
    """A record."""

    def __init__(self, name="record", size={n}, parts=()):
        self.name = name
        self.size = size
        self.parts = list(parts)

    @property
    def base(self):
        return os.path.basename(self.name)

    def total(self):
        """Its size with its parts."""
        return self.size + sum(part * {n} for part in self.parts)


def transform_{n}(values, *, factor=2, offset={n}):
    """Each value, scaled and moved."""
    found = []
    for value in values:
        if value % 2:
            found.append(value * factor + offset)
        elif value > LIMIT_{n}:
            found.append(value - offset)
        else:
            found.append(value)
    return found


@functools.lru_cache(maxsize=16)
def search_{n}(text, needle="n{n}"):
    """Where the needle is."""
    place = text.find(needle)
    return {{"place": place, "found": place >= 0, "limit": LIMIT_{n}}}
'''


def files(kind: str, salt: str = "") -> dict[str, bytes]:
    """The members of a source of this kind."""
    modules, imported, data = KINDS[kind]
    made = {f"app/m{n}.py": MODULE.format(n=n).encode() for n in range(modules)}
    imports = "\n".join(f"import app.m{n}" for n in range(imported))
    made["app/__init__.py"] = f"SALT = {salt!r}\n".encode()
    made["app/first.py"] = ACTOR.format(imports=imports).encode()
    if data:
        made["app/data.bin"] = os.urandom(data)
    return made


# ---- the two ways --------------------------------------------------------------------------------------------------


class Ours:
    """A director directory with its system."""

    def __init__(self, home: Path) -> None:
        from director.control import DirectorControl
        from director.demo import free_port
        from director.tls.keys import generate_key, load_signing_key

        self.directory = home / "director"
        self.directory.mkdir(exist_ok=True)
        pem = home / "key.pem"
        if not pem.exists():
            pem.write_bytes(generate_key(2048).private_pem(None))
        self.key = load_signing_key(pem.read_bytes(), name="bench")
        (self.directory / "bench_tls.key").write_bytes(self.key.public_pem)
        (self.directory / "adminport.cfg").write_text(str(free_port()))
        (self.directory / "thesplogd.cfg").write_text(str(home / "log"))
        self.control = DirectorControl(self.directory)

    def start(self) -> Any:
        self.control.start()
        return self.control.system

    def source(self, members: dict[str, bytes], version: str) -> Path:
        from director.tls.archive import Member, write_archive
        from director.tls.container import seal
        from director.tls.manifest import MANIFEST_NAME, Manifest, describe

        listed = [Member(name, data) for name, data in sorted(members.items())]
        told: dict[str, Any] = dict.fromkeys(Manifest.__dataclass_fields__)
        told |= {
            "group": "app",
            "version": version,
            "requires_python": "",
            "tags": ("py3-none-any",),
            "key_fingerprint": self.key.public.fingerprint,
            "key_algorithm": self.key.public.algorithm,
            "members": describe(listed),
            "bundled": (),
            "external": ("thespian",),
            "actors": (),
        }
        manifest = Manifest(**told)
        path = self.directory / f"app-{version}.tls"
        path.write_bytes(
            seal(write_archive([Member(MANIFEST_NAME, manifest.to_bytes()), *listed]), self.key)
        )
        return path

    def admin(self) -> int:
        return int(self.control.ask({"DirectorOp": "Identify"}, "Identity")["AdminPid"])

    def stop(self) -> None:
        self.control.shutdown()


class Thespians:
    """A plain actor system whose authority accepts everything."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.system: Any = None

    def start(self) -> Any:
        from thespian.actors import ActorSystem

        from director.demo import free_port

        os.environ["THESPLOG_FILE"] = str(self.home / "thesplog")
        logs = {
            "version": 1,
            "handlers": {"none": {"class": "logging.NullHandler"}},
            "root": {"handlers": ["none"], "level": 50},
        }
        self.system = ActorSystem("multiprocTCPBase", {"Admin Port": free_port()}, logDefs=logs)
        authority = self.system.createActor("accept_all.AcceptAll")
        assert self.system.ask(authority, "stand", LIMIT) == "standing"
        # Its registration is on its way to the Admin; an actor that the Admin made since then comes after it.
        other = self.system.createActor("accept_all.Unrelated")
        assert self.system.ask(other, "pid", LIMIT)
        return self.system

    def source(self, members: dict[str, bytes], version: str) -> Path:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in sorted(members.items()):
                archive.writestr(name, data)
        path = self.home / f"app-{version}.zip"
        path.write_bytes(stream.getvalue())
        return path

    def admin(self) -> int:
        actor = self.system.createActor("accept_all.Unrelated")
        return int(self.system.ask(actor, "admin", LIMIT))

    def stop(self) -> None:
        self.system.shutdown()


@contextlib.contextmanager
def running(way: Any) -> Iterator[Any]:
    system = way.start()
    try:
        yield system
    finally:
        way.stop()


def source_hash(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def first_reply(system: Any, path: Path, digest: str) -> tuple[float, Any]:
    began = time.perf_counter()
    system.loadActorSource(str(path))
    actor = system.createActor("app.first.First", sourceHash=digest)
    assert system.ask(actor, "hello", LIMIT) == "hello"
    return time.perf_counter() - began, actor


# ---- one measurement, in a process of its own ----------------------------------------------------------------------


def measure(way_name: str, what: str, kind: str) -> dict[str, Any]:
    home = Path(tempfile.mkdtemp())
    way: Any = Ours(home) if way_name == "ours" else Thespians(home)
    if what == "first":
        return _first(way, way_name, kind)
    if what == "further":
        return _further(way, kind)
    if what == "unrelated":
        return _unrelated(way, int(kind))
    return _memory(way, kind)


def _first(way: Any, way_name: str, kind: str) -> dict[str, Any]:
    path = way.source(files(kind), "1")
    digest = source_hash(path)
    told = {}
    with running(way) as system:
        told["cold"], _ = first_reply(system, path, digest)
    if way_name == "ours":
        with running(Ours(way.directory.parent)) as system:
            told["warm"], _ = first_reply(system, path, digest)
    else:
        told["warm"] = told["cold"]  # its importer has no byte code
    return told


def _further(way: Any, kind: str) -> dict[str, Any]:
    """Make a further actor for each line of stdin, which says which way, and print the seconds."""
    path = way.source(files(kind), "1")
    digest = source_hash(path)
    with running(way) as system:
        _, actor = first_reply(system, path, digest)
        assert system.ask(actor, "again", LIMIT) == "again"
        print("ready", flush=True)
        for line in sys.stdin:
            if line.strip() == "inner":
                print(system.ask(actor, 1, LIMIT), flush=True)
                continue
            began = time.perf_counter()
            made = system.createActor("app.first.First", sourceHash=digest)
            assert system.ask(made, "hello", LIMIT) == "hello"
            print(time.perf_counter() - began, flush=True)
    return {}


def _unrelated(way: Any, loaded: int) -> dict[str, Any]:
    with running(way) as system:
        for number in range(loaded):
            path = way.source(files("300", f"{number}"), f"{number}")
            first_reply(system, path, source_hash(path))
        actor = system.createActor("accept_all.Unrelated")
        return {"unrelated": system.ask(actor, list(UNRELATED), LIMIT)}


def _memory(way: Any, kind: str) -> dict[str, Any]:
    from thespian.actors import ActorExitRequest

    with running(way) as system:
        admin = way.admin()
        told: dict[str, Any] = {}
        loaded = []
        for number in range(10):
            path = way.source(files(kind, f"{number}"), f"{number}")
            _, actor = first_reply(system, path, source_hash(path))
            loaded.append((actor, source_hash(path)))
            if number == 0:
                told["admin_one"] = resident(admin)
        told["admin_all"] = resident(admin)
        for actor, digest in loaded[:9]:
            system.tell(actor, ActorExitRequest())
            system.unloadActorSource(digest)
        time.sleep(0.5)
        told["admin_ten"] = resident(admin)
        told["actor"] = resident(int(system.ask(_pid_actor(system), "pid", LIMIT)))
        return told


def _pid_actor(system: Any) -> Any:
    return system.createActor("accept_all.Unrelated")


def resident(pid: int) -> float:
    """Proportional resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def plain_import(kind: str) -> dict[str, float]:
    """Importing the same tree from a directory, without and with byte code, in a process of its own each."""
    folder = tempfile.mkdtemp()
    for name, data in files(kind).items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import thespian.actors\n"
        "t = time.perf_counter(); import app.first; print(time.perf_counter() - t)"
    )
    command = [sys.executable, "-c", script, folder]
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    cold, warm = (
        float(
            subprocess.run(command, capture_output=True, check=True, text=True, env=environ).stdout
        )
        for _ in range(2)
    )
    return {"plain cold": cold, "plain warm": warm}


# ---- all of them ---------------------------------------------------------------------------------------------------


def started(way: str, what: str, kind: str) -> subprocess.Popen[str]:
    """A process that measures."""
    return subprocess.Popen(
        [sys.executable, __file__, "--measure", way, what, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"},
    )


def run(way: str, what: str, kind: str) -> dict[str, Any]:
    process = started(way, what, kind)
    return ended(process, f"{way} {what} {kind}")


def ended(process: subprocess.Popen[str], name: str) -> dict[str, Any]:
    output, errors = process.communicate(timeout=900)
    if process.returncode:
        raise SystemExit(f"{name} failed:\n{errors}")
    told: dict[str, Any] = json.loads(output.splitlines()[-1])
    return told


def take_turns(kind: str) -> dict[str, dict[str, float]]:
    """Seconds for further actors, by way and step: both systems stand, and each create of one follows one of the other.

    They differ by less than the machine does between one second and the next.
    """
    found: dict[str, dict[str, list[float]]] = {
        way: {"inner": [], "outer": []} for way in ("ours", "thespian")
    }
    processes = {way: started(way, "further", kind) for way in found}
    try:
        lines = {way: _line(process) for way, process in processes.items()}
        assert set(lines.values()) == {"ready"}, lines
        for step in ("inner", "outer"):
            for turn in range(TURNS):
                for way in sorted(found, reverse=bool(turn % 2)):
                    found[way][step].append(float(_line(processes[way], step)))
    finally:
        for way, process in processes.items():
            ended(process, f"{way} further {kind}")  # the end of its stdin ends it
    return {
        way: {step: statistics.median(times) for step, times in steps.items()}
        for way, steps in found.items()
    }


def _line(process: subprocess.Popen[str], asked: str = "") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    if asked:
        process.stdin.write(f"{asked}\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


@contextlib.contextmanager
def installed_actors() -> Iterator[None]:
    """The actors of `accept_all` count as installed: a system of ours takes no path from its caller."""
    path = Path(sysconfig.get_path("purelib")) / "bench_accept_all.pth"
    path.write_text(f"{Path(__file__).resolve().parent}\n")
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def one_place() -> Iterator[None]:
    """Every measurement gets its own part of the disk, and nothing is removed before the last.

    ext4 passes over each inode that was freed in the last minutes, for each new file: a round would pay for the one
    before it, the plain import as well as ours.
    """
    from director.tree import spread

    with tempfile.TemporaryDirectory(prefix="bench-load-") as folder:
        spread(folder)
        os.environ["TMPDIR"] = folder
        yield


def medians(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--sections", default=",".join(SECTIONS))
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    if arguments.docs and not importlib.util.find_spec("matplotlib"):
        parser.error("--docs draws a plot: pip install '.[bench]'")
    with installed_actors(), one_place():
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    wanted = arguments.sections.split(",")
    figures: dict[str, dict[str, Any]] = {}
    made: dict[str, list[str]] = {}
    if "first" in wanted:
        made["first"] = loads(arguments.only.split(","), arguments.rounds, figures)
    if "unrelated" in wanted:
        made["unrelated"] = unrelated(arguments.rounds)
    if "memory" in wanted:
        made["memory"] = memory()
    if arguments.docs:
        write_docs(arguments.docs, made)
        if figures:
            write_plot(arguments.docs, figures)


def loads(kinds: list[str], rounds: int, figures: dict[str, dict[str, Any]]) -> list[str]:
    """The table of first replies and further actors; ``figures`` receives the medians, by kind."""
    lines = [
        f"Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"medians of {rounds} rounds, seconds; the two take turns.",
        "",
        "| source | step | ours | Thespian's importer | times faster | plain import of the tree |",
        "|---|---|---|---|---|---|",
    ]
    for kind in kinds:
        rows: dict[str, list[dict[str, Any]]] = {"ours": [], "thespian": [], "plain": []}
        for _ in range(rounds):
            further = take_turns(kind)
            for way in ("ours", "thespian"):
                rows[way].append(run(way, "first", kind) | further[way])
            rows["plain"].append(plain_import(kind))
        ours, theirs, plain = (medians(rows[way]) for way in ("ours", "thespian", "plain"))
        figures[kind] = {"ours": ours, "theirs": theirs, "plain": plain}
        modules, imported, data = KINDS[kind]
        title = f"{modules} modules" + (f", {imported} imported" if imported < modules else "")
        title += f", {data // 1_000_000} MB" if data else ""
        for step, name in STEPS.items():
            reference = plain.get(f"plain {step}")
            beside = f"{reference:#.3g}" if reference else ""
            ratio = theirs[step] / ours[step]
            lines.append(
                f"| {title} | {name} | {ours[step]:#.3g} | {theirs[step]:#.3g} | {ratio:#.3g} | {beside} |"
            )
            print(lines[-1], flush=True)
    return lines


def unrelated(rounds: int) -> list[str]:
    """The table of imports that have nothing to do with what is loaded."""
    lines = [
        f"| 100 unrelated imports in an installed actor ({len(_STANDARD)} standard modules, "
        f"{len(UNRELATED) - len(_STANDARD)} that do not exist), beside | ours | Thespian's |",
        "|---|---|---|",
    ]
    counts, ways = ("0", "1", "20"), ("ours", "thespian")
    found: dict[tuple[str, str], list[float]] = {(n, way): [] for n in counts for way in ways}
    for _ in range(rounds):  # the counts take turns too: the machine drifts more than they differ
        for loaded, way in found:
            found[loaded, way].append(run(way, "unrelated", loaded)["unrelated"])
    for loaded in counts:
        ours, theirs = (statistics.median(found[loaded, way]) for way in ways)
        lines.append(f"| {loaded} sources of 300 modules | {ours:.3f} | {theirs:.3f} |")
        print(lines[-1], flush=True)
    return lines


def memory() -> list[str]:
    """The table of resident memory."""
    lines = ["| resident memory, MB | ours | Thespian's |", "|---|---|---|"]
    for kind, title in {"300": "300 modules", "20MB": "20 MB"}.items():
        told = {
            way: medians([run(way, "memory", kind) for _ in range(3)])
            for way in ("ours", "thespian")
        }
        for key, name in {
            "admin_one": f"Admin, one version of {title} loaded",
            "admin_all": f"Admin, ten of {title} loaded",
            "admin_ten": "Admin, nine of them unloaded",
            "actor": "an installed actor then",
        }.items():
            lines.append(f"| {name} | {told['ours'][key]:.1f} | {told['thespian'][key]:.1f} |")
            print(lines[-1], flush=True)
    return lines


def write_docs(folder: Path, made: dict[str, list[str]]) -> None:
    """Write the tables that were made; what stands there of the others is kept."""
    path = folder / "load.md"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    parts = [
        "# How fast sources load\n\nMade by `python benchmarks/load.py --docs docs`; "
        "[loading.md](loading.md#figures) tells what of it misses its target, and why."
    ]
    for name, start in SECTIONS.items():
        if name in made:
            parts.append("\n".join(made[name]))
        elif start in before:
            place = before.index(start)
            end = min(
                (
                    before.index(mark, place + 1)
                    for mark in (*SECTIONS.values(), "![](")
                    if mark in before[place + 1 :]
                ),
                default=len(before),
            )
            parts.append(before[place:end].rstrip())
    path.write_text("\n\n".join([*parts, "![](load.svg)\n"]), encoding="utf-8")


def write_plot(folder: Path, figures: dict[str, dict[str, Any]]) -> None:
    """Draw the first replies."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "bench"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4))
    kinds = list(figures)
    for offset, (label, pick) in enumerate(
        {
            "Thespian's importer": lambda f: f["theirs"]["cold"],
            "ours, cold": lambda f: f["ours"]["cold"],
            "ours, byte code present": lambda f: f["ours"]["warm"],
            "plain import, cold": lambda f: f["plain"]["plain cold"],
            "plain import, byte code present": lambda f: f["plain"]["plain warm"],
        }.items()
    ):
        places = [place + (offset - 2) * 0.16 for place in range(len(kinds))]
        axes.bar(places, [pick(figures[kind]) for kind in kinds], 0.15, label=label)
    axes.set_yscale("log")
    axes.set_ylabel("seconds to the first reply (log)")
    axes.set_xticks(
        range(len(kinds)),
        [f"{kind} modules" if "MB" not in kind else "20 modules, 20 MB" for kind in kinds],
    )
    axes.legend(fontsize=8)
    figure.tight_layout()
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / "load.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
