"""The whole product on the one-machine stack: real orchestrations, real pods, real BLAST."""
