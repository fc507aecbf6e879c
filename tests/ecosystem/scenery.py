"""Pictures for a camera, made of the bundled photographs."""

import shutil


def twice(photograph, folder):
    """A folder with one photograph twice, so that a camera shows it for ever."""
    folder.mkdir()
    for copy in ("a.jpg", "b.jpg"):
        shutil.copy(photograph, folder / copy)


def pan(photograph, folder, steps=12):
    """Pictures of a window that goes over a photograph from left to right, and back: what stands still in it moves."""
    # Comes with Home Assistant; the other tests do without.
    from PIL import Image

    with Image.open(photograph) as picture:
        width, height = picture.size
        window = 2 * width // 3
        ways = [*range(steps), *reversed(range(steps))]
        for number, step in enumerate(ways):
            left = (width - window) * step // (steps - 1)
            picture.crop((left, 0, left + window, height)).save(folder / f"{number:02}.jpg", quality=90)
