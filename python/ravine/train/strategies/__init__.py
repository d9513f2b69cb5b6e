"""Ways to train that change what is trained, on what, or towards what, from stage to stage.

Each is made of `TrainStep` and `Loop` alone: what it does can be written as a few loops over batches, and
gives the same bits. Models are trained in place, in training mode, and are in evaluation mode afterwards.
"""

from ._auxiliary import AuxiliaryHeads
from ._continuation import continuation
from ._curriculum import Curriculum
from ._distill import distill, fitnet
from ._greedy import greedy_pretrain
from ._snapshots import Ensemble, snapshot_ensemble, swa
from ._stage import Stage
from ._unfreeze import gradual_unfreeze

__all__ = [
    "AuxiliaryHeads",
    "Curriculum",
    "Ensemble",
    "Stage",
    "continuation",
    "distill",
    "fitnet",
    "gradual_unfreeze",
    "greedy_pretrain",
    "snapshot_ensemble",
    "swa",
]
