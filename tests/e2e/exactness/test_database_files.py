"""What BLAST+ itself says of the sample database, of a shard's folder, and of the order of volumes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shared.domain.volumes import DatabaseFile, group_files, oid_order
from tests.e2e.exactness.conftest import SHARDS, Blast


def blastdbcheck(folder: Path, volumes: tuple[str, ...]) -> int:
    """Exit code of the check that the warmup makes."""
    return subprocess.run(["blastdbcheck", "-db", " ".join(volumes)], cwd=folder, capture_output=True).returncode


def test_the_sample_database_is_laid_out_as_ncbi_does(blast: Blast) -> None:
    info = subprocess.run(
        ["blastdbcmd", "-db", blast.database, "-info"], cwd=blast.whole, capture_output=True, text=True, check=True
    ).stdout
    assert "3,144 sequences; 2,896,327 total bases" in info
    assert [line.rpartition("/")[2] for line in info.splitlines() if ".0" in line] == [
        f"resfinder.{volume:02d}" for volume in range(8)
    ]
    assert (blast.whole / "resfinder.nal").is_file()


def test_a_shard_folder_with_its_own_volumes_passes_blastdbcheck(blast: Blast) -> None:
    for folder, shard in zip(blast.shards, blast.layout.shards, strict=True):
        assert {file.name for file in folder.glob("*.nin")} == {f"{volume}.nin" for volume in shard.volumes}
        assert blastdbcheck(folder, shard.volumes) == 0


@pytest.mark.parametrize("extension", ["nsq", "nin", "nhr"])
def test_blastdbcheck_finds_a_missing_file(blast: Blast, tmp_path: Path, extension: str) -> None:
    for file in blast.shards[1].iterdir():
        (tmp_path / file.name).symlink_to(file)
    volumes = blast.layout.shards[1].volumes
    (tmp_path / f"{volumes[0]}.{extension}").unlink()
    assert blastdbcheck(tmp_path, volumes) != 0


def test_a_shard_needs_the_lmdb_file(blast: Blast, tmp_path: Path) -> None:
    """``.ndb`` must be there; the other shared files are for filters by accession and taxid."""
    shard = blast.layout.shards[0]
    for file in blast.shards[0].iterdir():
        if file.suffix not in (".nos", ".not", ".ntf", ".nto"):
            (tmp_path / file.name).symlink_to(file)
    found = blast.run(tmp_path, blast.queries, shard.alias, "6", ())
    assert found == blast.run(blast.shards[0], blast.queries, shard.alias, "6", ())
    assert found
    (tmp_path / "resfinder.ndb").unlink()
    failed = subprocess.run(
        ["blastn", "-db", shard.alias, "-query", str(blast.queries)], cwd=tmp_path, capture_output=True
    )
    assert failed.returncode != 0
    assert b"mdb_env_open" in failed.stderr


def test_volumes_beyond_99_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    """OIDs of a database whose files are limited to so little that it has more than a hundred volumes."""
    sequences = "".join(f">s{number:04d} {number}\n{'ACGTTGCA' * 500}\n" for number in range(2200))
    command = ["makeblastdb", "-dbtype", "nucl", "-out", "many", "-title", "many", "-max_file_sz", "20KB"]
    subprocess.run(command, input=sequences, text=True, cwd=tmp_path, capture_output=True, check=True)
    files = group_files("many", [DatabaseFile(file.name, file.stat().st_size) for file in tmp_path.iterdir()])
    assert len(files.volumes) > 100
    files.check_complete()

    def titles(database: str) -> list[str]:
        command = ["blastdbcmd", "-db", database, "-entry", "all", "-outfmt", "%t"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()

    names = [volume.name for volume in files.volumes]
    assert names == oid_order(names)
    around = slice(9, 13)
    assert names[around] == ["many.09", "many.10", "many.100", "many.101"]
    in_order = [title for name in names[around] for title in titles(name)]
    whole = titles("many")
    start = whole.index(in_order[0])
    assert whole[start : start + len(in_order)] == in_order


def test_the_shards_cover_the_database(blast: Blast) -> None:
    assert len(blast.layout.shards) == SHARDS
    assert [volume for shard in blast.layout.shards for volume in shard.volumes] == [
        f"resfinder.{volume:02d}" for volume in range(8)
    ]
