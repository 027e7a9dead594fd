"""Every dialect that the server speaks: the one list of them."""

from serve_app.api.admin.dialect import ADMIN
from serve_app.api.v1.dialect import V1

DIALECTS = (V1, ADMIN)
"""The first has the paths that are nobody's."""
