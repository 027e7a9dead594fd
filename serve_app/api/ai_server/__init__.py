"""The dialect of ServiceStack's typed clients: `/api/X`, `/api/QueueX` and artifacts."""
