"""The shell: everything that touches a socket, a disk, a clock or a process."""
