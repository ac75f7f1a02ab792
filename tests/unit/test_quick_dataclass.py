"""The package's `dataclass` makes the classes that the standard library's makes, only faster."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar, Final

import pytest

from webnn.graph.quick_dataclass import dataclass

OPTIONS: Final[list[dict[str, bool]]] = [
    {},
    {"frozen": True},
    {"slots": True},
    {"frozen": True, "slots": True},
    {"slots": True, "weakref_slot": True},
    {"frozen": True, "slots": True, "eq": False},
    {"eq": False, "repr": False},
]


def both(make: Callable[[Any], type[Any]], **options: bool) -> tuple[type[Any], type[Any]]:
    """The class that `make` gives with the package's decorator, and the one with the standard library's."""
    return make(dataclass(**options)), make(dataclasses.dataclass(**options))


def with_all_fields(decorator: Any) -> type[Any]:
    @decorator
    class Case:
        """With each kind of field."""

        kind: ClassVar[str] = "no field"

        a: int
        b: str = "b"
        c: list[int] = field(default_factory=list)
        d: int = field(default=4, repr=False)
        e: int = field(default=5, compare=False)
        f: int = field(default=6, kw_only=True)
        g: int = field(default=7, init=False)
        h: Mapping[str, int] = field(default_factory=dict, init=False, hash=False)

        def doubled(self) -> int:
            return 2 * self.a

    return Case


def test_the_first_object_may_be_one_of_a_subclass() -> None:
    @dataclass(slots=True)
    class Base:
        a: int

    class Derived(Base):
        def __init__(self) -> None:
            super().__init__(3)

    assert [Derived().a, Derived().a, Base(4).a] == [3, 3, 4]


def test_the_method_that_makes_objects_is_compiled_once() -> None:
    @dataclass
    class Case:
        a: int

    assert not inspect.isfunction(vars(Case)["__init__"])
    assert Case(1).a == 1
    compiled = vars(Case)["__init__"]
    assert inspect.isfunction(compiled)
    assert Case(2).a == 2
    assert vars(Case)["__init__"] is compiled


def behaviour(kind: type[Any]) -> list[Any]:
    """What can be seen of a class and of its instances."""
    seen: list[Any] = [str(inspect.signature(kind)), inspect.get_annotations(kind.__init__), kind.__match_args__]
    seen += [dataclasses.is_dataclass(kind), [each.name for each in dataclasses.fields(kind)], kind.__doc__]
    seen += [str(kind.__dataclass_params__), kind.__qualname__, kind.__module__, kind.__init__.__qualname__]
    seen += [kind.__hash__ is None, *(getattr(kind, name) is getattr(object, name) for name in ("__hash__", "__eq__"))]
    seen += [vars(kind).get("__slots__"), "__getstate__" in vars(kind)]
    one, same, other = kind(1, c=[3]), kind(1, c=[3], e=9), kind(2, "x", f=8)
    seen += [repr(x).partition(" object at")[0] for x in (one, same, other)]
    seen += [one == same, one == other, one == 1, one != same, one.doubled(), other.c is kind(2).c]
    seen += [dataclasses.asdict(other), dataclasses.replace(other, a=4).a, dataclasses.astuple(one)]
    seen.append(copy.copy(other).f)
    hashed, same_hash = kind(1, c=()), kind(1, c=(), e=9)
    for attempt in (
        lambda: hash(hashed) == hash(same_hash),
        kind,
        lambda: kind(1, "b", [], 4, 5, 6),
        lambda: kind(1, x=2),
        lambda: setattr(one, "a", 7),
        lambda: delattr(one, "a"),
    ):
        try:
            seen.append(attempt())
        except Exception as error:
            seen.append((type(error), str(error)))
    return seen


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_classes_behave_as_those_of_the_standard_library(options: dict[str, bool]) -> None:
    ours, standard = both(with_all_fields, **options)
    assert behaviour(ours) == behaviour(standard)


def test_a_class_that_behaves_differently_would_be_seen() -> None:
    assert behaviour(with_all_fields(dataclass(frozen=True))) != behaviour(with_all_fields(dataclass()))


@pytest.mark.parametrize("options", OPTIONS[:4], ids=str)
def test_methods_that_a_class_has_itself_stay(options: dict[str, bool]) -> None:
    def make(decorator: Any) -> type[Any]:
        @decorator
        class Case:  # noqa: PLW1641 (it gets a hash, or none, from the decorator)
            a: int

            def __repr__(self) -> str:
                return "own"

            def __eq__(self, other: object) -> bool:
                return True

        return Case

    for kind in both(make, **options):
        assert (repr(kind(1)), kind(1) == 2) == ("own", True)
    ours, standard = both(make, **options)
    assert (ours.__hash__ is None) == (standard.__hash__ is None)


def test_an_own_hash_stays() -> None:
    @dataclass(frozen=True, slots=True)
    class Case:
        a: int

        def __hash__(self) -> int:
            return 17

    assert hash(Case(1)) == 17


def test_the_class_can_finish_its_fields() -> None:
    def make(decorator: Any) -> type[Any]:
        @decorator
        class Case:
            a: int
            twice: int = field(init=False)

            def __post_init__(self) -> None:
                object.__setattr__(self, "twice", 2 * self.a)

        return Case

    for kind in both(make, frozen=True, slots=True):
        assert kind(4).twice == 8


def test_classes_inherit_fields() -> None:
    def make(decorator: Any) -> type[Any]:
        @decorator
        class Base:
            a: int = 1

        @decorator
        class Derived(Base):
            b: int = 2

        return Derived

    for options in OPTIONS[:4]:
        ours, standard = both(make, **options)
        assert str(inspect.signature(ours)) == str(inspect.signature(standard))
        assert (ours(3).a, ours(3).b, ours(3) == ours(3, 2), ours(1) == ours(2)) == (3, 2, True, False)
        if options.get("frozen"):
            with pytest.raises(FrozenInstanceError, match="cannot assign to field 'a'"):
                ours(3).a = 4


def test_a_frozen_class_can_be_a_base_of_the_standard_library() -> None:
    base = with_all_fields(dataclass(frozen=True))

    @dataclasses.dataclass(frozen=True)
    class Derived(base):  # type: ignore[valid-type,misc]
        z: int = 0

    assert Derived(1, z=3).z == 3


@dataclass(frozen=True, slots=True)
class Pickled:
    """At the top of a module, as `pickle` needs it."""

    a: int
    b: str = "b"


def test_frozen_instances_with_slots_can_be_pickled_and_copied() -> None:
    assert pickle.loads(pickle.dumps(Pickled(3))) == Pickled(3)
    assert copy.deepcopy(Pickled(3)) == Pickled(3)


def test_an_instance_within_itself_is_shown() -> None:
    @dataclass
    class Case:
        a: Any = None

    case = Case()
    case.a = case
    assert repr(case).endswith("Case(a=...)")
