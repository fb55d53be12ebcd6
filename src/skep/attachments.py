"""The programs of one BPF object that are on hooks: what is attached where, and the way off again."""

from __future__ import annotations

from skep.arguments import near
from skep.errors import AttachError, SkepError
from skep.interrupts import Uninterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from skep.engine import Hook, Link


class Attachment:
    """A program on a hook: `how` names the way that the engine took, `hook` the place, `function` the program."""

    __slots__ = ("function", "hook", "link")

    def __init__(self, hook: Hook, function: str, link: Link) -> None:
        self.hook = hook
        self.function = function
        self.link = link

    @property
    def how(self) -> str:
        return self.link.how

    def close(self) -> None:
        self.link.close()

    def __repr__(self) -> str:
        return f"<{self.function} on {self.hook}: {self.how}>"


class Attachments:
    """Attachments by place: (family, target)."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[Attachment]] = {}

    def __iter__(self) -> Iterator[Attachment]:
        return iter([attachment for attachments in self._places.values() for attachment in attachments])

    def add(self, attachment: Attachment) -> None:
        hook = attachment.hook
        self._places.setdefault((hook.family, hook.target), []).append(attachment)

    def places(self, *families: str) -> list[str]:
        """The targets of these families that have a program."""
        return [target for family, target in self._places if family in families]

    def detach(self, family: str, target: str, function: str | None = None) -> None:
        """Close the attachments of a place, or those of one function; AttachError when there are none."""
        attached = self._places.get((family, target), [])
        leaving = [attachment for attachment in attached if function in (None, attachment.function)]
        if not leaving:
            raise AttachError(f"{family} {target!r} is not attached{near(target, self.places(family))}")
        remaining = [attachment for attachment in attached if attachment not in leaving]
        with Uninterrupted():
            if remaining:
                self._places[family, target] = remaining
            else:
                del self._places[family, target]
            close_all(leaving)


def close_all(closing: Iterable[Any]) -> None:
    """Close each, whatever happens to the others; the first failure is raised at the end."""
    failure: Exception | None = None
    for one in closing:
        try:
            one.close()
        except (SkepError, OSError) as error:
            failure = failure or error
    if failure is not None:
        raise failure
