"""Wheels and projects made by hand, so that builds need no network and tests know every byte."""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    files: Mapping[str, str | bytes] | None = None,
    *,
    requires: Sequence[str] = (),
    metadata: Sequence[str] = ("License-Expression: MIT",),
    tag: str = "py3-none-any",
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """A wheel in ``folder``; without ``files`` it has one module that tells its version.

    Args:
        metadata: further lines of METADATA.
        scripts: console scripts, name → ``module:function``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    content: dict[str, bytes] = {}
    for path, text in (files or {f"{module}.py": f"VERSION = {version!r}\n"}).items():
        content[path] = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {name}",
        f"Version: {version}",
        *metadata,
        *(f"Requires-Dist: {one}" for one in requires),
        *(f"Provides-Extra: {one}" for one in re.findall(r"extra == '(\w+)'", " ".join(requires))),
    ]
    content[f"{info}/METADATA"] = ("\n".join(lines) + "\n").encode()
    pure = str(tag.endswith("none-any")).lower()
    told = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
    content[f"{info}/WHEEL"] = told.encode()
    if scripts:
        entries = "".join(f"{key} = {value}\n" for key, value in scripts.items())
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{entries}".encode()
    wheel = folder / f"{module}-{version}-{tag}.whl"
    record = []
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, data in content.items():
            archive.writestr(file, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{file},sha256={digest},{len(data)}")
        record.append(f"{info}/RECORD,,")
        archive.writestr(f"{info}/RECORD", "\n".join(record) + "\n")
    return wheel


def unpack(wheel: Path, target: Path) -> Path:
    """What ``pip install --target`` would leave of a pure wheel."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a tree of files; returns its root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
        path.write_bytes(data)
    return root
