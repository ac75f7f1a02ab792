"""Batches: runs of one graph that are executed together, and split again.

A `Batcher` stands before the timeline for the requests (runs without tensors) of one graph. While requests come one by
one, or where batching does not pay, it hands them on at once. Otherwise it gathers them in a `Batch`, which is queued
as one task without inputs and outputs, and which is open until a lane begins it. So requests gather while the device is
busy, and go together when it is free. Requests of one tick of an event loop go together too.

Each request has copies of its own of its inputs: bytes if they are small, otherwise buffers. They are copied into the
batch when it runs, and each result is copied out of it. So a request can be given up, fail, or run by itself like any
other run, and a small result never keeps a large buffer alive.

Locks. The timeline's lock guards the batchers and their batches. It is not held while a batch is computed or settled.

Threads. A batch runs on a lane. The results that tasks of one event loop wait for are settled there by one call, so
that these tasks go on in one tick, and their next requests meet again. All others are settled on the lane. A plain
thread that waits for a request sets `Request.here` and then looks for the result, while the batch stores the result
first and looks at `here` after that.

A lane that has computed a batch and will compute another one begins that first. A loop that is woken takes the
interpreter until it has handled all of the results, and the lane would wait for it. So the next batch is made ready,
another lane is asked to wake the loop, and it gets the interpreter when the computation begins.

Interrupts. A request is queued when it is in a batch whose task is live. If that is interrupted, its promise is freed,
which gives it up.
"""
