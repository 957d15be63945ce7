"""`python -m simulators.backend`: the backend as a process of its own, for the harnesses."""

from simulators.backend.command import backend

if __name__ == "__main__":
    backend()
