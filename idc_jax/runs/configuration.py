"""Every option of a run, with its default: what the configs of the data sets start from.

A config is named on the command line, with a method behind a colon if it is not the config's own::

    python launch.py --config=configs/digits.py
    python launch.py --config=configs/digits.py:dsac --config.budget=100
    python launch.py --config=configs/cifar20.py:idc_paper

Behind a method's name may stand one of its recipes: ``_paper``, all that the paper says, or
``_code``, what its published code does. ``docs/recipes.md`` lists them field by field.

A method's own groups of options, such as ``idc`` and ``finetune``, are the classes that its package
in :mod:`idc_jax.methods` names in its ``SPEC``; their docstrings explain every field.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from idc_jax.annotate.questions import QuestionKind
from idc_jax.data import CLASS_LISTS
from idc_jax.errors import UserError, check_one_of
from idc_jax.methods import registry
from idc_jax.methods.contract import OWN, MethodSpec
from idc_jax.train.pretrain import PretrainOptions

# What a recipe leaves alone where the network has to learn in minutes on a CPU, beside what a
# method says of its own options.
_COSTLY = ("budget", "model", "pretrain", "views")


def get_config(name: str = "idc") -> ConfigDict:
    """Build the options that are the same for every data set.

    Args:
      name: a method, or a recipe of one: one of :func:`names`.

    Raises:
      UserError: there is neither.
    """
    spec = _spec(name)
    config = ConfigDict()
    # A name of `idc_jax.methods.registry.names()`.
    config.method = spec.name
    # The recipe whose settings these are, by its name; "" for none. It changes nothing on its own:
    # a run says where its settings are others.
    config.recipe = ""
    # Fixes the pre-training, the picks, the training and the simulated annotator.
    config.seed = 0
    # Devices that the training is spread over; 0 for all there are, but for several processes with
    # little to do: each then does all of it.
    config.devices = 0
    # Where the run leaves everything; "" for runs/<name of the config>.
    config.workdir = ""
    # Groups wanted; 0 where nobody knows: the number to begin with is found in the samples, and
    # groups grow as people name them.
    config.num_clusters = 10
    # Answers to begin with: the folder of another run, a table (.csv) with the columns "path" (or
    # "index") and "group", an .npz with "labels" (-1 for unknown), Label Studio's export (.json).
    config.answers = ""
    # Questions asked in all, beside those answers, and in how many rounds. More may come later.
    config.budget = 500
    config.rounds = 1
    # Minutes that a person has; more than 0 takes the place of the budget. At first an answer is
    # taken for what is usual (4 s, of a pair 2.5 s, of each sample of a grid 0.7 s), from twenty
    # answers of a kind on for the median so far.
    config.minutes = 0.0
    # The kinds of questions: "own" for the method's usual one, or those that may be asked, as
    # "label,grid" ("label": what is this?, "cluster": which of these?, "pair": same?, "grid": which
    # do not belong here?), "auto" for all that can be asked for the method. A round asks the kind
    # that is expected to mend most errors per second.
    config.questions = OWN
    # How neighbours are found: "exact", "approximate" (0.95 of them, much sooner; what was reached
    # is measured and told), or "auto": approximate from 100,000 samples on, on
    # accelerators from 2,000,000.
    config.neighbors = "auto"
    # Who chooses the samples asked about: "own" for the method's own choice, or a name of
    # `idc_jax.selectors.names("samples")`. A method that asks about pairs chooses them itself.
    config.selector = OWN
    # The network's first weights: "pretrain", "random", the folder of another run, a checkpoint
    # of PyTorch's (.tar, .pth, .pt, .safetensors, a folder of parts; then config.model is what the
    # file asks for, and what it is shown is what its authors showed it: docs/networks.md), or
    # published weights by name: "efficientnet_lite0", "dinov2_base" and others, or "owner/name" in
    # the Hugging Face hub's cache.
    config.init = "pretrain"
    # Progress bars.
    config.progress = True

    config.data = _data()
    config.model = _model()
    config.views = _views()
    config.annotator = _annotator()
    config.report = _report()
    # idc_jax.train.pretrain.PretrainOptions
    config.pretrain = ConfigDict(PretrainOptions()._asdict())
    # Of every method, so that a data set's config can say what suits each.
    for other in registry.specs():
        for group, options in other.options.items():
            config[group] = ConfigDict(options()._asdict())
    config.update_from_flattened_dict(spec.defaults)
    return recipe(config, name)


def recipe(config: ConfigDict, name: str, *, affordable: bool = False) -> ConfigDict:
    """``config``, with all the settings of the recipe that ``name`` is, if it is one.

    Args:
      config: so far.
      name: one of :func:`names`.
      affordable: leave the network, how long it trains and how often it asks to the config, which
        is for small data and a CPU. A run says what they would have been.
    """
    spec = _spec(name)
    if name != spec.name:
        config.recipe = name
        keep = (*_COSTLY, *spec.costly) if affordable else ()
        kept = {full for full in _settings(name) if full in keep or full.split(".")[0] in keep}
        config.update_from_flattened_dict(
            {full: value for full, value in _settings(name).items() if full not in kept}
        )
    return config


def method_of(name: str) -> str:
    """The method that ``name``, a method's or a recipe's, stands for.

    Raises:
      UserError: it is neither.
    """
    return _spec(name).name


def departures(config: Any) -> dict[str, tuple[Any, Any]]:
    """Where ``config`` is not as its recipe: for each option what that says, and what it is."""
    wanted = _settings(config.recipe) if config.recipe else {}
    found = {full: _at(config, full) for full in wanted}
    return {full: (value, found[full]) for full, value in wanted.items() if found[full] != value}


def names() -> tuple[str, ...]:
    """What may stand behind the colon: the methods, and their recipes."""
    return tuple(_choices())


def asks(config: ConfigDict) -> QuestionKind:
    """The kind of question that the config's method usually asks."""
    return registry.get(config.method).asks[0]


