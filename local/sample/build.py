"""Builds the sample database ``resfinder``: 3,144 real genes in 8 volumes, laid out as NCBI lays out its databases.

``make demo``, the emulated storage and the tests with real BLAST use it::

    python -m local.sample.build --out DIR

OIDs, volumes, sizes and metadata are the same each time; only the dates inside the volumes differ.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
from pathlib import Path
from typing import Final

from local.sample.genes import fasta, read_genes

DATABASE: Final = "resfinder"
TITLE: Final = "ResFinder acquired antimicrobial resistance genes"

#: makeblastdb begins a new volume where a file would grow beyond this; with these genes that makes 8 volumes.
VOLUME_SIZE: Final = "100KB"
VOLUMES: Final = 8

#: Date of the upstream snapshot that Debian 12 packages; the date of the build would make each build a new version.
LAST_UPDATED: Final = "2022-05-24T00:00:00"


def build(folder: Path) -> None:
    """Write ``resfinder.NN.*``, the shared files, ``resfinder.nal`` and ``resfinder-nucl-metadata.json``.

    Args:
        folder: is made if it is not there; an older build in it is replaced.

    Raises:
        FileNotFoundError: resfinder-db or BLAST+ is not installed.
        RuntimeError: makeblastdb failed, or made another number of volumes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in (f"{DATABASE}.*", f"{DATABASE}-*", "taxdb.*"):
        for old in folder.glob(pattern):
            old.unlink()
    genes = read_genes()
    command = ["makeblastdb", "-dbtype", "nucl", "-parse_seqids", "-title", TITLE, "-out", str(folder / DATABASE)]
    made = subprocess.run(
        [*command, "-max_file_sz", VOLUME_SIZE],
        input="".join(fasta(gene.id, gene.sequence) for gene in genes),
        text=True,
        capture_output=True,
        check=False,
    )
    volumes = len(list(folder.glob(f"{DATABASE}.*.nin")))
    if made.returncode or volumes != VOLUMES:
        raise RuntimeError(f"makeblastdb ended with {made.returncode} and {volumes} volumes: {made.stderr[-500:]}")
    _write_taxonomy(folder)
    letters = sum(len(gene.sequence) for gene in genes)
    (folder / f"{DATABASE}-nucl-metadata.json").write_text(_metadata(folder, len(genes), letters))


def _metadata(folder: Path, sequences: int, letters: int) -> str:
    """What ``blastdbcmd -metadata`` of BLAST+ >= 2.13 writes; Debian's 2.12 has no such option."""
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.name.startswith(DATABASE)}
    cached = sum(size for name, size in sizes.items() if name.endswith((".nin", ".nsq")))
    metadata = {
        "version": "1.2",
        "dbname": DATABASE,
        "dbtype": "Nucleotide",
        "db-version": 5,
        "description": TITLE,
        "number-of-letters": letters,
        "number-of-sequences": sequences,
        "last-updated": LAST_UPDATED,
        "number-of-volumes": VOLUMES,
        "bytes-total": sum(sizes.values()),
        "bytes-to-cache": cached,
        "files": list(sizes),
    }
    return json.dumps(metadata, indent=2) + "\n"


def _write_taxonomy(folder: Path) -> None:
    """Write ``taxdb`` with one taxon, because blastdbcheck looks up taxid 9606 whatever the database holds.

    NCBI's databases come with the whole of it. Layout (big-endian): magic number, number of taxa, four reserved words,
    then taxid and offset of each; the names lie in ``.btd``, separated by tabs.
    """
    (folder / "taxdb.btd").write_bytes(b"Homo sapiens\thuman\tprimates\tE")
    (folder / "taxdb.bti").write_bytes(struct.pack(">II4III", 0x8739, 1, 0, 0, 0, 0, 9606, 0))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Build the sample database of resistance genes.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the database's files")
    folder: Path = parser.parse_args().out
    build(folder)
    print(f"{DATABASE}: {VOLUMES} volumes in {folder}")


if __name__ == "__main__":
    main()
