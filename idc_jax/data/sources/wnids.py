"""The ImageNet subsets of the clustering literature, as WordNet ids with names.

ImageNet-10 and ImageNet-Dogs are those that DAC (Chang et al., 2017) introduced and CC, TCL,
ProPos and IDC use; ImageNet10-2 is PCL's and shares no more than the number of classes.
"""

IMAGENET10 = {
    "n02056570": "king penguin",
    "n02085936": "Maltese dog",
    "n02128757": "snow leopard",
    "n02690373": "airliner",
    "n02692877": "airship",
    "n03095699": "container ship",
    "n04254680": "soccer ball",
    "n04285008": "sports car",
    "n04467665": "trailer truck",
    "n07747607": "orange",
}

IMAGENET_DOGS = {
    "n02085936": "Maltese dog",
    "n02086646": "Blenheim spaniel",
    "n02088238": "basset",
    "n02091467": "Norwegian elkhound",
    "n02097130": "giant schnauzer",
    "n02099601": "golden retriever",
    "n02101388": "Brittany spaniel",
    "n02101556": "clumber",
    "n02102177": "Welsh springer spaniel",
    "n02105056": "groenendael",
    "n02105412": "kelpie",
    "n02105855": "Shetland sheepdog",
    "n02107142": "Doberman",
    "n02110958": "pug",
    "n02112137": "chow",
}

IMAGENET10_2 = {
    "n01847000": "drake",
    "n02115913": "dhole",
    "n02129165": "lion",
    "n02396427": "wild boar",
    "n02398521": "hippopotamus",
    "n02814533": "beach wagon",
    "n02951358": "canoe",
    "n03673027": "liner",
    "n03947888": "pirate ship",
    "n04461696": "tow truck",
}

CLASS_LISTS: dict[str, dict[str, str]] = {
    "imagenet10": IMAGENET10,
    "imagenet_dogs": IMAGENET_DOGS,
    "imagenet10_2": IMAGENET10_2,
}
"""The classes of ImageNet's parts: titles by WNID, by the part's name."""
CLASS_TITLES: dict[str, str] = {**IMAGENET10, **IMAGENET_DOGS, **IMAGENET10_2}
