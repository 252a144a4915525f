"""What a run is: a typed schema, read from YAML with ``key.sub=value`` overrides."""

from .reading import dump, find, load_config, recipes
from .schema import Config
from .studies import load_study
from .study import StudyConfig

__all__ = ["Config", "StudyConfig", "dump", "find", "load_config", "load_study", "recipes"]
