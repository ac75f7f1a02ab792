"""Models over HTTP: the Open Inference Protocol v2, for `webnn serve`; see docs/serving.md.

`application` is the server as an ASGI application, and `server` runs it with uvicorn. `repository` has the models,
`inference` answers a request for one of them, and `tensors` reads and writes its arrays. The libraries that it needs
are the extra `serve`.

Protocol: https://github.com/kserve/open-inference-protocol
"""