def check_options(config: ConfigDict, what: str) -> None:
    """Refuse a config that lacks options, or sets others.

    Args:
      config: of any file.
      what: to begin an error with.

    Raises:
      UserError: naming an option.
    """
    known = get_config()
    if lacking := _lacking(known, config):
        raise UserError(
            f"{what} lacks {', '.join(lacking[:3])}{', ...' if lacking[3:] else ''}; one that "
            "begins with idc_jax.runs.configuration.get_config() has every option"
        )
    if unknown := _lacking(config, known):
        raise UserError(f"{what} sets {unknown[0]}, which is not an option")


def _lacking(wanted: ConfigDict, config: Any, above: str = "") -> list[str]:
    """The full names of the options of ``wanted`` that ``config`` has not."""
    found: list[str] = []
    for name, value in wanted.items():
        if not isinstance(config, ConfigDict) or name not in config:
            found.append(above + name)
        elif isinstance(value, ConfigDict):
            found += _lacking(value, config[name], f"{above}{name}.")
    return found


def _spec(name: str) -> MethodSpec:
    """The method that ``name`` stands for."""
    choices = _choices()
    check_one_of("method", name, choices)
    return choices[name]


def _choices() -> dict[str, MethodSpec]:
    specs = registry.specs()
    recipes = {f"{spec.name}_{called}": spec for spec in specs for called in spec.recipes}
    return {spec.name: spec for spec in specs} | recipes


def _settings(name: str) -> Mapping[str, Any]:
    """The settings of the recipe ``name``."""
    spec = _spec(name)
    return spec.recipes[name.removeprefix(f"{spec.name}_")]


def _at(config: Any, full: str) -> Any:
    group, _, name = full.rpartition(".")
    return (config[group] if group else config)[name]


def for_orientations(config: ConfigDict) -> None:
    """PCL's published network and views, on images in groups that a person chose."""
    config.model.name = "resnet34"
    config.model.stem = "imagenet"
    config.views.size = 128


def for_wnids(config: ConfigDict, name: str) -> None:
    """Take the classes of a list of `idc_jax.data.CLASS_LISTS` from a folder of WNIDs."""
    config.data.source = "folder"
    config.data.classes = tuple(CLASS_LISTS[name])
    config.num_clusters = len(config.data.classes)
    config.model.name = "resnet34"
    config.model.stem = "imagenet"


def for_dense_network(config: ConfigDict) -> None:
    """Let two dense layers learn small grey images, seen through small affine maps.

    On so few pixels they learn as much as convolutions, in a fraction of the time.
    """
    for_small_network(config)
    config.model.name = "mlp"
    config.views.weak = "warp"
    config.views.strong = "weak"
    config.pretrain.learning_rate = 2e-3
    config.pretrain.agreement_weight = 1.0
    config.idc.space = "instance"
    config.finetune.pseudo_labels = "graph"


def for_digits(config: ConfigDict) -> None:
    """The digits that scikit-learn ships, whichever way they are looked at."""
    for_dense_network(config)
    if asks(config) == "cluster":
        config.budget = 50
    elif asks(config) == "pair":
        config.budget = 1000
    config.data.source = "digits"
    config.pretrain.epochs = 150
    config.idc.head_steps = 200


def for_small_network(config: ConfigDict) -> None:
    """Let every method learn in minutes on a CPU: few epochs at a high learning rate."""
    for spec in registry.specs():
        config.update_from_flattened_dict(spec.small)


def for_features(config: ConfigDict) -> None:
    """Compare features that somebody else's network made as they are, whatever the method."""
    for_small_network(config)
    for spec in registry.specs():
        config.update_from_flattened_dict(spec.features)
    config.model.name = "mlp"
    if asks(config) == "cluster":
        config.rounds = 5
    else:
        config.model.width = 256
        config.model.embedding_dim = 128
        config.pretrain.epochs = 6
        config.views.noise = 0.6
        config.views.dropout = 0.4
    if asks(config) != "pair":
        config.init = "random"


