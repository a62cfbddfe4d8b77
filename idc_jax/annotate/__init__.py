"""Annotators: whoever answers the questions, and the store that keeps the answers."""

from idc_jax.annotate.annotator import Annotator, collect
from idc_jax.annotate.database import StoreError
from idc_jax.annotate.disagreement import disagreement
from idc_jax.annotate.evidence import Evidence, Ledger, gather
from idc_jax.annotate.file import AnswersPendingError, from_file
from idc_jax.annotate.fusion import Agreement, agreement, fuse
from idc_jax.annotate.groups import Group
from idc_jax.annotate.oracle import aligned, exemplar, match_classes
from idc_jax.annotate.questions import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    Answers,
    QuestionKind,
    Questions,
    answered,
    label_questions,
    pair_questions,
)
from idc_jax.annotate.store import Row, Store

__all__ = [
    "DIFFERENT",
    "NONE_OF_THESE",
    "SAME",
    "SKIP",
    "Agreement",
    "Annotator",
    "Answers",
    "AnswersPendingError",
    "Evidence",
    "Group",
    "Ledger",
    "QuestionKind",
    "Questions",
    "Row",
    "Store",
    "StoreError",
    "agreement",
    "aligned",
    "answered",
    "collect",
    "disagreement",
    "exemplar",
    "from_file",
    "fuse",
    "gather",
    "label_questions",
    "match_classes",
    "pair_questions",
]
