"""The settings of a run and of a study: typed schemas, read from YAML with ``key.sub=value`` overrides."""

from .load import dump_config, load_config
from .load_study_files import load_study
from .recipes import find_config, list_recipes
from .schema import Config
from .study_schema import StudyConfig

__all__ = ["Config", "StudyConfig", "dump_config", "find_config", "list_recipes", "load_config", "load_study"]
