"""What a profile is, what it may be called, and how it is changed."""

import re
from typing import Literal

from serve_app.core.errors import InvalidRequest
from serve_app.core.media import Blob
from serve_app.core.message import Message

Kind = Literal["character", "environment", "voice"]
Role = Literal["image", "audio", "clip"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}")
VOICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
ITEMS = 100


class NewProfileItem(Message):
    """A file to add: an image and its label, a voice's own audio, or a clip and its transcript."""

    role: Role
    text: str
    blob: Blob


class ProfileItem(NewProfileItem):
    """A file of a profile. Its number is never another file's, even when it is gone."""

    number: int


class Profile(Message):
    """A saved profile, its items in the order of their numbers. `transcript` is what a voice's own
    audio says. `created_at` is a unix time.
    """

    id: int
    kind: Kind
    name: str
    description: str
    transcript: str
    owner: str
    created_at: float
    items: tuple[ProfileItem, ...]

    def of(self, role: Role) -> tuple[ProfileItem, ...]:
        """The items of one role."""
        return tuple(item for item in self.items if item.role == role)


class ProfileChange(Message):
    """What to change; None leaves as it is. `remove` are positions, from 0, among the items of
    `role`; they go before `add` comes. A new `audio` takes the place of the one before.
    """

    description: str | None = None
    transcript: str | None = None
    role: Role = "image"
    remove: tuple[int, ...] = ()
    add: tuple[NewProfileItem, ...] = ()
    remove_param: str = "remove_indices"


def checked_name(name: str, kind: Kind, *, param: str = "name") -> str:
    """The name, if it is one. InvalidRequest otherwise."""
    is_voice = kind == "voice"
    if (VOICE_NAME if is_voice else NAME).fullmatch(name) is None:
        also = "'_' and '-'" if is_voice else "' ', '_', '.' and '-'"
        raise InvalidRequest(
            f"{name[:80]!r} is not a valid {kind} name",
            remedy=f"use 1 to 64 ASCII letters and digits, after the first also {also}",
            param=param,
        )
    return name


def changed_items(profile: Profile, change: ProfileChange) -> list[NewProfileItem]:
    """The items after a change: kept ones are Items, others are new. InvalidRequest for a position
    that does not exist, for too many items and when no image would be left.
    """
    there = profile.of(change.role)
    for position in change.remove:
        if not 0 <= position < len(there):
            raise InvalidRequest(
                f"there is no position {position}",
                remedy=f"{profile.name!r} has {len(there)} of them, counted from 0",
                param=change.remove_param,
            )
    removed = {there[position].number for position in change.remove}
    if any(item.role == "audio" for item in change.add):
        removed |= {item.number for item in profile.of("audio")}
    items = [*(item for item in profile.items if item.number not in removed), *change.add]
    if profile.kind != "voice" and not items:
        raise InvalidRequest(
            "the last image of a profile cannot be removed",
            remedy="add another first, or delete the profile",
            param=change.remove_param,
        )
    check_count(len(items))
    return items


def check_count(files: int) -> None:
    """InvalidRequest for more than `ITEMS`."""
    if files > ITEMS:
        raise InvalidRequest(f"a profile holds at most {ITEMS} files, not {files}")
