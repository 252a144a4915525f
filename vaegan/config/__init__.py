"""What a run is: a typed schema, read from YAML with ``key.sub=value`` overrides."""

from .reading import differences, dump, find, load_config, load_study, recipes
from .schema import Config, StudyConfig

__all__ = ["Config", "StudyConfig", "differences", "dump", "find", "load_config", "load_study", "recipes"]
