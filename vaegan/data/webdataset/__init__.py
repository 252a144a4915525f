"""The source `webdataset`: images in tar shards, with an index of where each of them lies."""
