"""Uses of a trained model beside sampling, all of them functions of `encode` and `decode`."""

from .attributes import (
    Attribute,
    edit_images,
    learn_attribute,
    load_attribute,
    save_attribute,
    translate_images,
)
from .code_maps import PrincipalMap, map_by_pca, map_by_tsne
from .code_statistics import CodeStatistics, compute_code_statistics
from .encoding import encode_images
from .label_files import label_paths, read_label_file
from .linear_probe import LinearProbe, fit_linear_probe, fit_probes
from .traversals import (
    compute_code_quantiles,
    compute_prior_quantiles,
    draw_frames,
    draw_traversals,
    get_probabilities,
    traverse_codes,
)
from .uncertainty import (
    ObservationModel,
    PixelPrediction,
    calibrate_scale,
    compute_calibration_error,
    compute_coverage,
    draw_shared_noise,
    get_observation_model,
    predict_pixels,
)

__all__ = [
    "Attribute", "CodeStatistics", "LinearProbe", "ObservationModel", "PixelPrediction", "PrincipalMap",
    "calibrate_scale", "compute_calibration_error", "compute_code_quantiles", "compute_code_statistics",
    "compute_coverage", "compute_prior_quantiles", "draw_frames", "draw_shared_noise", "draw_traversals",
    "edit_images", "encode_images", "fit_linear_probe", "fit_probes", "get_observation_model", "get_probabilities",
    "label_paths", "learn_attribute", "load_attribute", "map_by_pca", "map_by_tsne", "predict_pixels",
    "read_label_file", "save_attribute", "translate_images", "traverse_codes",
]  # fmt: skip
