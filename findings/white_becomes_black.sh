#!/usr/bin/env bash
# One would guess: `tf.image.convert_image_dtype` makes white white: 1.0 in float16 becomes 65535 in uint16, or 65504 or
# so, and 0.5 becomes half of it. The documentation warns of overflow and has `saturate=True` against it.
#
# What happens: the factor is 65536 for uint16, which float16 holds as infinity. All pixels become infinite, which the
# cast makes 0; with `saturate=True` all become 65504. Bytes are made uint16 by a factor of 256, whose white is not
# white.
#
# Seen with tensorflow-cpu 2.21.0: [1, 0.5, 0.25] in float16 become [0, 0, 0] in uint16, and [65504, 65504, 65504] with
# saturate=True; in float32 they become [65535, 32767, 16383]. 255 in uint8 becomes 65280 in uint16, which is 0.996 as
# float32, while 255 is 1.0 directly.
#
# Why it matters: depth maps and medical images have 16 bits, and models in float16 give images in float16. The result
# is all black or all white, and the option that should help makes a constant of it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 numpy==2.4.6

TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import tensorflow as tf


def converted(values, source, *targets, **options):
    image = tf.constant(values, source)
    for target in targets:
        image = tf.image.convert_image_dtype(image, target, **options)
    return image.numpy().tolist()


greys = [1, 0.5, 0.25]
single = converted(greys, tf.float32, tf.uint16)
half, saturated = (converted(greys, tf.float16, tf.uint16, saturate=saturate) for saturate in (False, True))
stored, around = (converted([255], tf.uint8, tf.uint16, *rest)[0] for rest in ((), (tf.float32,)))
print(single, half, saturated, stored, around)
assert single == [65535, 32767, 16383] and converted(greys, tf.float16, tf.uint8) == [255, 127, 63]
assert converted([255], tf.uint8, tf.float32) == [1]
assert half == [0, 0, 0], "white is not black now"
assert saturated == [65504, 65504, 65504], "saturated greys differ now"
assert stored == 65280 and abs(around - 0.996) < 0.001, "white is white now"
PROGRAM
