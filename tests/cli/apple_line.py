"""The line that draws a picture."""

APPLE_LINE = (
    'model_loader --model emoji | prompt --text "red apple" | prompt --text "" --link -2 clip clip'
    " | noise --id noise --seed 42 --link -3 unet unet"
    " | denoise_latents --steps 2 --link -4 unet unet --link -3 conditioning positive --link -2 conditioning negative"
    " | l2i --link -5 vae vae"
)
