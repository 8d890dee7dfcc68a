# SPDX-License-Identifier: Apache-2.0
"""Names of typing, without importing it: a program that starts often feels that, and only type checkers need it.
Annotations are strings in this package, so while it runs these names have no meaning."""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False      # type checkers take a variable of this name for True

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import AsyncIterator as AsyncIterator
    from typing import Callable as Callable
    from typing import Deque as Deque
    from typing import Dict as Dict
    from typing import Generic as Generic
    from typing import Iterable as Iterable
    from typing import Iterator as Iterator
    from typing import List as List
    from typing import Mapping as Mapping
    from typing import NamedTuple as NamedTuple
    from typing import Optional as Optional
    from typing import Set as Set
    from typing import TextIO as TextIO
    from typing import Tuple as Tuple
    from typing import TypeVar as TypeVar
    from typing import Union as Union
else:
    class _Name:
        def __class_getitem__(cls, _):
            return cls

    Any = AsyncIterator = Callable = Deque = Dict = Generic = Iterable = Iterator = List = Mapping = Optional = _Name
    Set = TextIO = Tuple = Union = _Name

    def TypeVar(name, **_):  # noqa: N802
        return name

    class _Fields(type):
        """The metaclass of NamedTuple: its members become those of a named tuple."""

        def __new__(mcs, name, bases, members):
            if not bases:
                return super().__new__(mcs, name, bases, members)
            made = namedtuple(name, tuple(members["__annotations__"]), module=members["__module__"])
            made.__doc__ = members.get("__doc__")
            return made

    class NamedTuple(metaclass=_Fields):
        pass
