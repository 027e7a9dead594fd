"""The dialect of Automatic1111's web UI and its clients: /sdapi/v1 and /internal."""
