"""Uses of a trained model beside sampling, all of them functions of `encode` and `decode`."""

from .anomaly_calibration import ConformalDetector, fit_conformal_detector
from .anomaly_scores import Judges, compute_anomaly_maps, compute_anomaly_scores
from .anomaly_sheet import Caption, draw_anomaly_sheet
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
from .completion import complete_images, fill_by_membrane
from .detection import Area, Detection, measure_detection
from .encoding import encode_images
from .heat_maps import draw_heat_maps
from .label_files import label_paths, read_label_file
from .linear_operators import Blur, Grey, Identity, LinearOperator, Mask, Reduce, keep_channels
from .linear_probe import LinearProbe, fit_linear_probe, fit_probes
from .planted_defects import PlantedDefects, plant_defects
from .posterior_inference import CodePosterior, Measurement
from .posterior_sampling import PosteriorCodes, infer_codes
from .superresolution import enlarge_bicubically, enlarge_images, make_consistent
from .traversals import (
    choose_typical_code,
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
    "Area", "Attribute", "Blur", "Caption", "CodePosterior", "CodeStatistics", "ConformalDetector", "Detection", "Grey",
    "Identity", "Judges", "LinearOperator", "LinearProbe", "Mask", "Measurement", "ObservationModel", "PixelPrediction",
    "PlantedDefects", "PosteriorCodes", "PrincipalMap", "Reduce", "calibrate_scale", "choose_typical_code",
    "complete_images", "compute_anomaly_maps", "compute_anomaly_scores", "compute_calibration_error",
    "compute_code_quantiles", "compute_code_statistics", "compute_coverage", "compute_prior_quantiles",
    "draw_anomaly_sheet", "draw_frames", "draw_heat_maps", "draw_shared_noise", "draw_traversals", "edit_images",
    "encode_images", "enlarge_bicubically", "enlarge_images", "fill_by_membrane", "fit_conformal_detector",
    "fit_linear_probe", "fit_probes", "get_observation_model", "get_probabilities", "infer_codes", "keep_channels",
    "label_paths", "learn_attribute", "load_attribute", "make_consistent", "map_by_pca", "map_by_tsne",
    "measure_detection", "plant_defects", "predict_pixels", "read_label_file", "save_attribute", "translate_images",
    "traverse_codes",
]  # fmt: skip
