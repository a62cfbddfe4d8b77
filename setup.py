"""The configs lie beside the package in a clone, where people edit them; installed, in it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["idc_jax*"]), "idc_jax.configs"],
    package_dir={"idc_jax.configs": "configs"},
)
