"""A dataset folder is opened in one place: its manifest, its files, and what is said of a folder that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.dataset_folder import MANIFEST, is_dataset, read_manifest, shard_name, shards
from contract.errors import ThumbwheelError


def test_a_folder_with_a_manifest_is_a_dataset(tmp_path: Path) -> None:
    assert not is_dataset(tmp_path)
    (tmp_path / MANIFEST).write_text('{"dataset_id": "ds-1"}')
    assert is_dataset(tmp_path)
    assert read_manifest(tmp_path) == {"dataset_id": "ds-1"}


@pytest.mark.parametrize(("text", "said"), [
    (None, "is not a dataset folder"), ("{", "cannot be read"), ("[]", "no JSON object"), ("", "cannot be read"),
])  # fmt: skip
def test_another_folder_is_refused_with_what_to_do(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ThumbwheelError, match=said) as caught:
        read_manifest(tmp_path)
    assert caught.value.code == "bad_dataset" and caught.value.hint


def test_a_bad_byte_in_a_manifest_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ThumbwheelError, match=r"manifest\.json cannot be read"):
        read_manifest(tmp_path)


def test_shards_are_found_by_the_name_they_are_written_under(tmp_path: Path) -> None:
    file = tmp_path / shard_name("preference", "train")
    file.parent.mkdir(parents=True)
    file.touch()
    assert list(shards(tmp_path, "preference", "train")) == [file]
    assert list(shards(tmp_path, "preference", "validation")) == []
