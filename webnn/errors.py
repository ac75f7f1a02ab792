"""What can go wrong, as one small tree of exceptions.

The names are those of the specification's DOMExceptions. Where the specification throws a ``TypeError`` because an
argument is not valid, this package raises `ValidationError`.
"""

__all__ = [
    "ContextLostError",
    "DataError",
    "DestroyedError",
    "InvalidStateError",
    "MLError",
    "NotSupportedError",
    "OperationError",
    "UnknownError",
    "ValidationError",
]


class MLError(Exception):
    """The base of every error that this package raises on purpose."""


class ValidationError(MLError, ValueError):
    """An argument is not what the specification allows. Raised at the call, and nothing has changed."""


class InvalidStateError(MLError):
    """The object was destroyed, or has been used up: a builder that has built, a tensor after `destroy`."""


class DestroyedError(ValidationError, InvalidStateError):
    """A tensor was used after `destroy`: for the specification a wrong argument, for browsers a wrong state."""


class DataError(MLError):
    """Bytes that were read (a model, a saved graph, an array) do not form what they claim to be."""


class NotSupportedError(MLError):
    """No backend on this machine can do what was asked."""


class OperationError(MLError):
    """A backend failed to compile or to run a graph, or a memory budget does not hold what was asked."""


class UnknownError(MLError):
    """A backend failed in a way that it did not explain; the cause is chained."""


class ContextLostError(InvalidStateError):
    """The context was destroyed, or its device is gone: what was pending will not come."""
