"""The engines of the task `faces`, each imported where it is chosen."""

from serve_app.core.image.face_swap import FaceModel
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import AnyFacesOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyFacesOptions | FakeOptions, given: EngineSetup) -> FaceModel:
    match options.engine:
        case "opencv_faces":
            from deployments.image.opencv_faces import OpencvFaces

            return OpencvFaces(options, **given.common)
        case "insightface":
            from deployments.image.insightface_faces import InsightfaceFaces

            return InsightfaceFaces(options, **given.common)
        case "fake":
            from deployments.fakes.faces import FakeFaces

            return FakeFaces(options, **given.common)
