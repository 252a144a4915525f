"""A user's script: CONFIG --output FOLDER, trained with the networks of `own_networks.py`, and resumed."""

import sys
from pathlib import Path

import vaegan
from vaegan.config import load_config

sys.path.insert(0, str(Path(__file__).parents[1]))
from own_networks import build_own_networks

config = load_config(sys.argv[1])
networks = build_own_networks(config.model.labels)
vaegan.train(config, output=sys.argv[-1], networks=networks, resume=True, progress=False)
