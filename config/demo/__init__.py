"""What `make demo` runs: sample tasks, a mail backend that writes files, and the launcher."""
