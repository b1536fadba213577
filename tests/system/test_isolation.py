"""Sources do not meet: neither each other's modules nor objects, nor the host's; and the Admin never imports one."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import NoCompatibleSystemForActor

from director.actors.known import recall
from director.convention import SOURCE_VARIABLE
from director.errors import LoadFailed
from director.tls.keys import SigningKey
from tests.conftest import Host, open_host
from tests.system.test_running import director, eventually

pytestmark = pytest.mark.system

LIMIT = timedelta(seconds=10)

#: An actor that does what it is told, and tells what became of it.
DOER = """
import importlib
import sys
import traceback

from thespian.actors import ActorTypeDispatcher

from app.things import Thing


class Doer(ActorTypeDispatcher):
    got = None

    def receiveMsg_dict(self, message, sender):
        if "DirectorResponse" in message:
            self.send(message["ActorAddress"], {"do": "word"})
            return
        try:
            self.send(sender, getattr(self, message["do"])(message, sender))
        except Exception:
            self.send(sender, traceback.format_exc())

    def receiveMsg_str(self, message, sender):
        self.got = message

    def reach_through_the_director(self, message, sender):
        director = self.createActor("director.Director", globalName="Director")
        self.send(director, {"DirectorOp": "RetrieveRole", "Role": message["role"]})
        return "asked"

    def receiveMsg_Thing(self, message, sender):
        self.got = (type(message) is Thing, message.word)

    def word(self, message, sender):
        return Thing.WORD

    def tell_thing(self, message, sender):
        self.send(message["to"], Thing())
        return "sent"

    def what_came(self, message, sender):
        return self.got

    def module(self, message, sender):
        found = importlib.import_module(message["name"])
        return getattr(found, "WHOSE", "") or getattr(found, "__file__", "")

    def create(self, message, sender):
        made = Helper if message["what"] == "class" else message["what"]
        if "class_of" in message:
            made = importlib.import_module(message["class_of"]).Seeing
        self.helper = self.createActor(made, sourceHash=message.get("hash"))
        return self.helper

    def ask_thing_of_helper(self, message, sender):
        self.send(self.createActor(Helper), (sender, Thing()))
        return "asked"


class Helper(ActorTypeDispatcher):
    def receiveMsg_dict(self, message, sender):
        self.send(sender, Thing.WORD)

    def receiveMsg_tuple(self, message, sender):
        self.send(message[0], type(message[1]) is Thing)
"""

TLI = "{'Actors': {'app.doer.Doer': {'OnLoad': {'Role': '%s'}}}}"


def source(word: str, **more: str) -> dict[str, str]:
    things = f"class Thing:\n    WORD = {word!r}\n    word = {word!r}\n"
    return {"app/__init__.py": "", "app/things.py": things, "app/doer.py": DOER, **more}


class Two:
    """Groups ``one`` and ``two``, and version 2 of ``one``, all with the same module names."""

    def __init__(self, host: Host) -> None:
        self.host = host
        bundled = {
            "attr/__init__.py": "WHOSE = 'bundled'\n",
            "rich/__init__.py": "WHOSE = 'bundled'\n",
            "packaging/__init__.py": "WHOSE = 'bundled'\n",
            "click.py": "WHOSE = 'bundled'\n",
        }
        host.put("one", "1", TLI % "One", source("one") | bundled)
        host.put("two", "1", TLI % "Two", source("two"))
        self.hashes = [host.control.load("one").source_hash, host.control.load("two").source_hash]
        self.old = self.address("One")
        host.put("one", "2", TLI % "One", source("one, newer"))
        host.control.load("one")

    def address(self, role: str) -> Any:
        found = self.host.control.role(role)
        assert found is not None
        return found.address

    def ask(self, who: Any, **message: Any) -> Any:
        address = self.address(who) if isinstance(who, str) else who
        return self.host.control.system.ask(address, message, LIMIT)


#: Installed on the host: tells what it sees, creates others, and needs gold where it is Golden.
INSTALLED = """
import importlib
import os
import sys

