"""One file per question a user would ask, each answered as a ratio to raw onnxruntime in the same run.

  python -m benchmarks                  all of them
  python -m benchmarks.mobilenet        one

Every one takes `--scale` (shorter or longer), `--json` (figures for programs) and `--models` (a folder of real models).
"""
