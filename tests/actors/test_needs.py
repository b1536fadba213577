"""What a class asks of its host, read from its text, and the sentence about hosts that do not fit."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from director.actors.needs import ANY, CHECK, nobody, of_class
from director.convention import REMOTE_SOURCES

MODULE = textwrap.dedent("""
    import thespian.actors as t
    from thespian.actors import Actor, requireCapability

    @requireCapability("Base")
    class Base(Actor):
        pass

    @t.requireCapability("Two", 2)
    @requireCapability(cap="Three", value=None)
    class Derived(Base):
        pass

    @requireCapability(NAME)
    class Secret(Actor):
        pass

    class Own(Actor):
        @staticmethod
        def actorSystemCapabilityCheck(capabilities, requirements):
            return False

    class Nothing(Actor):
        pass

    class Loop(Loop):
        pass
""")


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("Base", {"Base": ANY}),
        ("Derived", {"Base": ANY, "Two": "2", "Three": ANY}),
        ("Secret", {CHECK: ""}),
        ("Own", {CHECK: ""}),
        ("Nothing", {}),
        ("Loop", {}),
        ("Unknown", {}),
    ],
)
def test_what_a_class_needs_stands_in_its_text(
    tmp_path: Path, name: str, needs: dict[str, str]
) -> None:
    for place in ("one.py", "pack/__init__.py", "pack/two.py"):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(MODULE)
    for module in ("one", "pack", "pack.two"):
        assert of_class(tmp_path, f"{module}.{name}") == needs
    assert of_class(tmp_path, f"none.{name}") == {}


def test_a_text_that_does_not_read_may_need_anything(tmp_path: Path) -> None:
    for number, text in enumerate(("class", "(" * 10_000, "#" * (2 << 20), "a\0b")):
        (tmp_path / f"m{number}.py").write_text(text)
        assert of_class(tmp_path, f"m{number}.A") == {CHECK: ""}


def test_each_host_is_told_with_what_it_lacks() -> None:
    hosts: dict[str, dict[str, object]] = {
        "h1": {"Python Version": (3, 11)},
        "h2 (10.0.0.2:1900)": {"Two": 3, "Base": True},
        "h3 (10.0.0.3:1900)": {"Two": 2, "Base": 0},
        "h4 (10.0.0.4:1900)": {"Two": 2, "Base": 1, REMOTE_SOURCES: "No"},
        "h5 (10.0.0.5:1900)": {"Two": 2, "Base": 1},
        "h6 (10.0.0.6:1900)": {"Two": 2, "Base": 1},
    }
    told = nobody("a.A", {"Base": ANY, "Two": "2"}, hosts)
    assert told == (
        "no host of the convention takes a.A: "
        "h1 without the capability 'Base' and 'Two': 2 that its requireCapability asks for; "
        "h2 (10.0.0.2:1900) without the capability 'Two': 2 that its requireCapability asks for; "
        "h3 (10.0.0.3:1900) without the capability 'Base' that its requireCapability asks for; "
        "h4 (10.0.0.4:1900) taking no sources from others now (AllowRemoteActorSources); "
        "h5 (10.0.0.5:1900), h6 (10.0.0.6:1900) not fitting its requireCapability or actorSystemCapabilityCheck"
    )
    assert nobody("a.A", {}, {}) == "no host of the convention takes a.A"