from thespian.actors import ActorTypeDispatcher, requireCapability


class Seeing(ActorTypeDispatcher):
    def receiveMsg_dict(self, message, sender):
        if "create" in message:
            self.send(sender, self.createActor(message["create"]))
            return
        try:
            app = importlib.import_module("app.things").Thing.WORD
        except ImportError:
            app = None
        click = importlib.import_module("click").__file__
        self.send(sender, {"app": app, "click": click, "source": os.environ.get("DIRECTOR_SOURCE")})


@requireCapability("Gold")
class Golden(Seeing):
    pass
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a module that every system started meanwhile has, as if it were installed."""
    folder = tmp_path_factory.mktemp("installed")
    name = f"seeing_{uuid.uuid4().hex}"
    (folder / f"{name}.py").write_text(INSTALLED)
    path = Path(sysconfig.get_path("purelib")) / f"{name}.pth"
    path.write_text(f"{folder}\n")
    try:
        yield name
    finally:
        path.unlink()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, key: Any, installed: str) -> Iterator[Two]:
    with open_host(tmp_path_factory.mktemp("isolation"), key) as host:
        yield Two(host)


def test_equal_names_of_groups_and_versions_do_not_meet(two: Two) -> None:
    assert two.ask("One", do="word") == "one, newer"
    assert two.ask("Two", do="word") == "two"
    assert two.ask(two.old, do="word") == "one"


@pytest.mark.parametrize("name", ["attr", "rich", "packaging", "click"])
def test_what_a_source_bundles_is_its_own_and_the_hosts_stays_the_hosts(
    two: Two, name: str
) -> None:
    assert two.ask(two.old, do="module", name=name) == "bundled"
    if name != "attr":
        assert "site-packages" in two.ask("Two", do="module", name=name)


def test_an_actor_creates_others_of_its_source_by_class_and_by_name(two: Two) -> None:
    for what in ("class", "app.doer.Helper"):
        made = two.ask("Two", do="create", what=what)
        assert two.ask(made) == "two"


def test_an_actor_creates_one_of_an_installed_package_by_name(two: Two) -> None:
    made = two.ask("Two", do="create", what="thespian.actors.Actor")
    assert "ActorAddr" in str(made)


def test_an_installed_actor_that_a_source_creates_by_name_sees_none_of_it(
    two: Two, installed: str
) -> None:
    made = two.ask(two.old, do="create", what=f"{installed}.Seeing")
    further = two.ask(made, create=f"{installed}.Seeing")
    for actor in (made, further):
        seen = two.ask(actor)
        assert "site-packages" in seen.pop("click") and seen == {"app": None, "source": None}
    # What it creates by a name of the source is of the source, and it is not.
    assert two.ask(two.ask(made, create="app.doer.Helper")) == "one"
    assert two.ask(made)["app"] is None


def test_one_that_is_created_by_its_class_is_a_fork_of_its_creator(
    two: Two, installed: str
) -> None:
    """Thespian gives no means to have another process make it (actorManager.createActor)."""
    made = two.ask(two.old, do="create", what="", class_of=installed)
    assert two.ask(made)["app"] == "one"


def test_where_an_installed_actor_may_run_is_decided_as_ever(two: Two, installed: str) -> None:
    def made() -> Any:
        wanted = {"do": "create", "what": f"{installed}.Golden"}
        # The address of what was never made does not travel.
        return two.host.control.system.ask(two.address("Two"), wanted, timedelta(seconds=2))

    assert made() is None
    two.host.control.system.updateCapability("Gold", True)
    eventually(lambda: made() is not None)
    two.host.control.system.updateCapability("Gold", None)


def test_what_a_class_inherits_from_an_installed_one_decides_where_it_may_run(
    host: Host, installed: str
) -> None:
    host.put("one", "1", TLI % "One", source("one"))
    inherits = f"import {installed}\n\n\nclass Inherits({installed}.Golden):\n    pass\n"
    host.put("two", "1", "{'Actors': {}}", {"rich_one.py": inherits})
    host.control.load("one")
    digest = host.control.load("two").source_hash
    assert recall(host.control.state, digest).places  # type: ignore[union-attr]
    system = host.control.system
    with pytest.raises(NoCompatibleSystemForActor):
        system.createActor("rich_one.Inherits", sourceHash=digest)
    system.updateCapability("Gold", True)
    made = system.createActor("rich_one.Inherits", sourceHash=digest)
    assert system.ask(made, {}, LIMIT)["source"] == digest


def test_installed_actors_that_a_source_created_end_with_it(host: Host, installed: str) -> None:
    host.control.start()
    before = set(host.processes())
    host.put("one", "1", TLI % "One", source("one"))
    loaded = host.control.load("one")
    role = host.control.role("One")
    assert role is not None
    for _ in range(2):
        made = host.control.system.ask(
            role.address, {"do": "create", "what": f"{installed}.Seeing"}, LIMIT
        )
        assert host.control.system.ask(made, {}, LIMIT)["app"] is None
    eventually(lambda: len(set(host.processes()) - before) == 3)
    host.control.unload(loaded.source_hash)
    eventually(lambda: set(host.processes()) == before)


def test_an_actor_creates_one_of_another_group_by_its_hash(two: Two) -> None:
    made = two.ask("Two", do="create", what="app.doer.Helper", hash=two.hashes[0])
    assert two.ask(made) == "one"


def test_a_system_that_an_actor_of_a_source_starts_is_of_no_source(
    tmp_path: Path, key: SigningKey
) -> None:
    """What the actor runs has its environment; the system's Admin, and all that it starts, do not."""
    with open_host(tmp_path, key) as host:
        host.put("one", "1", TLI % "One", source("one"))
        environ = {**host.environment(), SOURCE_VARIABLE: "d41d8cd98f00b204e9800998ecf8427e"}
        command = [sys.executable, "-m", "director", "load", "one"]
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stderr
        role = host.control.role("One")
        assert role is not None and role.ask({"do": "word"}, 10) == "one"


