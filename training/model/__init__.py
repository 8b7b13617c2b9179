"""The model, in components: embedding, norm, attention, block, transformer."""

from training.model.cache import KeyValueCache as KeyValueCache
from training.model.packing import Packed as Packed
from training.model.packing import pack as pack
from training.model.transformer import HookedTransformer as HookedTransformer
