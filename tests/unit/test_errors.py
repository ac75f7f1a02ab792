"""The tree of errors."""

from __future__ import annotations

import pytest

import webnn
from webnn import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_an_ml_error_and_says_what_it_is(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, webnn.MLError)
    assert error.__doc__
    assert str(error("what went wrong")) == "what went wrong"


def test_what_is_not_valid_is_a_value_error_too() -> None:
    assert issubclass(errors.ValidationError, ValueError)


def test_a_lost_context_is_an_invalid_state_as_in_the_specification() -> None:
    assert issubclass(errors.ContextLostError, errors.InvalidStateError)


def test_device_errors_are_not_taken_for_wrong_arguments() -> None:
    for device_error in (errors.OperationError, errors.UnknownError, errors.NotSupportedError, errors.ContextLostError):
        assert not issubclass(device_error, ValueError)


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for name in webnn.__all__:
        assert getattr(webnn, name).__doc__, name
