"""The OpenAPI description of a server: its paths, and the requests of each of its models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from webnn.serving.protocol import SENT, Port
from webnn.serving.repository import Repository, Served

__all__ = ["openapi"]

_ERROR: Final = {"$ref": "#/components/schemas/Error"}
_INTEGERS: Final = ("INT8", "UINT8", "INT32", "UINT32", "INT64", "UINT64")


def openapi(repository: Repository, version: str) -> dict[str, Any]:
    """The description, by OpenAPI 3.1."""
    paths: dict[str, Any] = {
        "/v2": _get("The metadata of the server", "ServerMetadata"),
        "/v2/health/live": _get("Whether the server runs"),
        "/v2/health/ready": _get("Whether the server takes requests", stops=True),
        "/v2/repository/index": {"post": _operation("All models", "Index"), **_get("All models", "Index")},
        "/metrics": {"get": {"summary": "Figures for Prometheus", "responses": {"200": _content("text/plain", {})}}},
        "/status.json": _get("The figures of all models"),
    }
    schemas: dict[str, Any] = {
        "Error": _object({"error": {"type": "string"}}),
        "ServerMetadata": _object(
            {"name": {"type": "string"}, "version": {"type": "string"}, "extensions": _list({"type": "string"})}
        ),
        "ModelMetadata": _object(
            {
                "name": {"type": "string"},
                "versions": _list({"type": "string"}),
                "platform": {"type": "string"},
                "inputs": _list({"$ref": "#/components/schemas/TensorMetadata"}),
                "outputs": _list({"$ref": "#/components/schemas/TensorMetadata"}),
            }
        ),
        "TensorMetadata": _object(
            {"name": {"type": "string"}, "datatype": {"type": "string"}, "shape": _list({"type": "integer"})}
        ),
        "Index": _list(
            _object({key: {"type": "string"} for key in ("name", "version", "state", "reason")}),
        ),
    }
    for served in repository:
        name = f"{served.name}.{served.version}"
        schemas[f"Request.{name}"] = _request(served)
        schemas[f"Answer.{name}"] = _answer(served)
        prefixes = [f"/v2/models/{served.name}/versions/{served.version}"]
        if repository.find(served.name) is served:
            prefixes.append(f"/v2/models/{served.name}")
        for prefix in prefixes:
            paths[prefix] = _get("The metadata of the model", "ModelMetadata")
            paths[f"{prefix}/ready"] = _get("Whether the model takes requests", stops=True)
            paths[f"{prefix}/infer"] = {"post": _infer(name)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "webnn serve",
            "version": version,
            "description": "Models by the Open Inference Protocol v2",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _get(summary: str, schema: str = "", *, stops: bool = False) -> dict[str, Any]:
    return {"get": _operation(summary, schema, stops=stops)}


def _operation(summary: str, schema: str, *, stops: bool = False) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"} if schema else {"type": "object"}
    responses = {"200": _content("application/json", reference)}
    if stops:
        responses["503"] = _content("application/json", _ERROR)
    return {"summary": summary, "responses": responses}


def _infer(name: str) -> dict[str, Any]:
    errors = {
        "400": "a tensor or a parameter does not fit the model",
        "408": "the body came too slowly",
        "413": "the body is too large",
        "415": "the body is compressed",
        "500": "the run failed",
        "501": "the body has another transfer coding than chunked",
        "503": "the queue is full, or the server stops; Retry-After has seconds",
        "504": "the run was not done in time",
    }
    return {
        "summary": "Run the model",
        # The header is not listed as a parameter: with it, the body has another form than the one described.
        "description": "JSON. With the header Inference-Header-Content-Length, the body is JSON of that length and then"
        " the bytes of the tensors that have `binary_data_size`; with the length 0, the bytes of the only input.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/Request.{name}"}}},
        },
        "responses": {
            "200": {
                "description": "the outputs",
                "content": {
                    "application/json": {"schema": {"$ref": f"#/components/schemas/Answer.{name}"}},
                    "application/octet-stream": {"schema": {}},
                },
            },
            **{code: _content("application/json", _ERROR, what) for code, what in errors.items()},
        },
    }


def _request(served: Served) -> dict[str, Any]:
    wanted = _object(
        {
            "name": {"type": "string", "enum": list(served.outputs)},
            "parameters": {"type": "object", "properties": {"binary_data": {"type": "boolean"}}},
        },
        ["name"],
    )
    return _object(
        {
            "id": {"type": "string"},
            "inputs": {
                "type": "array",
                "prefixItems": [_tensor(port) for port in served.inputs.values()],
                "items": False,
                "minItems": len(served.inputs),
            },
            "outputs": _list(wanted),
            "parameters": {
                "type": "object",
                "properties": {
                    "binary_data_output": {"type": "boolean"},
                    "timeout": {"type": "integer", "minimum": 0, "description": "microseconds; 0 for the server's"},
                },
            },
        },
        ["inputs"],
    )


def _answer(served: Served) -> dict[str, Any]:
    return _object(
        {
            "model_name": {"const": served.name},
            "model_version": {"const": served.version},
            "id": {"type": "string"},
            "outputs": _list(
                {"anyOf": [_tensor(port, "name", "shape", "datatype") for port in served.outputs.values()]}
            ),
        },
        ["model_name", "model_version", "outputs"],
    )


def _tensor(port: Port, *required: str) -> dict[str, Any]:
    sizes = [{"const": size} for size in port.shape]
    if port.batched:
        sizes[0] = {"type": "integer", "minimum": 1}  # type: ignore[dict-item]
    data: dict[str, Any] = {"type": "integer"} if port.datatype in _INTEGERS else {"type": "number"}
    return _object(
        {
            "name": {"const": port.name},
            "shape": {"type": "array", "prefixItems": sizes, "items": False, "minItems": len(sizes)},
            "datatype": {"enum": [port.datatype, *SENT.get(port.datatype, ())]},
            "data": {"type": "array", "items": {"anyOf": [data, {"type": "array"}]}},
            "parameters": {
                "type": "object",
                "properties": {"binary_data_size": {"type": "integer", "minimum": 0}},
            },
        },
        required or ("name", "shape", "datatype"),
    )


def _object(properties: Mapping[str, Any], required: Iterable[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties if required is None else required),
    }


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(items)}


def _content(kind: str, schema: Mapping[str, Any], description: str = "OK") -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": dict(schema)}}}
