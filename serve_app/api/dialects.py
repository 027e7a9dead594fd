"""Every dialect that the server speaks: the one list of them."""

from collections.abc import Sequence

from serve_app.api.admin.dialect import ADMIN
from serve_app.api.ai_server.dialect import AI_SERVER
from serve_app.api.automatic1111.dialect import AUTOMATIC1111
from serve_app.api.coder.dialect import CODER
from serve_app.api.dialect import Dialect
from serve_app.api.v1.dialect import V1
from serve_app.api.velesio.dialect import VELESIO
from serve_app.core.jobs import Job

DIALECTS = (V1, ADMIN, VELESIO, AUTOMATIC1111, AI_SERVER, CODER)
"""The first has the paths that are nobody's."""


def dialect_of(job: Job, dialects: Sequence[Dialect] = DIALECTS) -> Dialect:
    """That in which a job was asked for; of one that is not spoken any more, the first."""
    return next((each for each in dialects if each.name == job.dialect), dialects[0])