def test_an_actor_reaches_one_of_another_group_through_the_director(two: Two) -> None:
    assert two.ask("Two", do="reach_through_the_director", role="One") == "asked"
    eventually(lambda: two.ask("Two", do="what_came") == "one, newer")


def test_an_installed_actor_sees_no_source(two: Two) -> None:
    with pytest.raises(Exception, match="app"):
        two.host.control.system.createActor("app.doer.Doer")


def test_objects_travel_within_a_source(two: Two) -> None:
    system = two.host.control.system
    system.tell(two.address("Two"), {"do": "ask_thing_of_helper"})
    heard = [system.listen(LIMIT), system.listen(LIMIT)]
    assert sorted(map(str, heard)) == ["True", "asked"]


@pytest.mark.parametrize("receiver", ["another group", "another version"])
def test_an_object_of_another_source_is_refused_with_a_line_in_the_receivers_log(
    two: Two, receiver: str
) -> None:
    to = two.address("Two") if receiver == "another group" else two.old
    before = two.ask(to, do="what_came")
    assert two.ask("One", do="tell_thing", to=to) == "sent"
    log = two.host.control.config.log_directory / "thespian.log"
    where = ":" + str(to).rpartition(":")[2]

    def told() -> bool:
        return any(
            "refused an object of app.things.Thing" in line and where in line
            for line in log.read_text().splitlines()
        )

    # It goes on, and its line reaches the log with whatever it sends next; our question may overtake the object.
    def goes_on_and_told() -> bool:
        assert two.ask(to, do="what_came") == before
        return told()

    eventually(goes_on_and_told)


