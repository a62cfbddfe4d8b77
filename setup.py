"""The configs lie beside the package in a clone, where people edit them; installed, in it."""

from setuptools import find_namespace_packages, setup

setup(
    # Folders of the page's scripts and styles are packed, too, though they hold no module.
    packages=[
        *find_namespace_packages(include=["idc_jax*"], exclude=["*__pycache__*"]),
        "idc_jax.configs",
    ],
    package_dir={"idc_jax.configs": "configs"},
)
