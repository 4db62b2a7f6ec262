"""The whole hub in one process under a seeded scheduler: real sandboxes without sockets, a clock that moves only when it is
told to, and faults between any two statements. `python -m tests.simulation --seed N` runs one seed."""