def test_the_host_takes_no_object_of_a_source(two: Two) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from datetime import timedelta\n"
        "import app.things\n"
        "from director import DirectorControl\n"
        "from thespian.system.messages.status import Thespian_StatusReq\n"
        "with DirectorControl() as control:\n"
        "    one = control.role('One').address\n"
        "    me = control.system.createActor('thespian.actors.Actor')\n"
        "    heard = [control.system.ask(one, {'do': 'tell_thing', 'to': me}, timedelta(seconds=5))]\n"
        "    print(heard)\n"
        "    # Its line reaches the log with whatever it sends next.\n"
        "    control.system.ask(me, Thespian_StatusReq(), timedelta(seconds=5))\n"
    )
    place = two.host.directory.parent / "hosts_own"
    (place / "app").mkdir(parents=True)
    (place / "app" / "__init__.py").write_text("")
    (place / "app" / "things.py").write_text("class Thing: pass\n")
    done = subprocess.run(
        [sys.executable, "-c", script, str(place)],
        env=two.host.environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "['sent']\n", done.stderr
    log = two.host.control.config.log_directory / "thespian.log"
    eventually(lambda: "the host takes builtin types only" in log.read_text())


# ---- the Admin and the Director go on ------------------------------------------------------------------------------


def answering(host: Host, during: Callable[[], None]) -> float:
    """The longest time in seconds that Admin or Director took to answer while something went on."""
    longest = 0.0
    thread = threading.Thread(target=during)
    thread.start()
    while thread.is_alive():
        started = time.monotonic()
        host.control.system.createActor("director.actors.director.Director", globalName="Director")
        host.control.ask({"DirectorOp": "Identify"}, "Identity")
        longest = max(longest, time.monotonic() - started)
        time.sleep(0.02)
    thread.join()
    return longest


@pytest.mark.parametrize(
    "what",
    [
        "import sys; sys.exit(1)",
        "import time; time.sleep(10)",
        pytest.param("import os; os._exit(1)", marks=pytest.mark.slow),
        pytest.param("while True: pass", marks=pytest.mark.slow),
    ],
)
def test_whatever_module_code_does_admin_and_director_answer_within_half_a_second(
    host: Host, what: str
) -> None:
    host.put("good", "1", TLI % "Good", source("good"))
    host.control.load("good")
    host.put(
        "bad", "1", TLI % "Bad", source("bad") | {"app/things.py": what + "\nclass Thing: pass"}
    )
    done: list[Any] = []
    longest = answering(host, lambda: done.append(director(host, "load", "bad", timeout=90)))
    assert longest < 0.5
    slow_but_good = "sleep(10)" in what
    assert (done[0].returncode == 0) is slow_but_good, done[0].stderr
    role = host.control.role("Good")
    assert (
        role is not None and host.control.system.ask(role.address, {"do": "word"}, LIMIT) == "good"
    )


def test_many_slow_classes_with_words_on_placement_hold_admin_and_director_up_no_longer(
    host: Host,
) -> None:
    roles = range(12)
    actors = ", ".join(f"'app.m.C{n}': {{'OnLoad': {{'Role': 'R{n}'}}}}" for n in roles)
    module = "import time; time.sleep(2)\nfrom thespian.actors import Actor, requireCapability\n"
    for n in roles:
        module += f"@requireCapability('Admin Port')\nclass C{n}(Actor):\n    pass\n"
    told = {"app/__init__.py": "", "app/m.py": module}
    host.put("slow", "1", f"{{'Actors': {{{actors}}}}}", told)
    host.control.start()
    done: list[Any] = []
    longest = answering(host, lambda: done.append(director(host, "load", "slow", timeout=90)))
    assert longest < 0.5
    assert done[0].returncode == 0, done[0].stderr


# ---- what is left behind -------------------------------------------------------------------------------------------


def test_unloading_frees_the_disk_and_the_admins_memory_of_it(host: Host) -> None:
    host.put("one", "1", TLI % "One", source("one"))
    loaded = host.control.load("one")
    known = recall(host.control.state, loaded.source_hash)
    assert known is not None and Path(known.directory).is_dir()
    host.control.unload(loaded.source_hash)
    eventually(lambda: not Path(known.directory).exists())
    assert recall(host.control.state, loaded.source_hash) is None
    host.control.load("one")
    assert host.control.role("One") is not None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/status")
def test_nothing_of_the_bytes_that_were_unloaded_stays_in_the_admin(host: Host) -> None:
    host.control.start()
    admin = host.control.ask({"DirectorOp": "Identify"}, "Identity")["AdminPid"]
    size, loaded = 10.0, []
    first = resident(admin)
    for number in range(5):
        members: dict[str, str | bytes] = {**source("one"), "app/b.bin": os.urandom(10_000_000)}
        host.put("one", str(number), TLI % "One", members)
        loaded.append(host.control.load("one").source_hash)
    for source_hash in loaded[:-1]:
        host.control.unload(source_hash)
    eventually(lambda: resident(admin) < first + size + 6)


def resident(pid: int) -> float:
    """Resident memory of a process in MB."""
    (line,) = (
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )
    return int(line.split()[1]) / 1024


def test_what_no_actor_imported_yet_is_byte_compiled_behind_the_activation(host: Host) -> None:
    host.put("one", "1", TLI % "One", source("one") | {"app/later.py": "LATER = 1\n"})
    loaded = host.control.load("one")
    known = recall(host.control.state, loaded.source_hash)
    assert known is not None
    eventually(lambda: any(Path(known.directory, "app", "__pycache__").glob("later.*.pyc")))


# ---- placement -----------------------------------------------------------------------------------------------------

PICKY = """
    from thespian.actors import ActorTypeDispatcher, requireCapability
    import app.slow

    @requireCapability("Gold")
    class Picky(ActorTypeDispatcher):
        def receiveMsg_dict(self, message, sender):
            self.send(sender, "gold")

    class Easy(ActorTypeDispatcher):
        @staticmethod
        def actorSystemCapabilityCheck(capabilities, requirements):
            return requirements.get("colour", "red") == "red"
        def receiveMsg_dict(self, message, sender):
            self.send(sender, "easy")
"""


@pytest.mark.parametrize("slow", ["", "import time; time.sleep(1)\n"])
def test_placement_decides_as_in_thespian_and_again_when_capabilities_change(
    host: Host, slow: str
) -> None:
    told = {"app/__init__.py": "", "app/picky.py": PICKY, "app/slow.py": slow}
    host.put("picky", "1", "{'Actors': {}}", told)
    digest = host.control.load("picky").source_hash
    system = host.control.system

    def works(name: str, wanted: str, **requirements: str) -> bool:
        from thespian.actors import NoCompatibleSystemForActor

        try:
            made = system.createActor(name, requirements or None, sourceHash=digest)
        except NoCompatibleSystemForActor:
            return False
        # Where the import was too slow for the Admin to wait, the actor's own process refused.
        return bool(system.ask(made, {}, timedelta(seconds=3)) == wanted)

    assert works("app.picky.Easy", "easy")
    assert not works("app.picky.Easy", "easy", colour="blue")
    assert not works("app.picky.Picky", "gold")
    system.updateCapability("Gold", True)
    eventually(lambda: works("app.picky.Picky", "gold"))
    system.updateCapability("Gold", None)
    eventually(lambda: not works("app.picky.Picky", "gold"))


def test_who_is_asked_about_placement_ends_with_the_source(host: Host) -> None:
    host.control.start()
    before = set(host.processes())
    sleeping = "import subprocess, time\nsubprocess.Popen(['sleep', '100'])\ntime.sleep(1)\n"
    told = {"app/__init__.py": "", "app/picky.py": PICKY, "app/slow.py": sleeping}
    host.put("picky", "1", "{'Actors': {}}", told)
    digest = host.control.load("picky").source_hash
    host.control.system.tell(
        host.control.system.createActor("app.picky.Easy", sourceHash=digest), {}
    )
    assert len(set(host.processes()) - before) >= 3, "both imported it, and it starts another"
    host.control.unload(digest)
    eventually(lambda: set(host.processes()) == before)


def test_a_class_that_is_not_there_fails_the_load_with_its_name(host: Host) -> None:
    host.put("one", "1", TLI.replace("Doer", "Nobody") % "One", source("one"))
    with pytest.raises(LoadFailed, match="Nobody"):
        host.control.load("one")
