# SPDX-License-Identifier: Apache-2.0
"""Functions by value: lambdas, inner functions, and those of a main program that has no file.

Plain pickle names a function by its module; where the other side cannot import it, its code goes over instead, with
the globals that it names, its defaults and the values that it closes over. Both sides must have the same minor version
of Python. Classes of a main program without a file are not carried.
"""

from __future__ import annotations

import importlib
import io
import marshal
import os
import pickle
import sys
import types
from ._typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

PROTOCOL = pickle.HIGHEST_PROTOCOL


def main_file() -> Optional[str]:
    """The file of the main program; None: it has none that others can load (-c, standard input, a notebook), or is a
    module."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    return os.path.abspath(path) if path and os.path.isfile(path) else None


def main_has_no_file() -> bool:
    """Is the main program one that nobody else can load?"""
    return getattr(sys.modules["__main__"], "__spec__", None) is None and main_file() is None


def _is_importable(function: types.FunctionType) -> bool:
    if function.__module__ == "__main__" and main_has_no_file():
        return False
    found: Any = sys.modules.get(function.__module__ or "")
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _names(each)


def _skeleton(code: bytes, name: str, cells: int) -> types.FunctionType:
    """The function without what it needs, so that it may need itself."""
    scope: Dict[str, Any] = {"__builtins__": __builtins__}
    closure = tuple(types.CellType() for _ in range(cells)) or None
    return types.FunctionType(marshal.loads(code), scope, name, None, closure)


def _fill(function: types.FunctionType, state: Dict[str, Any]) -> None:
    function.__globals__.update(state["globals"])
    function.__defaults__, function.__kwdefaults__ = state["defaults"], state["kwdefaults"]
    function.__qualname__, function.__module__, function.__doc__ = state["qualname"], state["module"], state["doc"]
    function.__dict__.update(state["dict"])
    for cell, full in zip(function.__closure__ or (), state["cells"]):
        if full:
            cell.cell_contents = full[0]


def _reduce(function: types.FunctionType) -> Tuple[Any, ...]:
    cells: List[Tuple[Any, ...]] = []
    for cell in function.__closure__ or ():
        try:
            cells.append((cell.cell_contents,))
        except ValueError:  # not set yet
            cells.append(())
    needed = {name: function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__}
    state = {"globals": needed, "defaults": function.__defaults__, "kwdefaults": function.__kwdefaults__,
             "qualname": function.__qualname__, "module": function.__module__, "doc": function.__doc__,
             "dict": function.__dict__, "cells": cells}
    skeleton = (marshal.dumps(function.__code__), function.__name__, len(cells))
    return _skeleton, skeleton, state, None, None, _fill


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.FunctionType) and not _is_importable(obj):
            return _reduce(obj)
        if isinstance(obj, types.ModuleType):
            return importlib.import_module, (obj.__name__,)
        return NotImplemented


def _by_value(value: Any) -> bytes:
    out = io.BytesIO()
    _Pickler(out, PROTOCOL).dump(value)
    return out.getvalue()


def dumps(value: Any) -> bytes:
    """Pickles; functions that the other side cannot import go by value. Raises what pickle raises."""
    if main_has_no_file():
        return _by_value(value)
    try:
        return pickle.dumps(value, PROTOCOL)
    except Exception:
        try:
            return _by_value(value)
        except Exception:
            pass
        raise


class _Unpickler(pickle.Unpickler):
    """Finds what the other side has in its main program in ours, or in the module that stands for it."""

    main: Optional[types.ModuleType] = None

    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name in ("__main__", "__mp_main__"):
            found: Any = self.main or sys.modules["__main__"]
            for name in global_name.split("."):
                found = getattr(found, name)
            return found
        return super().find_class(module_name, global_name)


def loads(data: bytes, main: Optional[types.ModuleType] = None) -> Any:
    """Un-pickles what was verified to be ours. `main`: the module that stands for the other side's main program."""
    unpickler = _Unpickler(io.BytesIO(data))
    unpickler.main = main
    return unpickler.load()


Function = Callable[..., Any]
