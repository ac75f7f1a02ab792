"""`dataclass` of the standard library: to define a class and make its first object takes a third of the time.

The standard one writes the text of every method of every class and compiles each by itself, which took a tenth of the
time from the start of a program to its first result. Here only `__init__` is compiled, when the first object of the
class is made; the other methods are closures over the names of the fields. The classes do the same as those of the
standard one, and `dataclasses.fields`, `replace` and `asdict` take them. Instances of frozen classes with slots are
made in two thirds of the time.

Type checkers see the standard one.
"""

from __future__ import annotations

import dataclasses
import reprlib
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, Final

__all__ = ["dataclass"]


class _NotGiven:
    """The default of a parameter whose field is made by a function, shown in signatures as usual."""

    def __repr__(self) -> str:
        return "<factory>"


_NOT_GIVEN: Final = _NotGiven()

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(kind=None, /, **options):
        """Add the methods of a dataclass to a class; the options are those of the standard one."""
        return (lambda kind: _made(kind, **options)) if kind is None else _made(kind, **options)


def _made(
    kind: type[Any],
    *,
    init: bool = True,
    repr: bool = True,
    eq: bool = True,
    frozen: bool = False,
    **options: bool,
) -> type[Any]:
    if any(params.frozen for base in kind.__bases__ if (params := getattr(base, "__dataclass_params__", None))):
        # The standard one lets no class inherit from it that it does not freeze itself.
        return dataclasses.dataclass(init=init, repr=repr, eq=eq, frozen=frozen, **options)(kind)
    if not kind.__doc__:  # else the standard one inspects the signature, which takes longer than all that is done here
        kind.__doc__ = f"{kind.__name__}({', '.join(vars(kind).get('__annotations__', ()))})"
    kind = dataclasses.dataclass(init=False, repr=False, eq=False, **options)(kind)
    params = kind.__dataclass_params__
    params.init, params.repr, params.eq, params.frozen = init, repr, eq, frozen
    fields = dataclasses.fields(kind)
    compared = _values_of([field.name for field in fields if field.compare])
    methods: dict[str, Any] = {}
    if init:
        methods["__init__"] = _LateInit(kind, fields, frozen)
    if repr:
        methods["__repr__"] = _repr([field.name for field in fields if field.repr])
    if eq:
        methods["__eq__"] = _eq(compared)
        hashed = [field.name for field in fields if (field.compare if field.hash is None else field.hash)]
        methods["__hash__"] = _hash(_values_of(hashed)) if frozen else None
    if frozen:
        methods |= _refusals(kind, frozenset(field.name for field in fields))
        if options.get("slots"):
            methods |= _state([field.name for field in fields])
    own = vars(kind)
    if own.get("__hash__") is None and "__eq__" in own:  # Python sets it to None beside an `__eq__`
        own = {name: value for name, value in own.items() if name != "__hash__"}
    for name, method in methods.items():
        if name not in own:
            if method is not None and name != "__init__":
                method.__name__, method.__qualname__ = name, f"{kind.__qualname__}.{name}"
            setattr(kind, name, method)
    return kind


class _LateInit:
    """`__init__` until the first object is made, or someone asks for the method: then it is compiled and takes over."""

    def __init__(self, kind: type[Any], fields: Sequence[dataclasses.Field[Any]], frozen: bool) -> None:
        self._given = (kind, fields, frozen)

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Callable[..., None]:
        kind = self._given[0]
        compiled = _init(*self._given)
        compiled.__name__, compiled.__qualname__ = "__init__", f"{kind.__qualname__}.__init__"
        type.__setattr__(kind, "__init__", compiled)  # (two threads may do so, with equal functions)
        bound: Callable[..., None] = compiled.__get__(instance, owner)
        return bound


def _init(kind: type[Any], fields: Sequence[dataclasses.Field[Any]], frozen: bool) -> Callable[..., None]:
    """`__init__`, which sets the fields in their order."""
    given: dict[str, Any] = {"_not_given": _NOT_GIVEN}
    positional, by_name, lines = ["self"], ["*"], []
    for field in fields:
        name, value = field.name, field.name
        if field.default_factory is not dataclasses.MISSING:
            given[f"_make_{name}"] = field.default_factory
            value = f"_make_{name}() if {name} is _not_given else {name}" if field.init else f"_make_{name}()"
            default = "=_not_given"
        elif field.default is not dataclasses.MISSING:
            given[f"_default_{name}"] = field.default
            default = f"=_default_{name}"
            value = value if field.init else default[1:]
        else:
            default = ""
            if not field.init:
                continue  # `__post_init__` sets it
        if field.init:
            (by_name if field.kw_only else positional).append(name + default)
        slot = getattr(kind, name, None)
        if not frozen:
            lines.append(f"self.{name} = {value}")
        elif isinstance(slot, MemberDescriptorType):
            given[f"_set_{name}"] = slot.__set__
            lines.append(f"_set_{name}(self, {value})")
        else:
            given["_set"] = object.__setattr__
            lines.append(f"_set(self, {name!r}, {value})")
    if hasattr(kind, "__post_init__"):
        lines.append("self.__post_init__()")
    parameters = ", ".join(positional + (by_name if len(by_name) > 1 else []))
    body = "\n  ".join(lines or ["pass"])
    text = f"def make({', '.join(given)}):\n def __init__({parameters}):\n  {body}\n return __init__"
    made: dict[str, Any] = {}
    exec(text, getattr(sys.modules.get(kind.__module__), "__dict__", {}), made)
    init: Callable[..., None] = made["make"](**given)
    init.__annotations__ = {field.name: field.type for field in fields if field.init} | {"return": None}
    return init


def _values_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """The function that gives the fields of an object as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _repr(names: Sequence[str]) -> Callable[[Any], str]:
    @reprlib.recursive_repr()
    def shown(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return shown


def _eq(values: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, object], bool]:
    def equal(self: Any, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return equal


def _hash(values: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], int]:
    def hashed(self: Any) -> int:
        return hash(values(self))

    return hashed


def _refusals(kind: type[Any], names: frozenset[str]) -> dict[str, Any]:
    """The methods that let no field change."""

    def refuse_to_set(self: Any, name: str, value: object) -> None:
        if type(self) is kind or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(kind, self).__setattr__(name, value)

    def refuse_to_delete(self: Any, name: str) -> None:
        if type(self) is kind or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(kind, self).__delattr__(name)

    return {"__setattr__": refuse_to_set, "__delattr__": refuse_to_delete}


def _state(names: Sequence[str]) -> dict[str, Any]:
    """The methods with which `pickle` and `copy` fill an object whose fields cannot be assigned."""

    def state(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    def set_state(self: Any, state: Sequence[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return {"__getstate__": state, "__setstate__": set_state}
