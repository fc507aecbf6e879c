#!/usr/bin/env python3
"""Makes the small test pictures beside it, and the pixels that Pillow and OpenCV see in them.

Run again only to change them (needs numpy, opencv-python-headless, pillow, scikit-image's data as ASTRONAUT):
    make.py ASTRONAUT.png
"""

import io
import pathlib
import sys

import cv2
import numpy as np
from PIL import Image

here = pathlib.Path(__file__).parent
photo = Image.open(sys.argv[1]).convert("RGB").crop((100, 0, 370, 190)).resize((67, 45), Image.Resampling.BOX)
photo.info.clear()  # no colour profile


def save(name, image, **options):
    image.save(here / name, **options)


photo.save(here / "upright.png", optimize=True)  # what everything below shows
save("baseline.jpg", photo, quality=95, subsampling="4:2:0")
save("progressive.jpg", photo, quality=95, progressive=True, subsampling="4:4:4")
save("grey.jpg", photo.convert("L"), quality=95)
save("cmyk.jpg", photo.convert("CMYK"), quality=95)

turned = photo.transpose(Image.Transpose.ROTATE_90)  # held so that EXIF says 6: turn it clockwise to see it upright
exif = Image.Exif()
exif[0x0112] = 6
save("exif6.jpg", turned, quality=95, exif=exif)
save("exif6.png", turned, exif=exif, optimize=True)

save("palette.png", photo.quantize(64), optimize=True)
save("grey.png", photo.convert("L"), optimize=True)
rgba = photo.copy()
alpha = Image.linear_gradient("L").resize(photo.size)
rgba.putalpha(alpha)
save("alpha.png", rgba, optimize=True)
save("grey-alpha.png", rgba.convert("LA"), optimize=True)
wide = np.asarray(photo).astype(np.uint16) * 257
ok, png = cv2.imencode(".png", wide[:, :, ::-1])
(here / "16bit.png").write_bytes(png.tobytes())
ok, png = cv2.imencode(".png", np.asarray(photo.convert("L")).astype(np.uint16) * 257)
(here / "grey16.png").write_bytes(png.tobytes())

# YCCK: a CMYK JPEG whose Adobe marker says transform 2, with Y Cb Cr of the inks in place of C M Y. Pillow cannot
# write that itself, so the planes are compressed as CMYK and the marker is patched.
c, m, y, k = [np.asarray(band) for band in photo.convert("CMYK").split()]
ycc = cv2.cvtColor(np.stack([c, m, y], -1), cv2.COLOR_RGB2YCrCb)[:, :, [0, 2, 1]]
buffer = io.BytesIO()
stack = np.concatenate([255 - ycc, k[:, :, None]], -1)  # Pillow inverts all four again when it writes
Image.fromarray(np.ascontiguousarray(stack), "CMYK").save(buffer, "jpeg", quality=95)
data = bytearray(buffer.getvalue())
at = data.index(b"Adobe")
data[at + 11] = 2
(here / "ycck.jpg").write_bytes(data)

# Motion JPEG of many webcams: no Huffman tables, the decoder is to know the standard's.
buffer = io.BytesIO()
photo.save(buffer, "jpeg", quality=90, subsampling="4:2:2")
data = buffer.getvalue()
out, i = bytearray(data[:2]), 2
while data[i + 1] != 0xDA:
    length = 2 + int.from_bytes(data[i + 2 : i + 4], "big")
    if data[i + 1] != 0xC4:
        out += data[i : i + length]
    i += length
(here / "no-huffman-tables.jpg").write_bytes(out + data[i:])

# What OpenCV (libjpeg-turbo) and Pillow decode, as raw RGB.
for name in ["baseline.jpg", "progressive.jpg", "grey.jpg"]:
    rgb = cv2.cvtColor(cv2.imread(str(here / name)), cv2.COLOR_BGR2RGB)
    Image.fromarray(rgb).save(here / (name + ".expected.png"), optimize=True)