def _data() -> ConfigDict:
    data = ConfigDict()
    # "digits", "tfds", "idx", "folder" or "features".
    data.source = "digits"
    # TFDS's data directory, the folder of IDX files or of images, or the file of features.
    data.path = ""
    # TFDS's data set; elsewhere a title in place of the path's own.
    data.name = ""
    # Side of the square that images are stored at, in pixels; 0 keeps their own, and takes files
    # at the size that the network is shown.
    data.image_size = 0
    # Joined in this order.
    data.splits = ("train", "test")
    # Which labels to score against, where a data set has several; "" for the usual one.
    data.label_key = ""
    # The array of features within an .npz.
    data.features_key = "features"
    # A published network whose frozen embeddings stand in for the images: a file or a name as for
    # config.init, or several with a comma between, whose embeddings stand side by side; "" for the
    # images themselves.
    data.embed_with = ""
    # Class subfolders of an image folder to keep; () for all.
    data.classes = ()
    # Another way to look at the classes: a name of idc_jax.data.target_maps, or "".
    data.target_map = ""
    # Keep so many samples only, the same share of each class; 0 for all.
    data.limit = 0
    # Gigabytes of the device's memory that the samples may take; more images are streamed.
    data.device_gigabytes = 8.0
    # Where decoded arrays are kept; "" for $IDC_JAX_CACHE or ~/.cache/idc_jax.
    data.cache = ""
    return data


def _model() -> ConfigDict:
    model = ConfigDict()
    # "resnet18", "resnet34", "resnet50", "resnet_small", "convnext_tiny" for images, "mlp" for
    # features.
    model.name = "resnet34"
    # "imagenet" (7x7 stride 2, max-pool), "small" (3x3 stride 1), "" picks by the size.
    model.stem = ""
    # Channels of the first stage, units of an MLP's hidden layer; 0 for the network's own.
    model.width = 0
    # A last linear layer on the backbone; 0 for none.
    model.embedding_dim = 0
    # Layout of the two heads: "relu_first" (IDC's TCL), "plain" or with BatchNorm; see
    # idc_jax.models.heads.
    model.head = "relu_first"
    # Computed in; parameters and statistics are always float32.
    model.dtype = "float32"
    return model


def _views() -> ConfigDict:
    views = ConfigDict()
    # The contrastive view: "crop" (resized crops, colour), or "warp" (small affine maps) for
    # digits and letters.
    views.weak = "crop"
    # The strong view: "randaugment" (the paper's), or "weak" for the contrastive one again.
    views.strong = "randaugment"
    # Side of what the network sees, in pixels; 0 for what a published network's authors showed it,
    # and for the images' own with any other network.
    views.size = 0
    # Mean and standard deviation taken off what the network sees: "auto" for those of a published
    # network's authors and none of any other, or "none", "imagenet", "cifar10", "cifar100" or
    # another name of idc_jax.models.importing.NORMALISATIONS.
    views.normalisation = "auto"
    # Mirror images left to right; not for digits and letters.
    views.mirror = True
    # Least area of the contrastive view's crop.
    views.crop = 0.2
    # Strengths of brightness, contrast, saturation and hue in the contrastive view.
    views.jitter = (0.4, 0.4, 0.4, 0.1)
    # Longest side of the hidden square in the strong view, as a fraction of the image's.
    views.cutout = 75 / 224
    # Random operations of the strong view.
    views.operations = 4
    # For features: noise as a fraction of a vector's root mean square, share of dropped entries.
    views.noise = 0.2
    views.dropout = 0.2
    return views


def _annotator() -> ConfigDict:
    annotator = ConfigDict()
    # "oracle" simulates a person from the labels, "page" serves a web page, "file" exports the
    # questions and reads the answers.
    annotator.kind = "oracle"
    # "aligned" (the papers': clusters matched with classes) or "exemplar" (what a person sees).
    annotator.oracle = "aligned"
    # Share of wrong answers, and of questions skipped.
    annotator.error_rate = 0.0
    annotator.skip_rate = 0.0
    # The file of answers for kind "file"; {round} in it is replaced.
    annotator.file = ""
    # Where the page is served; another host than this machine needs allow_remote.
    annotator.host = "127.0.0.1"
    annotator.port = 8765
    annotator.allow_remote = False
    # How many people answer each question, and how their answers become one: "majority" or
    # "dawid_skene".
    annotator.votes = 1
    annotator.fusion = "majority"
    return annotator


def _report() -> ConfigDict:
    report = ConfigDict()
    # The 2-D map of all samples (a minute at 10,000 points).
    report.map = True
    # Points of the map; every pick is among them.
    report.map_points = 5000
    return report
