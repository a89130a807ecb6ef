"""Parquet files of strangers: what they claim is held against their bytes before Arrow believes it."""
