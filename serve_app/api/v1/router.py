"""Every route of the native dialect, in one list, and what each answers."""

from starlette.routing import BaseRoute

from serve_app.api.answers import Answers
from serve_app.api.v1 import models
from serve_app.api.v1.parts import PARTS, answers_of, routes_of

routes: list[BaseRoute] = [route for part in (models, *PARTS) for route in routes_of(part)]
answers = Answers(answer for part in PARTS for answer in answers_of(part))
"""What the routes answer for jobs."""
