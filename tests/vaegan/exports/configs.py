"""Configs of every kind of model that is exported."""

from collections.abc import Callable, Mapping

from vaegan.config.schema import Config

from ...tiny import FAMILY_OPTIONS, tiny, tiny_diffusers

CONFIGS: Mapping[str, Callable[[], Config]] = {
    "ae": lambda: tiny("ae", "model.network=inverted_residual", "train.dtype=float64"),
    "vae": lambda: tiny("vae", "model.network=mlp", *FAMILY_OPTIONS["vae"]),
    "vae-grid": lambda: tiny("vae-grid", "model.network=conv"),
    "vqvae": lambda: tiny("vqvae", *FAMILY_OPTIONS["vqvae"]),
    "vaegan3-grid": lambda: tiny("vaegan3-grid", *FAMILY_OPTIONS["vaegan3-grid"]),
    "pixelcnn": lambda: tiny("pixelcnn", *FAMILY_OPTIONS["pixelcnn"]),
    "flow": lambda: tiny("flow", *FAMILY_OPTIONS["flow"]),
    "flow-grid": lambda: tiny("flow-grid"),
    "ganvae": lambda: tiny("ganvae", "model.network=resnet", *FAMILY_OPTIONS["ganvae"]),
    "larsen": lambda: tiny("larsen", "model.network=antialiased"),
    "AutoencoderKL": lambda: tiny_diffusers("vae"),
    "AsymmetricAutoencoderKL": lambda: tiny_diffusers("vae", "AsymmetricAutoencoderKL"),
    "AutoencoderTiny": lambda: tiny_diffusers("ae", "AutoencoderTiny"),
    "AutoencoderDC": lambda: tiny_diffusers("ae", "AutoencoderDC"),
}
"""Config of each, by its name."""
