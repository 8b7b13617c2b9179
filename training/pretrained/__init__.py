"""Pretrained language models of the Llama family: from a checkpoint folder into `HookedTransformer`, and back."""

from training.pretrained.checkpoint import Checkpoint as Checkpoint
from training.pretrained.checkpoint import open_checkpoint as open_checkpoint
from training.pretrained.load import Precision as Precision
from training.pretrained.load import Pretrained as Pretrained
from training.pretrained.load import load_for_tasks as load_for_tasks
from training.pretrained.load import load_pretrained as load_pretrained
from training.pretrained.new_rows import extended as extended
from training.pretrained.save import save_pretrained as save_pretrained
from training.pretrained.token_map import TokenMap as TokenMap
from training.pretrained.tokenizer import CheckpointTokenizer as CheckpointTokenizer
