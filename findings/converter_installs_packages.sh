#!/usr/bin/env bash
# One would guess: a command that converts a file leaves the environment that it runs in as it is.
#
# What happens: `mnnconvert` of MNN runs `pip install -U` for a client of a logging service, with whichever pip comes first
# on the PATH. About 20 packages come with it, and protobuf is replaced by an older version, which onnx does not allow.
# Wherever the client is installed, the command then tries to report the conversion to that service.
#
# Seen with MNN 3.6.1 beside onnx 1.23.2: before, protobuf is 7.36.2 and `pip check` is content; after one conversion,
# aliyun-log-python-sdk, elasticsearch and others are there, protobuf is 5.29.6, and `pip check` complains. The file is
# converted all the same.
#
# Why it matters: the environment in which models are converted is often that in which they are exported and tested, and
# builds that are meant to be repeatable change with the day. Convert in an environment of its own, or from Python.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
PATH="$folder/venv/bin:$PATH"
pip install --quiet --disable-pip-version-check MNN==3.6.1 onnx==1.23.2 protobuf==7.36.2 numpy==2.4.6

cd "$folder"
python -c "
import onnx
text = '<ir_version: 8, opset_import: [\"\": 13]> copied (float[1, 5] x) => (float[1, 5] y) { y = Relu (x) }'
onnx.save(onnx.parser.parse_model(text), 'copied.onnx')
"
pip check
before=$(pip list --format freeze)
mnnconvert -f ONNX --modelFile copied.onnx --MNNModel copied.mnn --bizCode MNN > conversion.log 2>&1
test -s copied.mnn
after=$(pip list --format freeze)
diff <(echo "$before") <(echo "$after") || true
if [ "$before" = "$after" ]; then
    echo "the environment is as it was"
    exit 1
fi
grep -q "^aliyun-log-python-sdk==" <<< "$after"
if pip check; then
    echo "the versions fit each other now"
    exit 1
fi
