"""The messages that the Director exchanges with everybody, in one place.

What lives here: what each request holds and what is replied, as data. `malformed` checks requests by it, and
docs/messages.md is generated from it (``python -m director.actors.messages``). What does not: handling them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

#: Number of this protocol; CLI and Director compare theirs.
PROTOCOL = 2
#: Global names of the two actors that every system of ours has.
DIRECTOR_NAME = "Director"
AUTHORITY_NAME = "Director Source Authority"
#: Stands for what a pin names in the authority's word about it.
PIN = "pin"
#: A source that was refused is told to Thespian's watchers with this before the reason. Thespian logs it as validated,
#: and what is: what it was given in its place.
REFUSED = "a stand-in without code, for it was refused: "
#: What Thespian is told of the source by which the Source Authority finds that it stands.
PROBED = "the Source Authority's own trial, without code"

Message = dict[str, Any]

INTRODUCTION = """\
All messages are plain dictionaries of builtin types (and Thespian's own addresses), so that actors of loaded
sources and clients without this package can use them (guide 2.8 and 3.3). Send them to the actor with the global name
`Director`:

```python
director = asys.createActor("director.Director", globalName="Director")
print(asys.ask(director, {"DirectorOp": "RetrieveAll"}))
```

A request names its operation in `DirectorOp`. Every reply names its kind in `DirectorResponse` and says in
`Success` whether it was done; where it was not, `Code` is stable and `Message` is for people. A `RequestId` in a
request, any value, stands in each reply to it. `Who`, a text, stands in the audit log as who asked; nobody checks
it. A request that is not known or does not read is replied to with `Success` False and the kind `Unknown` or
`Malformed`. One that reads and cannot be done, because a name or a value in it cannot be or a file does not read,
is replied to with the kind `Failed`, and the `Code` of the error: `group`, `settings`, `not-found`, `os-error` and
so on. None of the three changes anything.
"""


@dataclass(frozen=True)
class Field:
    """One key of a request: the builtin types that it may have, and what it means."""

    name: str
    types: tuple[type, ...]
    text: str
    required: bool = False


@dataclass(frozen=True)
class Operation:
    """One request and its replies; ``reply`` is the kind of the reply, "" where there is none at once."""

    name: str
    text: str
    fields: tuple[Field, ...]
    reply: str
    reply_text: str
    internal: bool = False


_NOTHING = type(None)
_TEXT = (str,)
_MAYBE = (str, _NOTHING)
_NUMBER = (int, float)

_DEFINITION = (
    Field("Actors", (dict,), "as in a TLI; default: none"),
    Field("AutoUnload", (bool, int), "as in a TLI"),
    Field("TLS_Keep_Limit", (int,), "as in a TLI"),
    Field("Drain", _NUMBER, "as in a TLI"),
    Field("Handover", _TEXT, "as in a TLI"),
    Field("Restart", (dict,), "as in a TLI"),
)

OPERATIONS = (
    Operation(
        "DefineGroup",
        "Declares what later loads of a group start; what is loaded already keeps its own definition.",
        (Field("Group", _TEXT, "its name: letters, digits and `_`", required=True), *_DEFINITION),
        "DeclaredGroup",
        "",
    ),
    Operation(
        "LoadSource",
        "Loads a .tls file. A group that was not declared is created, with the actors of the TLI that counts for the "
        "file: the signed one, or the operator's GROUP.tli.",
        (
            Field("Source", _TEXT, "path of the file, for the Director to read", required=True),
            Field("Group", _MAYBE, "default: the group of the file's name"),
            Field("Definition", (dict,), "the keys of DefineGroup, for this load alone"),
            Field(
                "Override",
                _TEXT,
                "SHA-256 (hex) of the operator's GROUP.tli that `Definition` was read from in place of the signed TLI; "
                "for `Status` to tell, and empty where it was not",
            ),
            Field("SHA256", _TEXT, "hex; the file must have it"),
            Field("Wait", (bool,), "a second reply, `LoadResult`, when it is decided"),
            Field("Settle", _NUMBER, "seconds: the tentative period; `LoadResult` comes after it"),
            Field("Undo", (bool,), "the history calls it an undo"),
        ),
        "SourceLoading",
        "`SourceHash`; it comes as soon as the file was read, and its TLI where the group was not "
        "declared. With `Wait` then `LoadResult` with `SourceHash`, "
        "`Code`, "
        "`Message`: `Success` is True when the version is active. Where it is, and no host takes an actor of it now, "
        "`Code` is `no-host`, and `Waiting` lists `Role` and `ActorClass` of those, and with `Code` and `Text` why.",
    ),
    Operation(
        "UnloadSource",
        "Unloads a source: OnDeactivate, then ActorExitRequest. An older version that is still loaded takes over.",
        (Field("SourceHash", _TEXT, "the source", required=True),),
        "SourceUnloaded",
        "`SourceHash`; it comes when its actors have gone.",
    ),
    Operation(
        "RetrieveAll",
        "What is loaded, of all groups or of one.",
        (Field("Group", _MAYBE, "only this one"),),
        "AllAddresses",
        "`Groups`: for each `ActiveHash`, `Loaded` (hashes, most recently loaded first), `Running` (by hash, a "
        "list of "
        "`ActorClass`, `Role`, `ActorAddress`, `StartTime`) and `Versions` (by hash: `Version`, `File`, `State`).",
    ),
    Operation(
        "RetrieveRole",
        "The active actor of a role; of the first group that has one, or of this group.",
        (Field("Role", _TEXT, "its name", required=True), Field("Group", _MAYBE, "only this one")),
        "RoleAddress",
        "`Group`, `SourceHash`, `ActorClass`, `Role`, `ActorAddress`, `StartTime`; None where there is none, "
        "with the `Code` "
        "`no-role`, `moving` (it passes to another version: ask again), `restarting` (likewise) or `actor-failed`.",
    ),
    Operation(
        "RequestNotification",
        "One notification when the next version of any group becomes active.",
        (),
        "",
        "No reply now; then once `NotificationOfUpdate`, which does not say what changed.",
    ),
    Operation(
        "Watch",
        "Standing notifications that say what changed, of all groups or of one, until `Unwatch`.",
        (Field("Group", _MAYBE, "only this one"),),
        "Watching",
        "`Groups`: the content of an `Update` for each group there is. Then an `Update` for each change: "
        "`Group`, `What` "
        "(`active`, `moving`, `actor`), `ActiveHash`, `Version`, and `Roles`: by role `ActorAddress` (None "
        "while clients "
        "should wait), `ActorClass` and `State`.",
    ),
    Operation("Unwatch", "Ends `Watch` for the sender.", (), "Unwatched", ""),
    Operation(
        "Status",
        "How everything is: versions, actors and their deaths, failures with their traceback, blocked names, pins.",
        (Field("Group", _MAYBE, "only this one"),),
        "Status",
        "`Protocol`, `PackageVersion`, `Directory`, `State`, `Pid`, `Started`, `TookOver` (when this Director took up "
        "what one that died left, or None), `Blocked`, `Leader` (at a member `Address`, `Heard`: seconds ago, None "
        "where it was not yet, and `Away`: it is out of reach; elsewhere None), and `Groups`: for each `Active`, "
        "`Loading`, `Pinned`, `Failure` (`Version`, `File`, `Code`, `Text`) and `Versions`: a list of `SourceHash`, "
        "`Version`, `File`, `State`, `Tentative`, `Drain`, `Override` (SHA-256 of the operator's GROUP.tli that it was "
        "loaded with in place of its signed TLI, whatever lies there now, or None) and `Actors` (as above, with "
        "`State`, `Deaths`, "
        "`Lost`: whether it waits for a host, and `SilentFor`: seconds for which messages have been waiting at it, "
        "None where that is not long).",
    ),
    Operation(
        "Convention",
        "The hosts of the convention, as its leader sees them; a member passes it on.",
        (),
        "Convention",
        "`Leader` (a host) and `Hosts`: a list, the leader's own first, of `Host`, `Name`, `Admin` (its address; "
        "empty: the "
        "leader), `Python`, `PackageVersion`, `Protocol`, `Sources` (hashes), `Refused` (by hash: code and text), "
        "`Roles` "
        "(`GROUP:ROLE`), `Offset` (seconds that its clock is ahead), `Heard` (seconds ago) and `MissingKeys` (key "
        "files that the leader has and it has not), and `Problem` where its keys or settings do not read. One that "
        "left or is out of reach stands last for a day, with `GoneFor`: seconds since then. A system "
        "that is not this package's tells `Admin` alone. `Names`: group and version of sources, by hash.",
    ),
    Operation(
        "Undo",
        "Makes the version active that was so before the present one, where the Source Authority still trusts it, and "
        "pins the group to it.",
        (Field("Group", _TEXT, "its name", required=True),),
        "UndoResult",
        "`SourceHash`, `File`; where the pin could not be kept, why: `PinCode`, `PinMessage`, else empty. "
        "A version that is not loaded any more is not loaded by this: `Code` is "
        "`not-loaded`, and "
        "`File` is what LoadSource (with `Undo`) takes, where its MD5 is still `SourceHash`.",
    ),
    Operation(
        "Pin",
        "Keeps a group at one version, with the bytes that it has now: `load GROUP` and `refresh` choose it, whatever "
        "is newer.",
        (
            Field("Group", _TEXT, "its name", required=True),
            Field("Version", _MAYBE, "None: the one without a version", required=True),
            Field(
                "SourceHash",
                (str,),
                "the loaded source of that version whose bytes it is to hold; default: the file that lies there",
            ),
        ),
        "Pinned",
        "`Success` is False, with the Source Authority's `Code`, where it would not let that version run now.",
    ),
    Operation(
        "Unpin",
        "Ends `Pin`.",
        (Field("Group", _TEXT, "its name", required=True),),
        "Unpinned",
        "`Success` is False where it was not pinned.",
    ),
    Operation(
        "Identify",
        "Who is there.",
        (),
        "Identity",
        "`Protocol` (a number), `PackageVersion`, `AdminPid`, `Pid`, `Session`, `Directory` (empty: this "
        "Director is new and has not taken up yet what was before) and `Told` (whether it knows its directories).",
    ),
    Operation(
        "EndRevoked",
        "At a member: ends what runs there of sources that this host's own `revoked.cfg` names by now.",
        (),
        "RevokedEnded",
        "`Ended`: the reason, by source hash.",
        internal=True,
    ),
    Operation(
        "Startup",
        "Tells a new Director its directories; it takes up what ran before in this actor system.",
        (
            Field("Directory", _TEXT, "the director directory", required=True),
            Field("State", _TEXT, "the state directory", required=True),
        ),
        "Identity",
        "",
        internal=True,
    ),
    Operation(
        "Closing",
        "The actor system is about to be shut down: exits of actors are no deaths from now on.",
        (),
        "Closing",
        "",
        internal=True,
    ),
    Operation(
        "EndElsewhere",
        "After `Closing`: ends the actors on other hosts of the convention that were created from here.",
        (),
        "EndedElsewhere",
        "`Left`: name and number of actors for each host that is out of reach, or did not answer within 6 s.",
        internal=True,
    ),
)

_BY_NAME = {operation.name: operation for operation in OPERATIONS}


def reply(kind: str, request: Message, success: bool, **fields: Any) -> Message:
    """A reply to a request.

    Args:
        kind: the value of ``DirectorResponse``.
        request: what is replied to; its ``RequestId``, if any, is echoed.
        fields: further keys.
    """
    answer: Message = {"DirectorResponse": kind, "Success": success, **fields}
    if "RequestId" in request:
        answer["RequestId"] = request["RequestId"]
    return answer


def operation_of(request: Message) -> Operation | None:
    """The operation that a request names, None for an unknown one."""
    name = request.get("DirectorOp")
    return _BY_NAME.get(name) if isinstance(name, str) else None


def malformed(operation: Operation, request: Message) -> str:
    """What is wrong with a request of this operation, for people; "" where nothing is."""
    for field in operation.fields:
        if field.name not in request:
            if field.required:
                return f"{operation.name} needs {field.name}: {field.text}"
            continue
        # type() and not isinstance(): True is no number here.
        if type(request[field.name]) not in field.types:
            kinds = " or ".join(kind.__name__ for kind in field.types)
            return f"{field.name} of {operation.name} is {kinds}, not {type(request[field.name]).__name__}"
        if isinstance(request[field.name], str) and "\0" in request[field.name]:
            return f"{field.name} of {operation.name} has a NUL character in it"
    return ""


def reference() -> str:
    """The reference page, Markdown."""
    lines = ["# Messages of the Director", ""]
    lines += [
        "<!-- Made by `python -m director.actors.messages`; edit that module instead. -->",
        "",
    ]
    lines += [INTRODUCTION, f"This is protocol {PROTOCOL}.", ""]
    for operation in OPERATIONS:
        lines += [f"## {operation.name}", "", operation.text, ""]
        if operation.internal:
            lines += ["For this package's own use.", ""]
        for field in operation.fields:
            kinds = " or ".join(kind.__name__ for kind in field.types).replace("NoneType", "None")
            need = "required" if field.required else "optional"
            lines.append(f"- `{field.name}` ({kinds}, {need}): {field.text}")
        lines += [""] if operation.fields else []
        told = f"Reply `{operation.reply}`" if operation.reply else ""
        joint = f"{told}: " if told and operation.reply_text else told
        end = "" if operation.reply_text else "."
        lines += [f"{joint}{operation.reply_text}{end}", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
