"""Every error class with its status, code, type and kind, as clients are promised."""

CONTRACT = {
    "InvalidRequest": (400, "invalid_request", "invalid_request_error", "malformed"),
    "UnsupportedCapability": (400, "unsupported_capability", "invalid_request_error", "malformed"),
    "ContextLengthExceeded": (400, "context_length_exceeded", "invalid_request_error", "overflow"),
    "Unauthenticated": (401, "invalid_api_key", "invalid_request_error", "malformed"),
    "Forbidden": (403, "insufficient_scope", "permission_error", "malformed"),
    "NotFound": (404, "not_found", "invalid_request_error", "malformed"),
    "ModelNotFound": (404, "model_not_found", "invalid_request_error", "malformed"),
    "MethodNotAllowed": (405, "method_not_allowed", "invalid_request_error", "malformed"),
    "Conflict": (409, "conflict", "invalid_request_error", "malformed"),
    "PayloadTooLarge": (413, "payload_too_large", "invalid_request_error", "overflow"),
    "UnsupportedMedia": (415, "unsupported_media_type", "invalid_request_error", "malformed"),
    "RateLimited": (429, "rate_limit_exceeded", "rate_limit_error", "network"),
    "Cancelled": (499, "cancelled", "cancelled", "cancelled"),
    "InternalError": (500, "internal_error", "server_error", "unknown"),
    "UpstreamError": (502, "upstream_error", "server_error", "unknown"),
    "QueueFull": (503, "queue_full", "server_error", "network"),
    "ModelNotReady": (503, "model_not_ready", "server_error", "network"),
    "BackendUnavailable": (503, "backend_unavailable", "server_error", "network"),
    "TimedOut": (504, "timeout", "server_error", "network"),
    "StillRunning": (504, "timeout", "server_error", "network"),
}
