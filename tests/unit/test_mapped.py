"""Memory-mapped arrays that know their file and offset."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from webnn.memory.mapped import MappedArray, map_file, place_in_file, unmap

CONTENT = np.arange(4096, dtype=np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"odd" + CONTENT.tobytes())
    return path


def test_views_know_their_place_in_the_file(file: Path) -> None:
    whole = map_file(file)
    part = whole[3:].view(np.float32)[100:300].reshape(10, 20)
    assert place_in_file(part) == (file.resolve(), 403)
    assert place_in_file(np.ascontiguousarray(part[2:4])) == (file.resolve(), 403 + 2 * 80)
    np.testing.assert_array_equal(part.reshape(-1), CONTENT[100:300])


def test_results_of_computations_are_not_in_a_file(file: Path) -> None:
    part = map_file(file)[3:].view(np.float32)
    assert place_in_file(part + 1) is None
    assert place_in_file(part.copy()) is None
    assert place_in_file(part[::2]) is None
    assert not isinstance(part + 1, MappedArray)
    assert not isinstance(part.sum(), MappedArray)
    assert place_in_file(CONTENT) is None


def test_a_changed_removed_or_replaced_file_does_not_count(file: Path) -> None:
    array = map_file(file)
    os.utime(file, ns=(1, 1))
    assert place_in_file(array) is None
    array = map_file(file)
    file.unlink()
    assert place_in_file(array) is None


def test_freed_pages_are_read_again(file: Path) -> None:
    array = map_file(file)
    before = array.tobytes()
    unmap(array)
    unmap(array[100:9000])
    unmap(CONTENT)
    assert array.tobytes() == before


def test_mapped_elements_are_read_only(file: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        map_file(file)[0] = 1


def test_only_regular_files_are_mapped(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is not a regular file"):
        map_file(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        map_file(tmp_path / "none")
    (tmp_path / "empty").touch()
    assert map_file(tmp_path / "empty").size == 0
