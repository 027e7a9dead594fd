"""Images brought to a size that a model generates."""

from PIL import Image, ImageOps

from serve_app.core.image.images import Resize

Pair = tuple[int, int]


def resized(image: Image.Image, size: Pair, how: Resize) -> Image.Image:
    """An image of that size. `latent` is the pixels' part of it, which is `stretch`."""
    match how:
        case "crop":
            return ImageOps.fit(image, size, Image.Resampling.LANCZOS)
        case "stretch" | "latent":
            return image.resize(size, Image.Resampling.LANCZOS)
        case "nearest":
            return image.resize(size, Image.Resampling.NEAREST)
        case "fill":
            return _filled(image, size)


def _filled(image: Image.Image, size: Pair) -> Image.Image:
    """The whole image in the middle; its outermost columns or rows are drawn out to the sides."""
    whole = ImageOps.contain(image, size, Image.Resampling.LANCZOS)
    left, top = (size[0] - whole.width) // 2, (size[1] - whole.height) // 2
    right, bottom = left + whole.width, top + whole.height
    canvas = Image.new(image.mode, size)
    canvas.paste(whole, (left, top))
    if top or bottom < size[1]:
        above = whole.crop((0, 0, whole.width, 1)).resize((whole.width, max(1, top)))
        below = whole.crop((0, whole.height - 1, whole.width, whole.height))
        canvas.paste(above.crop((0, 0, whole.width, top)), (left, 0))
        canvas.paste(below.resize((whole.width, size[1] - bottom or 1)), (left, bottom))
    if left or right < size[0]:
        before = canvas.crop((left, 0, left + 1, size[1])).resize((max(1, left), size[1]))
        after = canvas.crop((right - 1, 0, right, size[1]))
        canvas.paste(before.crop((0, 0, left, size[1])), (0, 0))
        canvas.paste(after.resize((size[0] - right or 1, size[1])), (right, 0))
    return canvas


def padded(image: Image.Image, size: Pair) -> Image.Image:
    """The last column and row repeated up to the size."""
    if image.size == size:
        return image
    (width, height), (right, bottom) = image.size, size
    canvas = Image.new(image.mode, size)
    canvas.paste(image)
    if right > width:
        column = image.crop((width - 1, 0, width, height))
        canvas.paste(column.resize((right - width, height)), (width, 0))
    if bottom > height:
        row = canvas.crop((0, height - 1, right, height))
        canvas.paste(row.resize((right, bottom - height)), (0, height))
    return canvas
