"""What a question is worth: the scores of the papers, on arrays alone."""

from idc_jax.scores.dsac import compactness, self_paced_weights
from idc_jax.scores.idc import diversity, hardness, log_dissimilarity, representativeness
from idc_jax.scores.pcl import pair_scores

__all__ = [
    "compactness",
    "diversity",
    "hardness",
    "log_dissimilarity",
    "pair_scores",
    "representativeness",
    "self_paced_weights",
]
