"""What the methods of DirectorControl return: dataclasses, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from director.errors import DirectorError


@dataclass(frozen=True)
class KeyFiles:
    """A key pair that was made: its two files, and the fingerprint of the public key."""

    private: Path
    public: Path
    fingerprint: str


@dataclass(frozen=True)
class Generated:
    """What gensrc wrote, and what its user should know."""

    paths: tuple[Path, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Loaded:
    """What a load did: the file, its group and source hash, and warnings for the operator."""

    group: str
    path: Path
    source_hash: str
    changed: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refreshed:
    """What refresh did for one group: ``loaded``, or the error that stopped it."""

    group: str
    loaded: Loaded | None
    error: DirectorError | None

    @property
    def waiting(self) -> bool:
        """Whether the version is active, and an actor of it waits for a host: that heals by itself."""
        return self.error is not None and self.error.code == "no-host"
