"""Pictures in printing colours as RGB, by the profile they have."""

from __future__ import annotations

import io

from PIL import Image, ImageCms


def cmyk_to_rgb(image: Image.Image) -> Image.Image:
    """Returns a CMYK picture in sRGB: by its ICC profile, or by the plain formula where it has none that can be used."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except ImageCms.PyCMSError:
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")
