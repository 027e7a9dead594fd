"""What a process needs whatever it runs: threads, streams, limits, temporary files, logs."""
