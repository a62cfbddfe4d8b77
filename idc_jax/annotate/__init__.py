"""Annotators: whoever answers the questions, and the store that keeps the answers."""

from idc_jax.annotate.annotator import Annotator, collect
from idc_jax.annotate.disagreement import disagreement
from idc_jax.annotate.file import AnswersPendingError, from_file
from idc_jax.annotate.fusion import Agreement, agreement, fuse
from idc_jax.annotate.oracle import aligned, exemplar, match_classes
from idc_jax.annotate.questions import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    Answers,
    QuestionKind,
    Questions,
    label_questions,
    pair_questions,
)
from idc_jax.annotate.store import Group, Row, Store, StoreError

__all__ = [
    "DIFFERENT",
    "NONE_OF_THESE",
    "SAME",
    "SKIP",
    "Agreement",
    "Annotator",
    "Answers",
    "AnswersPendingError",
    "Group",
    "QuestionKind",
    "Questions",
    "Row",
    "Store",
    "StoreError",
    "agreement",
    "aligned",
    "collect",
    "disagreement",
    "exemplar",
    "from_file",
    "fuse",
    "label_questions",
    "match_classes",
    "pair_questions",
]
