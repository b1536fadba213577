"""The messages that the Director and the Source Authority exchange with everybody, in one place.

All of them are plain dictionaries of builtin types, so that actors of loaded sources and clients
without this package can use them (guide 2.8 and 3.3). A request names its operation in
``DirectorOp``; every reply names its kind in ``DirectorResponse`` and says in ``Success`` whether it
was done; ``Message`` tells people why not. A ``RequestId`` in a request stands in each reply to it.

DefineGroup
    ``{"DirectorOp": "DefineGroup", "Group": name, "Actors": {…}, "AutoUnload": …, "Drain": …}``
    declares what later loads of a group start. Reply ``DeclaredGroup``.

LoadSource
    ``{"DirectorOp": "LoadSource", "Source": path, "Group": name}`` loads a .tls file; a group that was not
    declared is created, with no actors. Optional: ``Definition`` (the keys of DefineGroup, for this load
    alone), ``SHA256`` (hex; the file must have it), ``Wait`` (True: a second reply when it is decided). Reply
    ``SourceLoading`` with ``SourceHash`` as soon as the file was read; with ``Wait`` then ``LoadResult``, with
    ``Success`` True when the version is active, else ``Code`` and ``Message``.

UnloadSource
    ``{"DirectorOp": "UnloadSource", "SourceHash": hash}``. Reply ``SourceUnloaded`` when its actors have gone.

RetrieveAll
    ``{"DirectorOp": "RetrieveAll"}``, optional ``Group``. Reply ``AllAddresses`` with ``Groups``: for each
    ``ActiveHash``, ``Loaded`` (hashes, most recently loaded first), ``Running`` (by hash, a list of
    ``ActorClass``, ``Role``, ``ActorAddress``, ``StartTime``) and ``Versions`` (by hash: ``Version``,
    ``File``, ``State``).

RetrieveRole
    ``{"DirectorOp": "RetrieveRole", "Role": name}``, optional ``Group``. Reply ``RoleAddress`` with ``Group``,
    ``SourceHash``, ``ActorClass``, ``Role``, ``ActorAddress``, ``StartTime``; all None where there is none.

RequestNotification
    ``{"DirectorOp": "RequestNotification"}``: no reply now; ``NotificationOfUpdate`` once, when the next version of
    any group becomes active.

Identify
    ``{"DirectorOp": "Identify"}``. Reply ``Identity`` with ``Protocol`` (a number), ``AdminPid``, ``Directory``.
"""

from __future__ import annotations

from typing import Any

#: Number of this protocol; CLI and Director compare theirs.
PROTOCOL = 1
#: Global names of the two actors that every system of ours has.
DIRECTOR_NAME = "Director"
AUTHORITY_NAME = "Director Source Authority"
#: A source that was refused is told to Thespian's watchers with this before the reason.
REFUSED = "refused: "

Message = dict[str, Any]


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
