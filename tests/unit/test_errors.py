"""The exceptions, and the length of their messages."""

from __future__ import annotations

import pytest

import webnn
from webnn import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_an_ml_error_with_a_docstring(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, webnn.MLError)
    assert error.__doc__
    assert str(error("what went wrong")) == "what went wrong"


def test_a_validation_error_is_a_value_error() -> None:
    assert issubclass(errors.ValidationError, ValueError)


def test_a_lost_context_is_an_invalid_state_as_in_the_specification() -> None:
    assert issubclass(errors.ContextLostError, errors.InvalidStateError)


def test_device_errors_are_not_value_errors() -> None:
    for device_error in (errors.OperationError, errors.UnknownError, errors.NotSupportedError, errors.ContextLostError):
        assert not issubclass(device_error, ValueError)


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for name in webnn.__all__:
        assert getattr(webnn, name).__doc__, name


@pytest.mark.parametrize(
    ("long", "readable"),
    [
        ("x" * 10_000, f"{'x' * 100}...(9800 more characters)...{'x' * 100}"),
        (
            ", ".join(map(str, range(5000))),
            ", ".join([*map(str, range(15)), "... (4970 more) ...", *map(str, range(4985, 5000))]),
        ),
        ("\n".join(map(str, range(5000))), "\n".join([*map(str, range(99)), "... and 4900 more lines"])),
        ("ab " * 5000, ("ab " * 200)[:450]),
        ("x" * 900, "x" * 900),
    ],
    ids=["name", "list", "lines", "sentence", "not so long"],
)
def test_long_messages_are_cut_in_the_middle(long: str, readable: str) -> None:
    assert readable in str(errors.OperationError(f"[label] add: {long}"))
    message = str(errors.OperationError(f"[label] add: {long}\nwhat to do"))
    assert message.startswith("[label] add: ")
    assert message.endswith("what to do")
    assert len(message) < 1200


def test_long_names_and_lists_are_cut() -> None:
    builder = webnn.ML().create_context(backend="null").create_graph_builder()
    with pytest.raises(errors.ValidationError) as caught:
        builder.relu(builder.input("x" * 10_000, [2], "uint8"), label="y" * 10_000)
    assert len(str(caught.value)) < 1000
    with pytest.raises(errors.ValidationError) as caught:
        builder.transpose(builder.input("x", [2], "float32"), permutation=range(100_000))
    assert len(str(caught.value)) < 1000
