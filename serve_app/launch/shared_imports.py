"""Imports, when it is imported itself, what all processes of the server need, for the fork server.

Ray's library draws an identity for each actor class. Its generator would be the same in all copies
from then on, and so would be the identities of their tasks and objects: here the system draws them.
"""

import os
from importlib import import_module

from ray import ActorClassID, actor

NEEDED = ("ray.serve._private.controller", "ray.serve._private.replica", "serve_app.build")


class _ClassId(ActorClassID):
    @classmethod
    def from_random(cls) -> "_ClassId":
        return cls(os.urandom(cls.size()))


def _have_drawn_by(kind: type[ActorClassID]) -> None:
    setattr(actor, ActorClassID.__name__, kind)


_have_drawn_by(_ClassId)
for _name in NEEDED:
    import_module(_name)
_have_drawn_by(ActorClassID)
