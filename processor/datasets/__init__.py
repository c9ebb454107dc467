"""Immutable dataset folders: Parquet files, manifest, card, lineage.

    manifest = build_dataset(store, log, settings, "default", {"max_rows": 288})
    datasets.load_dataset(folder, "preference")

The same rows and filters give the same id and the same bytes.
"""

from processor.datasets.build import build_dataset
from processor.datasets.filters import Filters, parse_filters
from processor.datasets.folder import dataset_folder, diff_datasets, show_dataset

__all__ = [
    "Filters", "build_dataset", "dataset_folder", "diff_datasets", "parse_filters", "read_manifest", "show_dataset",
]  # fmt: skip
