"""What is known of requests afterwards: counts, the access log, captured payloads. Pure: no Ray."""
