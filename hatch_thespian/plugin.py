"""Entry points only: hatch asks here which hooks and builders there are, and imports what it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatchling.plugin import hookimpl

if TYPE_CHECKING:
    from hatch_thespian.builder import TlsBuilder
    from hatch_thespian.hook import ThespianBuildHook
    from hatch_thespian.publisher import ThespianPublisher


@hookimpl
def hatch_register_build_hook() -> type[ThespianBuildHook]:
    """The build hook ``thespian``."""
    from hatch_thespian.hook import ThespianBuildHook

    return ThespianBuildHook


@hookimpl
def hatch_register_builder() -> type[TlsBuilder]:
    """The target ``tls``."""
    from hatch_thespian.builder import TlsBuilder

    return TlsBuilder


@hookimpl
def hatch_register_publisher() -> type[ThespianPublisher]:
    """The publisher ``thespian``; only hatch itself asks for it."""
    from hatch_thespian.publisher import ThespianPublisher

    return ThespianPublisher
