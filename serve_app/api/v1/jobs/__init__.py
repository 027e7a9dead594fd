"""Routes of jobs, and how operations run as jobs."""
