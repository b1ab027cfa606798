"""PSNR and SSIM, of pictures and of whole clips."""
