"""Twisted Flow: serve Python functions and models."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "twisted_flow/version.py").read_text())[1]

setup(
    name="twisted_flow",
    version=VERSION,
    description="Serve Python functions and models: executors, joined into a flow, behind one command.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    package_dir={"": "."},  # without it an editable install hides the plugin
    packages=[*find_packages(include=["twisted_flow", "twisted_flow.*"]), "twisted.plugins"],
    package_data={
        "twisted_flow": ["py.typed"],
        "twisted_flow.document.protobuf": ["proto.binpb"],
        "twisted_flow.gateway.http": ["static/*"],
    },
    install_requires=[
        "autobahn>=26.10",
        "grpcio>=1.85",
        "hpack>=4.2",
        "httptools>=0.9",
        "klein>=24.8",
        "msgspec>=0.22",
        "numpy>=2.4",
        "offapi>=0.1.4",
        "prometheus_client>=0.26",
        "protobuf>=7.36",
        "PyYAML>=6.0.3",
        "twisted>=26.10",
        "uvloop>=0.23; sys_platform != 'win32'",
        "zope.interface>=8.7",
    ],
    extras_require={
        "tracing": ["opentelemetry-sdk>=1.45"],  # spans
        "sparse": ["scipy>=1.17"],  # sparse arrays read as scipy's
        "test": [
            "grpcio-health-checking>=1.85",
            "grpcio-reflection>=1.85",
            "grpcio-tools>=1.85",
            "httpx>=0.28",
            "hypothesis>=6.170",
            "mypy>=2.4",
            "mypy-zope>=1.0.17",
            "openapi-spec-validator>=0.9",
            "opentelemetry-sdk>=1.45",
            "pillow>=13",
            "scikit-learn>=1.9",
            "attrs>=26.1",
            "grpclib>=0.4.9",
            "h2>=4.4",
            "pydantic>=2.14",
            "pytest>=9.2",
            "pytest-timeout>=2.4",
            "ruff>=0.17",
            "setuptools>=77",
            "trustme>=1.2",
            "types-protobuf>=7.35",
            "types-PyYAML>=6",
            "websockets>=17",
        ],
    },
    zip_safe=False,
)
