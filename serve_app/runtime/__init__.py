"""What every process needs: threads, streams, time limits, temporary files, logs."""
