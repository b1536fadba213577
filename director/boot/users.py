"""The user of a service where bootstart creates it, on a host or in an image, and where bootstop removes it.

What lives here: the commands, and what they may touch and leave in an image. Pure, as the platforms are.
"""

from __future__ import annotations

from dataclasses import replace

from director.boot.plan import Command, Service

#: The user database; the tools change these, and in an image they would follow links out of it.
DATABASE = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")
#: The tools' lock, and copies of the database's last state: no part of an image.
_LITTER = ("/etc/.pwd.lock", *(f"{path}-" for path in DATABASE))


def create(service: Service, words: tuple[str, ...]) -> tuple[Command, ...]:
    """The command that makes the user; nothing where it is not to be made.

    Args:
        words: the command that the platform has for it.
    """
    if not service.create_user:
        return ()
    known: tuple[str, ...] = ("id", "-u", str(service.user))
    if service.root:
        known = ("grep", "-q", f"^{service.user}:", f"{service.root}/etc/passwd")
    gone = ("userdel", *_at(service), str(service.user))
    made = _command(service, words, f"create the user {service.user}")
    return (replace(made, unless=known, undo=gone),)


def useradd(service: Service) -> tuple[str, ...]:
    """useradd(8), for a system user that nobody logs in as."""
    words = ("--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin")
    return ("useradd", *_at(service), *words, str(service.user))


def sysusers(service: Service, name: str) -> tuple[str, ...]:
    """systemd-sysusers(8), for the same."""
    at = (f"--root={service.root}",) if service.root else ()
    return (
        "systemd-sysusers",
        *at,
        "--inline",
        f'u {service.user} - "Thespian actor system {name}"',
    )


def remove(service: Service, again: tuple[str, ...]) -> tuple[Command, ...]:
    """The commands that remove a user that was created, and its group where userdel(8) leaves it.

    Args:
        again: what makes the user again, should a later step fail.
    """
    if not service.create_user:
        return ()
    user = str(service.user)
    userdel = _command(service, ("userdel", *_at(service), user), f"remove the user {user}")
    groupdel = _command(service, ("groupdel", *_at(service), user), f"remove the group {user}")
    return replace(userdel, undo=again), replace(groupdel, may_fail=True)


def _at(service: Service) -> tuple[str, ...]:
    return ("--prefix", service.root) if service.root else ()


def _command(service: Service, words: tuple[str, ...], purpose: str) -> Command:
    if not service.root:
        return Command(words, purpose)
    return Command(words, purpose, touches=DATABASE, litter=_LITTER)
